import { type ClickHouse, createClickHouse, migrate } from '../clickhouse/index.ts'
import { type Config, loadConfig } from '../config.ts'
import { createLog, type Log } from '../http/index.ts'
import { createRedis, type Redis } from '../redis/index.ts'

export interface Stores {
  config: Config
  clickhouse: ClickHouse
  redis: Redis
  log: Log
}

/** A command says itself what goes wrong; the log of what it uses is for those who ask for it. */
export const commandLog = (config: Config): Log => createLog(process.env['LOG_LEVEL'] ? config.logLevel : 'silent')

/**
 * The stores as a running service has them (its engine, its Redis), or, where none runs, opened for this command alone.
 * Closed again when `work` is done.
 */
export const withStores = async <T>(work: (stores: Stores) => Promise<T>): Promise<T> => {
  const config = loadConfig()
  const log = commandLog(config)
  const { clickhouseUrl, dataDir, redisUrls } = config
  const clickhouse = await createClickHouse({ url: clickhouseUrl, dataDir, log, role: 'attach' })
  try {
    // Ours alone, so its tables are made on the way; on a server that is for `vedette migrate` or `serve` to do.
    if (clickhouse.embedded) await migrate(clickhouse, { log })
    const redis = createRedis(redisUrls, { log })
    try {
      await redis.start()
      return await work({ config, clickhouse, redis, log })
    } finally {
      await redis.stop()
    }
  } finally {
    await clickhouse.close()
  }
}
