/** Sends what is queued, in a process of its own that may be killed; says `at work` once it sends, and ends when told to. */
import { once } from 'node:events'

import { Registry } from 'prom-client'

import { createClickHouse } from '../../src/clickhouse/index.ts'
import { createLog } from '../../src/http/index.ts'
import { createRedis } from '../../src/redis/index.ts'
import { createDeliveries } from '../../src/reports/deliver/index.ts'
import { PUBLIC_URL, rendered, SECRET } from './fixtures.ts'

const { CLICKHOUSE_URL, REDIS_URL, REDIS_PREFIX, SMTP_URL } = process.env as Record<string, string>

const log = createLog('fatal')
const clickhouse = await createClickHouse({ url: CLICKHOUSE_URL, dataDir: '', log })
const redis = createRedis([REDIS_URL!], { log, prefix: REDIS_PREFIX! })
await redis.start()
let said = false
const deliveries = createDeliveries({
  clickhouse,
  redis,
  log,
  registry: new Registry(),
  dataDir: '',
  mail: { smtpUrl: SMTP_URL, smtpTls: 'off', mailFrom: 'Vedette <vedette@example.com>', dkim: undefined },
  secret: SECRET,
  publicUrl: PUBLIC_URL,
  render: (_, { unsubscribeUrl }) => {
    if (!said) process.stdout.write('at work\n')
    said = true
    return Promise.resolve(rendered(unsubscribeUrl))
  },
  isUnsubscribed: () => false,
  sends: true,
  retryAfterMs: [200, 500, 1_000],
  smtpTimes: { sendMs: 3_000, answerMs: 3_000 },
  pollMs: 500,
  leaseMs: 1_500,
})
deliveries.start()
await once(process, 'SIGTERM')
await deliveries.stop()
await redis.stop()
await clickhouse.close()
