import { tmpdir } from 'node:os'

import { Registry } from 'prom-client'

import { type ClickHouse, raw } from '../../src/clickhouse/index.ts'
import { type DemoEvent, generateDay } from '../../src/demo/index.ts'
import { createDetection } from '../../src/detection/index.ts'
import { createJobs, type Jobs } from '../../src/jobs/index.ts'
import { createBlockList } from '../../src/ratelimit/index.ts'
import { createRedis } from '../../src/redis/index.ts'
import { createRollups } from '../../src/rollups/index.ts'
import { createSchedule } from '../../src/schedule.ts'
import { silent } from '../support/clickhouse.ts'
import { insertLogs } from '../support/request-logs.ts'

const HOUR = 3_600_000
const DAY = new Date('2026-11-18T00:00:00Z')
/** Busy hours of a small day: what is true of them is true of others. */
export const FROM = DAY.getTime() + 9 * HOUR
export const TO = FROM + 3 * HOUR

/** The requests of these hours. */
export const hours = (): DemoEvent[] =>
  generateDay({ seed: 3, day: DAY, requests: 6_000 })
    .events()
    .filter(({ timestamp }) => Date.parse(timestamp) >= FROM && Date.parse(timestamp) < TO)

export const insertEvents = async (clickhouse: ClickHouse, events: readonly DemoEvent[]): Promise<void> => {
  for (let from = 0; from < events.length; from += 500)
    await insertLogs(
      clickhouse,
      events.slice(from, from + 500).map((event, index) => ({
        ...event,
        timestamp: new Date(event.timestamp),
        batch: from,
        row: index,
        ingestedAt: new Date(TO),
      })),
    )
}

/** The service's own hourly job, half an hour after the last of the hours. */
export const openHourly = async (
  clickhouse: ClickHouse,
  log = silent,
): Promise<{ jobs: Jobs; close: () => Promise<void> }> => {
  const redis = createRedis([], { log })
  await redis.start()
  const stores = { clickhouse, redis, log, dataDir: undefined, trustedProxies: [] }
  const blockList = createBlockList(stores)
  await blockList.start()
  const detection = await createDetection({
    ...stores,
    blockList,
    registry: new Registry(),
    detectorsDir: undefined,
    crawlerRangesDir: undefined,
    crawlerDns: false,
  })
  await detection.start()
  const schedule = createSchedule({
    clickhouse,
    rollups: createRollups({ clickhouse }),
    detection,
    retention: { job: { name: 'cleanup' } as never, oldestOpen: () => new Date(0) },
    dataDir: tmpdir(),
    settleSeconds: 120,
  })
  const jobs = createJobs({
    clickhouse,
    redis,
    log,
    registry: new Registry(),
    jobs: schedule.filter(({ name }) => name === 'hourly'),
    runsJobs: true,
    now: () => TO + HOUR / 2,
  })
  return {
    jobs,
    close: async () => {
      await jobs.stop()
      await detection.stop()
      await blockList.stop()
      await redis.stop()
    },
  }
}

const TABLES = [
  'service_hours',
  'route_hours',
  'service_sketches',
  'address_hours',
  'user_hours',
  'probes',
  'crawler_hours',
  'findings',
]

const SKETCHES = ['duration', 'ip', 'path', 'user_agent'].map((name) => `${name}_sketch`)

/** All that the runs that count have written, without what differs from run to run. */
export const written = async (clickhouse: ClickHouse): Promise<Record<string, string[]>> => {
  const result: Record<string, string[]> = {}
  for (const table of TABLES) {
    const sketches =
      table === 'service_sketches'
        ? ` REPLACE (${SKETCHES.map((name) => `finalizeAggregation(${name}) AS ${name}`).join(', ')})`
        : ''
    const { rows } = await clickhouse.query<Record<string, unknown>>(
      raw(
        `SELECT * FROM (SELECT * EXCEPT (run_id, written_at)${sketches} FROM ${table}_by_run WHERE (hour, run_id) IN (SELECT window_from, run_id FROM valid_runs WHERE job = 'hourly')) ORDER BY ALL`,
      ),
    )
    result[table] = rows.map((row) => JSON.stringify(row))
  }
  return result
}
