import type { Asker, Run } from '../../analytics/index.ts'
import { sql } from '../../clickhouse/index.ts'
import { flagging, mergedSql, type Range } from './merge.ts'

/** How far people have got with what was flagged. */
export interface Reviewed {
  /** Addresses flagged in the range. */
  flagged: number
  /** Those of them with a verdict that still holds. */
  reviewed: number
  /** reviewed / flagged; null: nobody was flagged. */
  share: number | null
  /** Median of the time from being flagged in the range to the first verdict after, in ms; null: there was none. */
  timeToVerdictMs: number | null
}

export const findReviewed = async (range: Range, asker: Asker, run: Run): Promise<Reviewed> => {
  const [row] = await run<{ flagged: string; reviewed: string; timed: string; ms: number | null }>(
    sql`SELECT count() AS flagged, countIf(s.status != 'OPEN') AS reviewed, countIf(r.at >= s.since) AS timed, quantileExactIf(0.5)(r.at - s.since, r.at >= s.since) AS ms FROM (SELECT address, status, toInt64(toUnixTimestamp(first_flagged)) * 1000 AS since FROM (${mergedSql(flagging(range, asker), { verdicts: true })})) AS s LEFT JOIN (SELECT toIPv6(id) AS address, min(toUnixTimestamp64Milli(changed_at)) AS at FROM store_versions WHERE kind = 'verdict' AND JSONExtractString(body, 'status') NOT IN ('', 'OPEN') AND changed_at >= ${new Date(range.from)} GROUP BY id) AS r ON r.address = s.address`,
  )
  const [flagged, reviewed] = [Number(row!.flagged), Number(row!.reviewed)]
  return {
    flagged,
    reviewed,
    share: flagged === 0 ? null : reviewed / flagged,
    timeToVerdictMs: Number(row!.timed) === 0 ? null : Number(row!.ms),
  }
}
