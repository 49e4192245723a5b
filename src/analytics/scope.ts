import { join, type Sql, sql } from '../clickhouse/index.ts'
import { DAY } from './interval.ts'
import type { TimeRange } from './time-range.ts'
import type { Asker } from './run.ts'

/**
 * Requests of a range. The sort key begins with the hour, and the engine does not derive hours from `timestamp` by itself (it then reads the
 * whole day: 864,000 rows instead of 40,960 in the trial), so the hours are named too.
 */
const inRange = ({ from, to }: TimeRange): Sql => {
  const [first, end] = [new Date(from), new Date(to)]
  return sql`timestamp >= ${first} AND timestamp < ${end} AND toStartOfHour(timestamp) >= toStartOfHour(${first}) AND toStartOfHour(timestamp) < ${end}`
}

/** The rows that the asker may see at all. Every statement over request_logs has it. */
export const visibleTo = ({ services }: Asker): Sql => (services ? sql`service IN ${[...services]}` : sql`true`)

export const rowsOf = (range: TimeRange, asker: Asker, condition: Sql): Sql =>
  join([inRange(range), visibleTo(asker), condition], ' AND ')

const STEPS = [DAY / 24, DAY, 7 * DAY, 30 * DAY, 365 * DAY]

/**
 * Pieces of a range from one end on: the nearest hour, then up to a day, a week …, so that a page of the newest rows reads
 * an hour of a busy store and only an idle one is searched far back. Together they are the range.
 */
export const widening = function* ({ from, to }: TimeRange, end: 'newest' | 'oldest'): Generator<TimeRange> {
  let done = 0
  for (const step of [...STEPS, Number.POSITIVE_INFINITY]) {
    const length = Math.min(step, to - from)
    yield end === 'newest' ? { from: to - length, to: to - done } : { from: from + done, to: from + length }
    if (length === to - from) return
    done = length
  }
}
