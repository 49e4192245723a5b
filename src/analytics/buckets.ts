import { conflicting, checkInteger, invalid } from './errors.ts'
import { DAY, HOUR, type Interval, MINUTE } from './interval.ts'
import { LIMITS } from './limits.ts'
import type { TimeRange } from './time-range.ts'
import { addMonths, type Zone } from './time-zone.ts'

export const GRANULARITIES = [
  'AUTO',
  'MINUTE',
  'FIVE_MINUTES',
  'FIFTEEN_MINUTES',
  'HOUR',
  'DAY',
  'WEEK',
  'MONTH',
] as const
export type Granularity = (typeof GRANULARITIES)[number]

export interface BucketInput {
  granularity?: Granularity | null | undefined
  interval?: Interval | null | undefined
  maxBuckets?: number | null | undefined
  timezone?: string | null | undefined
  fillGaps?: boolean | null | undefined
}

/** Buckets that cover a range, told apart here and nowhere else, so that the store and the gaps filled in agree to the second. */
export interface Buckets {
  /** Undefined for an interval that has no name. */
  granularity: Exclude<Granularity, 'AUTO'> | undefined
  /** Whole seconds' milliseconds, rising; the first is at or before the range's beginning. */
  starts: number[]
  /** Where the last one ends. */
  end: number
}

interface Step {
  granularity: Exclude<Granularity, 'AUTO'> | undefined
  months: number
  ms: number
}

const STEPS: readonly Step[] = [
  { granularity: 'MINUTE', months: 0, ms: MINUTE },
  { granularity: 'FIVE_MINUTES', months: 0, ms: 5 * MINUTE },
  { granularity: 'FIFTEEN_MINUTES', months: 0, ms: 15 * MINUTE },
  { granularity: 'HOUR', months: 0, ms: HOUR },
  { granularity: 'DAY', months: 0, ms: DAY },
  { granularity: 'WEEK', months: 0, ms: 7 * DAY },
  { granularity: 'MONTH', months: 1, ms: 0 },
]

/** 1970-01-05 was a Monday: weeks, and other runs of days, count from it. */
const MONDAY = 4 * DAY

const floorLocal = (local: number, { months, ms }: Step): number => {
  if (months > 0) {
    const date = new Date(local)
    const index = date.getUTCFullYear() * 12 + date.getUTCMonth()
    return addMonths(0, Math.floor(index / months) * months - 1970 * 12)
  }
  const origin = ms > DAY ? MONDAY : 0
  return Math.floor((local - origin) / ms) * ms + origin
}

/** The instant in (from, to] at which the clock was changed; they differ in offset. */
const transition = (zone: Zone, from: number, to: number): number => {
  const offset = zone.offsetAt(from)
  let [low, high] = [from, to]
  while (high - low > 1_000) {
    const middle = Math.floor((low + high) / 2_000) * 1_000
    if (zone.offsetAt(middle) === offset) low = middle
    else high = middle
  }
  return high
}

/** Parts of a day follow the clock on the wall, also where it jumps: an hour that comes twice makes two buckets. */
const nextWithinDay = (start: number, { ms }: Step, zone: Zone): number => {
  const local = zone.toLocal(start)
  const floor = Math.floor(local / ms)
  const next = start + (ms - (local - floor * ms))
  if (zone.offsetAt(next) === zone.offsetAt(start)) return next
  const jump = transition(zone, start, next)
  const after = zone.toLocal(jump)
  if (after % ms === 0 || Math.floor(after / ms) > floor) return jump
  return jump + (ms - (((after % ms) + ms) % ms))
}

const nextStart = (start: number, step: Step, zone: Zone): number => {
  if (step.months === 0 && step.ms < DAY) return nextWithinDay(start, step, zone)
  const floor = floorLocal(zone.toLocal(start), step)
  return zone.toInstant(step.months > 0 ? addMonths(floor, step.months) : floor + step.ms)
}

const firstStart = (from: number, step: Step, zone: Zone): number => {
  if (step.months > 0 || step.ms >= DAY) return zone.toInstant(floorLocal(zone.toLocal(from), step))
  // From midnight on, which is a boundary of every part of a day, up to the one that holds `from`.
  let start = zone.toInstant(floorLocal(zone.toLocal(from), { granularity: 'DAY', months: 0, ms: DAY }))
  const offset = zone.offsetAt(start)
  if (zone.offsetAt(from) === offset && zone.toLocal(start) % step.ms === 0)
    return start + Math.floor((from - start) / step.ms) * step.ms
  for (let next = start; next <= from; next = nextWithinDay(next, step, zone)) start = next
  return start
}

const expected = (range: TimeRange, step: Step): number =>
  (range.to - range.from) / (step.months > 0 ? step.months * 31 * DAY : step.ms)

const bucketsOf = (range: TimeRange, step: Step, zone: Zone): Buckets => {
  const starts = [firstStart(range.from, step, zone)]
  let end = nextStart(starts[0]!, step, zone)
  while (end < range.to) {
    starts.push(end)
    end = nextStart(end, step, zone)
  }
  return { granularity: step.granularity, starts, end }
}

const stepOfInterval = (interval: Interval): Step => {
  const { months, ms } = interval
  const named = STEPS.find((step) => step.months === months && step.ms === ms)
  if (named) return named
  const fits =
    months > 0 ? 12 % months === 0 || months % 12 === 0 : ms < DAY ? ms % 1_000 === 0 && DAY % ms === 0 : ms % DAY === 0
  if (fits) return { granularity: undefined, months, ms }
  throw invalid(
    'bucket.interval',
    interval.text,
    'one second or more that parts a day evenly (such as 10s, 5m, 2h), whole days, or months that part a year evenly',
  )
}

/**
 * The buckets of a range: of the interval or granularity asked for, or for AUTO the finest named one that stays within `maxBuckets`.
 * @throws {AnalyticsError} INVALID_ARGUMENT, also when there would be too many
 */
export const resolveBuckets = (input: BucketInput, range: TimeRange, zone: Zone): Buckets => {
  const max = checkInteger('bucket.maxBuckets', input.maxBuckets ?? 500, 1, LIMITS.maxBuckets)
  const granularity = input.granularity ?? 'AUTO'
  if (input.interval && granularity !== 'AUTO')
    throw conflicting(
      'bucket',
      `bucket has interval ${input.interval.text} beside granularity ${granularity}; give one of them`,
    )
  if (!input.interval && granularity === 'AUTO') {
    for (const step of STEPS) {
      if (expected(range, step) > max + 2) continue
      const buckets = bucketsOf(range, step, zone)
      if (buckets.starts.length <= max) return buckets
    }
  } else {
    const step = input.interval
      ? stepOfInterval(input.interval)
      : STEPS.find((step) => step.granularity === granularity)!
    const buckets = expected(range, step) > max + 2 ? undefined : bucketsOf(range, step, zone)
    if (buckets && buckets.starts.length <= max) return buckets
  }
  const asked = input.interval ? `interval ${input.interval.text}` : `granularity ${granularity}`
  throw conflicting(
    'bucket',
    `bucket.${asked} makes more than ${max} buckets of this range; take a coarser one, a shorter timeRange, or a higher bucket.maxBuckets (${LIMITS.maxBuckets} at most)`,
  )
}
