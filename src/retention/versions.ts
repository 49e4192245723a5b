import { type ClickHouse, type QueryOptions, type Sql, sql } from '../clickhouse/index.ts'

const DAY_MS = 86_400_000
/** As long as mails are on record (TTL of `deliveries`). */
const KEPT_FOR_MS = 400 * DAY_MS
const EVERY_MS = DAY_MS

export interface VersionCleaner {
  /** @returns rows that were deleted */
  clean: (now: number, signal?: AbortSignal) => Promise<number>
}

/**
 * Deletes old versions of what comes up by itself, hour after hour: notices of incidents, and runs of report subscriptions, of which the last
 * stays. What people changed is few, and stays as the record of who did it. Looks once a day.
 */
/** @param findingsForDays notices of incidents stay as long as findings do, if that is longer */
export const createVersionCleaner = (clickhouse: ClickHouse, findingsForDays = 0): VersionCleaner => {
  let cleanedAt = -Infinity

  return {
    clean: async (now, signal) => {
      if (now - cleanedAt < EVERY_MS) return 0
      const options: QueryOptions = { signal, comment: 'job cleanup versions', maxExecutionSeconds: 3_600 }
      const before = new Date(now - KEPT_FOR_MS)
      const incidentsBefore = new Date(now - Math.max(KEPT_FOR_MS, findingsForDays * DAY_MS))
      const old: Sql = sql`(kind = 'incident' AND changed_at < ${incidentsBefore}) OR (kind = 'report_run' AND changed_at < ${before} AND (id, version) NOT IN (SELECT id, max(version) FROM store_versions WHERE kind = 'report_run' GROUP BY id))`
      const { rows } = await clickhouse.query<{ rows: string }>(
        sql`SELECT count() AS rows FROM store_versions WHERE ${old}`,
        options,
      )
      const count = Number(rows[0]!.rows)
      if (count > 0)
        await clickhouse.command(sql`ALTER TABLE store_versions DELETE WHERE ${old}`, {
          ...options,
          settings: { mutations_sync: 2 },
        })
      cleanedAt = now
      return count
    },
  }
}
