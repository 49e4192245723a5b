/** Counts what is due, in a process of its own that may be killed; says `at work` in its first run, and ends with code 0. */
import { setTimeout as sleep } from 'node:timers/promises'

import { Registry } from 'prom-client'

import { createClickHouse } from '../../src/clickhouse/index.ts'
import { createJobs } from '../../src/jobs/index.ts'
import { createRedis } from '../../src/redis/index.ts'
import { createLog } from '../../src/http/index.ts'
import { countingJob } from './support.ts'

const { CLICKHOUSE_URL, REDIS_URL, REDIS_PREFIX, NOW, PAUSE_MS } = process.env as Record<string, string>

const log = createLog('error')
const clickhouse = await createClickHouse({ url: CLICKHOUSE_URL, dataDir: '', log })
const redis = createRedis(REDIS_URL ? [REDIS_URL] : [], { log, prefix: REDIS_PREFIX ?? 'test:' })
await redis.start()
const counting = countingJob(clickhouse, { lookedBackSeconds: 7200 })
counting.during = () => {
  if (counting.ran.length === 1) process.stdout.write('at work\n')
  return sleep(Number(PAUSE_MS))
}
const jobs = createJobs({
  clickhouse,
  redis,
  log,
  registry: new Registry(),
  jobs: [counting.job],
  runsJobs: true,
  now: () => Number(NOW),
})
await jobs.catchUp()
await jobs.stop()
await redis.stop()
await clickhouse.close()
