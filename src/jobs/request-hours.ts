import { type ClickHouse, param, sql } from '../clickhouse/index.ts'
import type { Job } from './types.ts'

/** Names of days travel in the URL; of more, all days are counted. */
const MOST_DAYS = 400

/**
 * How many request logs each hour has, of the days that got parts since: a day is a partition, and what was not written to has not
 * changed. A merge makes new parts too, which costs a look and no more, as counts are compared.
 */
export const rowsOfHours =
  (clickhouse: ClickHouse): NonNullable<Job['rowsOfWindows']> =>
  async (since, signal) => {
    const options = { comment: 'jobs rows of hours', signal }
    const days = await clickhouse.query<{ day: string }>(
      sql`SELECT DISTINCT partition_id AS day FROM system.parts WHERE database = ${clickhouse.database} AND table = 'request_logs' AND active AND modification_time >= ${since} ORDER BY day`,
      options,
    )
    if (days.rows.length === 0) return new Map()
    const few =
      days.rows.length > MOST_DAYS
        ? sql`1`
        : sql`_partition_id IN ${param(
            'Array(String)',
            days.rows.map(({ day }) => day),
          )}`
    const { rows } = await clickhouse.query<{ hour: number; rows: number }>(
      sql`SELECT toUnixTimestamp(toStartOfHour(timestamp)) * 1000 AS hour, count() AS rows FROM request_logs WHERE ${few} GROUP BY hour ORDER BY hour`,
      options,
    )
    return new Map(rows.map(({ hour, rows: count }) => [hour, count]))
  }
