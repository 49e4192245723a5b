import { type ClickHouse, sql } from '../clickhouse/index.ts'

/**
 * How many requests the hourly roll-ups of each day (UTC) know, of the days of which hours were closed, or closed anew, since: by the
 * day's beginning in ms. What the job `daily` compares, so that a day whose hours changed is made again.
 */
export const rowsOfDays =
  (clickhouse: ClickHouse) =>
  async (since: Date, signal: AbortSignal): Promise<ReadonlyMap<number, number>> => {
    const { rows } = await clickhouse.query<{ day: number; requests: number }>(
      sql`
        SELECT toUnixTimestamp(toStartOfDay(hour)) * 1000 AS day, sum(requests) AS requests FROM service_sketches
        WHERE toStartOfDay(hour) IN (
          SELECT toStartOfDay(window_from) FROM job_runs
          WHERE job = 'hourly' AND status = 'succeeded' AND recorded_at >= ${since}
        )
        GROUP BY day
        ORDER BY day`,
      { comment: 'rollups rows of days', signal },
    )
    return new Map(rows.map(({ day, requests }) => [day, requests]))
  }
