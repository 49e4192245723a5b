import { param, sql } from '../clickhouse/index.ts'
import { HOUR } from './interval.ts'
import { type LogField, logColumns, logOf, type RequestLog, type StoredLog } from './log-row.ts'
import type { Asker, Run } from './run.ts'
import { rowsOf, visibleTo } from './scope.ts'

export interface LogList {
  /** All rows there are. */
  count: number
  rows: RequestLog[]
}

interface HourOfPage {
  hour: string
  rows: string
  upto: string
  total: string
}

/**
 * Rows by their number, newest first, for readers that page by number. The hours are counted first, which reads the sort
 * key alone; then only those hours are read that the page lies in, however deep it is.
 */
export const listLogs = async (
  { offset, limit, fields }: { offset: number; limit: number; fields: ReadonlySet<LogField> },
  asker: Asker,
  run: Run,
): Promise<LogList> => {
  const hours = await run<HourOfPage>(
    sql`SELECT hour, rows, upto, total FROM (SELECT hour, rows, sum(rows) OVER (ORDER BY hour DESC) AS upto, sum(rows) OVER () AS total FROM (SELECT toUnixTimestamp(toStartOfHour(timestamp)) AS hour, count() AS rows FROM request_logs WHERE ${visibleTo(asker)} GROUP BY hour)) WHERE (upto > ${offset} AND upto - rows < ${offset + limit}) OR upto = rows ORDER BY hour DESC`,
  )
  const newest = hours[0]
  if (!newest) return { count: 0, rows: [] }
  const count = Number(newest.total)
  const ofPage = hours.filter(({ upto }) => Number(upto) > offset)
  const [first, last] = [ofPage[0], ofPage.at(-1)]
  if (!first || !last) return { count, rows: [] }
  const range = { from: Number(last.hour) * 1_000, to: Number(first.hour) * 1_000 + HOUR }
  const before = Number(first.upto) - Number(first.rows)
  const stored = await run<StoredLog>(
    sql`SELECT ${logColumns(fields)} FROM request_logs WHERE ${rowsOf(range, asker, sql`true`)} ORDER BY timestamp DESC, ip DESC, batch DESC, row DESC LIMIT ${param('UInt32', limit)} OFFSET ${param('UInt64', offset - before)}`,
  )
  return { count, rows: stored.map((row) => logOf(row, fields)) }
}
