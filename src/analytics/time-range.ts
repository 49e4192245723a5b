import { conflicting, invalid } from './errors.ts'
import type { Interval } from './interval.ts'
import { LIMITS } from './limits.ts'
import { addMonths } from './time-zone.ts'

/** Half-open: `from` is in it, `to` is not. Milliseconds since 1970. */
export interface TimeRange {
  from: number
  to: number
}

export interface TimeRangeInput {
  from?: Date | null | undefined
  to?: Date | null | undefined
  last?: Interval | null | undefined
}

/** The store counts seconds in 32 bits where it makes buckets. */
const LATEST = 2 ** 32 * 1_000

const instant = (argument: string, given: Date): number => {
  const at = given.getTime()
  if (at >= 0 && at < LATEST) return at
  throw invalid(argument, given, `an instant from 1970-01-01 to ${new Date(LATEST).toISOString().slice(0, 10)}`)
}

const lastOf = (last: Interval, now: number): TimeRange => ({
  from: Math.max(0, last.months > 0 ? addMonths(now, -last.months) : now - last.ms),
  to: now,
})

/**
 * `from` with `to`, or `last` alone; `from` alone goes on until now.
 * @throws {AnalyticsError} INVALID_ARGUMENT, LIMIT_EXCEEDED
 */
export const resolveTimeRange = (argument: string, input: TimeRangeInput, now: number): TimeRange => {
  const { from, to, last } = input
  if (last && (from || to))
    throw conflicting(argument, `${argument} has last beside from or to; give either last, or from and to`)
  if (!last && !from) throw conflicting(argument, `${argument} has no beginning; give from and to, or last`)
  const range = last
    ? lastOf(last, now)
    : { from: instant(`${argument}.from`, from!), to: to ? instant(`${argument}.to`, to) : now }
  if (range.from >= range.to)
    throw conflicting(
      argument,
      `${argument}.from (${new Date(range.from).toISOString()}) is not before ${argument}.to (${new Date(range.to).toISOString()}); the range holds from and ends before to`,
    )
  if (range.to - range.from > LIMITS.maxTimeRangeSeconds * 1_000)
    throw invalid(
      argument,
      `${Math.round((range.to - range.from) / 86_400_000)} days`,
      `${LIMITS.maxTimeRangeSeconds / 86_400} days at most`,
    )
  return range
}
