import { LRUCache } from 'lru-cache'

import type { Period, ReportKind, ReportScope } from '../types.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
/** 1970-01-05 was a Monday. */
const MONDAY = 4 * DAY

/** Zones are many by the spellings that callers may choose. */
const formats = new LRUCache<string, Intl.DateTimeFormat>({ max: 100 })

/** The wall clock of the zone, as milliseconds as if it showed UTC. */
const toLocal = (timezone: string, instant: number): number => {
  let format = formats.get(timezone)
  if (!format) {
    format = new Intl.DateTimeFormat('en', {
      timeZone: timezone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
    formats.set(timezone, format)
  }
  const part = Object.fromEntries(format.formatToParts(instant).map(({ type, value }) => [type, Number(value)]))
  return Date.UTC(part['year']!, part['month']! - 1, part['day'], part['hour'], part['minute'], part['second'])
}

/** The first instant that shows this local time; where clocks skip it, the instant of the jump or as far past it. */
const toInstant = (timezone: string, local: number): number => {
  // Clocks change less often than every two days, so one of these two offsets is in force.
  const [before, after] = [local - DAY, local + DAY].map((near) => local - (toLocal(timezone, near) - near)) as [
    number,
    number,
  ]
  const shown = [before, after].filter((instant) => toLocal(timezone, instant) === local)
  return shown.length > 0 ? Math.min(...shown) : before
}

const floor = (value: number, step: number, origin = 0): number => Math.floor((value - origin) / step) * step + origin

/** Local beginnings of the last whole period before `local`, of the one before it, and where it ends. */
const boundaries = (
  kind: 'DAILY' | 'WEEKLY' | 'MONTHLY',
  local: number,
): [previous: number, from: number, to: number] => {
  if (kind === 'MONTHLY') {
    const date = new Date(local)
    const month = (back: number): number => Date.UTC(date.getUTCFullYear(), date.getUTCMonth() - back, 1)
    return [month(2), month(1), month(0)]
  }
  const [length, origin] = kind === 'WEEKLY' ? [7 * DAY, MONDAY] : [DAY, 0]
  const end = floor(local, length, origin)
  return [end - 2 * length, end - length, end]
}

type Instants = [before: number, from: number, to: number]

const spans = (...[before, from, to]: Instants): { period: Period; previous: Period } => ({
  period: { from: new Date(from), to: new Date(to) },
  previous: { from: new Date(before), to: new Date(from) },
})

/**
 * The last whole hour, day, week (from Monday) or month before `at` on the clocks of the zone, and the one before it. Days on which clocks
 * change have 23 or 25 hours. @throws {RangeError} no such zone
 */
export const periodOf = (kind: ReportKind, at: Date, timezone: string): { period: Period; previous: Period } => {
  const local = toLocal(timezone, floor(at.getTime(), 1_000))
  if (kind === 'HOURLY') {
    const end = floor(at.getTime(), 1_000) - (local - floor(local, HOUR))
    return spans(end - 2 * HOUR, end - HOUR, end)
  }
  const around = (day: number) => boundaries(kind, day).map((start) => toInstant(timezone, start)) as Instants
  const [before, from, to] = around(local)
  // A day that the zone left out, as Samoa did when it went over the date line, begins where it ends: no period.
  if (from === to) return spans(...around(local - DAY))
  return before === from ? spans(around(local - DAY)[0], from, to) : spans(before, from, to)
}

/** Where the points of a chart begin: five minutes of an hour, hours of a day, days of a week or month. Epoch ms. */
const startsOf = ({ from, to }: Period, kind: ReportKind, timezone: string): number[] => {
  const starts = [from.getTime()]
  const next = (start: number): number => {
    if (kind === 'HOURLY') return start + 5 * MINUTE
    if (kind === 'DAILY') return start + HOUR
    return toInstant(timezone, floor(toLocal(timezone, start), DAY) + DAY)
  }
  for (let start = next(starts[0]!); start < to.getTime(); start = next(start)) starts.push(start)
  return starts
}

export interface Buckets {
  /** Of the period, in order of time, each with the beginning of the one it is compared with. Epoch ms; null: there is none. */
  points: { start: number; previous: number | null }[]
  /** Every beginning and end of both periods in seconds, in order. */
  edges: number[]
}

/** The points of charts. Hours of a day are compared by the clock on the wall, whatever it did in the night; others by their number. */
export const bucketsOf = ({ kind, period, previous, timezone }: ReportScope): Buckets => {
  const [starts, earlier] = [startsOf(period, kind, timezone), startsOf(previous, kind, timezone)]
  const timeOfDay = (instant: number): number => toLocal(timezone, instant) % DAY
  const byTime = new Map(earlier.toReversed().map((start) => [timeOfDay(start), start]))
  const compared = (start: number, index: number): number | null =>
    (kind === 'DAILY' ? byTime.get(timeOfDay(start)) : earlier[index]) ?? null
  const ends = [period, previous].map(({ to }) => to.getTime())
  return {
    points: starts.map((start, index) => ({ start, previous: compared(start, index) })),
    edges: [...new Set([...starts, ...earlier, ...ends])].map((at) => at / 1_000).toSorted((a, b) => a - b),
  }
}
