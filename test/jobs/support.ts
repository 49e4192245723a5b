import { Registry } from 'prom-client'
import { afterEach } from 'vitest'

import { type ClickHouse, param, sql } from '../../src/clickhouse/index.ts'
import { createJobs, type Job, type JobContext, type JobRun, type Jobs, rowsOfHours } from '../../src/jobs/index.ts'
import { createRedis, type Redis } from '../../src/redis/index.ts'
import { silent, type TestDatabase } from '../support/clickhouse.ts'

export const HOUR = 3_600_000
/** 10:00 of some day. */
export const TEN = Date.UTC(2026, 10, 20, 10)

export const at = (hours: number, minutes = 0): number => TEN + hours * HOUR + minutes * 60_000

/** What a job has seen and may be told in between. */
export interface Seen {
  job: Job
  /** Beginnings of windows in the order of the runs, such as `10` for 10:00. */
  ran: number[]
  /** Called within each run. */
  during: (context: JobContext) => Promise<void> | void
}

/** A job that counts the request logs of its hour into `counted_by_run`, in two inserts. */
export const countingJob = (clickhouse: ClickHouse, settings: Partial<Job> = {}): Seen => {
  const seen: Seen = {
    ran: [],
    during: () => {},
    job: {
      name: 'count',
      description: 'Counts the requests of an hour.',
      windowSeconds: 3600,
      settleSeconds: 300,
      catchUp: 'all',
      rowsOfWindows: rowsOfHours(clickhouse),
      run: async (context) => {
        const { window, runId, signal } = context
        seen.ran.push((window.from.getTime() - TEN) / HOUR + 10)
        const half = (part: number) =>
          clickhouse.command(
            sql`INSERT INTO counted_by_run SELECT ${window.from}, ${param('UInt64', runId)}, ${part}, count() FROM request_logs WHERE timestamp >= ${window.from} AND timestamp < ${window.to} AND row % 2 = ${part}`,
            { signal },
          )
        await half(0)
        await seen.during(context)
        await half(1)
        return { rowsRead: 1, rowsWritten: 2 }
      },
      ...settings,
    },
  }
  return seen
}

export const makeTarget = (clickhouse: ClickHouse): Promise<void> =>
  clickhouse.command(
    sql`CREATE TABLE IF NOT EXISTS counted_by_run (hour DateTime('UTC'), run_id UInt64, part UInt8, requests UInt64) ENGINE = MergeTree ORDER BY hour`,
  )

/** What readers see: requests by hour, of valid runs alone. Each hour twice, or a run was half. */
export const counted = async (clickhouse: ClickHouse): Promise<Record<number, number>> => {
  const { rows } = await clickhouse.query<{ hour: number; parts: number; requests: number }>(
    sql`SELECT toUnixTimestamp(hour) * 1000 AS hour, count() AS parts, sum(requests) AS requests FROM counted_by_run AS rows
      WHERE (rows.hour, run_id) IN (SELECT window_from, run_id FROM valid_runs WHERE job = 'count') GROUP BY rows.hour ORDER BY hour`,
  )
  for (const { parts } of rows) if (parts !== 2) throw new Error(`a run with ${parts} of its 2 rows is valid`)
  return Object.fromEntries(rows.map(({ hour, requests }) => [(hour - TEN) / HOUR + 10, requests]))
}

export interface Started {
  jobs: Jobs
  registry: Registry
  redis: Redis
}

export interface StartOptions {
  job: Job | readonly Job[]
  now: () => number
  redisUrls?: readonly string[]
  redis?: Redis
  prefix?: string
  runsJobs?: boolean
}

/** Jobs on the test's database; stopped after the test. They are not started, so that the clock on the wall has no say. */
export const testJobs = (database: TestDatabase) => {
  const open: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const close of open.splice(0).toReversed()) await close()
  })
  return async ({
    job,
    now,
    redisUrls = [],
    redis,
    prefix = 'test:',
    runsJobs = true,
  }: StartOptions): Promise<Started> => {
    const own = redis ?? createRedis(redisUrls, { log: silent, prefix })
    if (!redis) {
      await own.start()
      open.push(() => own.stop())
    }
    const registry = new Registry()
    const jobs = createJobs({
      clickhouse: database.clickhouse,
      redis: own,
      log: silent,
      registry,
      jobs: [job].flat(),
      runsJobs,
      now,
    })
    open.push(() => jobs.stop(0))
    return { jobs, registry, redis: own }
  }
}

/** `10 SUCCEEDED 5` for the run of 10:00 that saw five rows, oldest first. */
export const told = ({ runs }: { runs: readonly JobRun[] }): string[] =>
  runs
    .toReversed()
    .map(({ window, status, windowRows }) => `${(window.from.getTime() - TEN) / HOUR + 10} ${status} ${windowRows}`)
