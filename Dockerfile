# Vedette for a ClickHouse server and a Redis (CLICKHOUSE_URL, REDIS_URL); the embedded engine is not in it.
#
#   docker build --tag vedette .
#
# TypeScript runs as it is on Node 24, so nothing is compiled. Pin the base by its digest once you have pulled it:
#   docker buildx imagetools inspect node:24.21.0-bookworm-slim

FROM node:24.21.0-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# Not --omit=optional: the binary that draws the charts of mails (@resvg) is optional too. The engine goes again, all
# 540 MB of it, before the next stage copies.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
  && rm -rf node_modules/chdb node_modules/@chdb

FROM node:24.21.0-bookworm-slim
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    PORT=8080 \
    DATA_DIR=/var/lib/vedette
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY LICENSE package.json ./
COPY bin ./bin
COPY src ./src
COPY clickhouse ./clickhouse
# `docker compose exec vedette vedette doctor`; and folders that new volumes take their owner from.
RUN ln -s /app/bin/vedette.js /usr/local/bin/vedette \
  && install --directory --owner=node --group=node --mode=0700 /var/lib/vedette /var/backups/vedette
USER node
VOLUME /var/lib/vedette
EXPOSE 8080
# It flushes and stops by itself within 25 s: give it 30 (docker stop --time 30). It is made to be process 1 and starts no
# children without the embedded engine, so it wants no init.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --start-interval=1s --retries=3 \
  CMD ["node", "--eval", "fetch(`http://127.0.0.1:${process.env.PORT}/readyz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# Room for young objects: a quarter less CPU a row and shorter pauses, for some 100 MB of memory.
CMD ["node", "--min-semi-space-size=64", "--max-semi-space-size=64", "src/main.ts", "serve"]
