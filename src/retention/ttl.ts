import { type ClickHouse, ident, raw, sql } from '../clickhouse/index.ts'

/** Ages in days at which rows go. */
export interface RetentionDays {
  /** Counted from arrival. */
  requestLogs: number
  /** Counted from when the row was written. */
  decisions: number
  /** Counted from when the finding was written. */
  findings: number
}

const AGEING = [
  { table: 'request_logs', column: 'ingested_at', kind: 'requestLogs', what: 'request logs' },
  { table: 'decisions', column: 'ingested_at', kind: 'decisions', what: 'decisions' },
  { table: 'findings_by_run', column: 'written_at', kind: 'findings', what: 'findings' },
] as const

/** As the configuration has it. */
export const retentionOf = (config: {
  retentionDays: number
  decisionRetentionDays: number
  findingRetentionDays: number
}): RetentionDays => ({
  requestLogs: config.retentionDays,
  decisions: config.decisionRetentionDays,
  findings: config.findingRetentionDays,
})

/**
 * Sets the ages at which rows go; does nothing where they are so already.
 * @returns what was changed, in words
 */
export const applyRetention = async (clickhouse: ClickHouse, days: RetentionDays): Promise<string[]> => {
  for (const [kind, value] of Object.entries(days) as [string, number][])
    if (!Number.isInteger(value) || value < 1)
      throw new RangeError(`retention of ${kind} is ${value} days; allowed is 1 or more, whole`)
  const { rows } = await clickhouse.query<{ name: string; engine_full: string }>(
    sql`SELECT name, engine_full FROM system.tables WHERE database = ${clickhouse.database} AND name IN ${AGEING.map(({ table }) => table)}`,
  )
  const changed: string[] = []
  for (const { table, column, kind, what } of AGEING) {
    const engine = rows.find(({ name }) => name === table)?.engine_full
    if (engine === undefined) continue
    const [, current] = new RegExp(String.raw`TTL ${column} \+ (?:toIntervalDay\(|INTERVAL )(\d+)`).exec(engine) ?? []
    if (Number(current) === days[kind]) continue
    await clickhouse.command(
      sql`ALTER TABLE ${ident(table)} MODIFY TTL ${ident(column)} + INTERVAL ${raw(String(days[kind]))} DAY`,
    )
    changed.push(`${what} are now kept for ${days[kind]} days`)
  }
  return changed
}
