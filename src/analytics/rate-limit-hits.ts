import { sql } from '../clickhouse/index.ts'
import { toInteger } from './log-row.ts'
import type { Asker, Run } from './run.ts'
import { rowsOf } from './scope.ts'
import { resolveTimeRange, type TimeRangeInput } from './time-range.ts'

export interface HitsInput {
  /** Of entries of the block list. */
  entryIds: readonly string[]
  timeRange: TimeRangeInput
}

/** Decisions of a range in which each of these entries had a say. @throws {AnalyticsError} */
export const blockListHits = async (
  { entryIds, timeRange }: HitsInput,
  asker: Asker,
  run: Run,
  now: number,
): Promise<Map<string, number | bigint>> => {
  const range = resolveTimeRange('timeRange', timeRange, now)
  const rows = await run<{ entry: string; hits: string }>(
    sql`SELECT entry_id AS entry, sum(count) AS hits FROM decisions WHERE ${rowsOf(range, asker, sql`entry_id IN ${[...entryIds]}`)} GROUP BY entry`,
  )
  return new Map(rows.map(({ entry, hits }) => [entry, toInteger(hits)]))
}
