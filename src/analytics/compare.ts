import { conflicting } from './errors.ts'
import { DAY } from './interval.ts'
import { resolveTimeRange, type TimeRange, type TimeRangeInput } from './time-range.ts'
import { addMonths, type Zone } from './time-zone.ts'

export const COMPARE_PERIODS = [
  'PREVIOUS_PERIOD',
  'PREVIOUS_DAY',
  'PREVIOUS_WEEK',
  'PREVIOUS_MONTH',
  'PREVIOUS_YEAR',
  'CUSTOM',
] as const
export type ComparePeriod = (typeof COMPARE_PERIODS)[number]

export interface CompareInput {
  period?: ComparePeriod | null | undefined
  custom?: TimeRangeInput | null | undefined
}

/** The range to compare with, and the way back to it from an instant of the range asked for. */
export interface Comparison {
  range: TimeRange
  shift: (instant: number) => number
}

const byDays = (zone: Zone, days: number) => (instant: number) => zone.toInstant(zone.toLocal(instant) + days * DAY)
const byMonths = (zone: Zone, months: number) => (instant: number) =>
  zone.toInstant(addMonths(zone.toLocal(instant), months))

const isMonthStart = (local: number): boolean => local % DAY === 0 && new Date(local).getUTCDate() === 1

/**
 * What moves one instant to another, told as a person would: whole months between firsts of months, whole days between equal
 * times of day (so that a week with a change of clocks still compares Monday with Monday), else milliseconds.
 */
const moving = (from: number, to: number, zone: Zone): ((instant: number) => number) => {
  const [start, end] = [zone.toLocal(from), zone.toLocal(to)]
  if (isMonthStart(start) && isMonthStart(end)) {
    const [a, b] = [new Date(start), new Date(end)]
    return byMonths(zone, (b.getUTCFullYear() - a.getUTCFullYear()) * 12 + b.getUTCMonth() - a.getUTCMonth())
  }
  return (end - start) % DAY === 0 ? byDays(zone, (end - start) / DAY) : (instant) => instant + to - from
}

/** @throws {AnalyticsError} INVALID_ARGUMENT */
export const resolveComparison = (input: CompareInput, range: TimeRange, zone: Zone, now: number): Comparison => {
  const period = input.period ?? (input.custom ? 'CUSTOM' : 'PREVIOUS_PERIOD')
  if ((period === 'CUSTOM') !== Boolean(input.custom))
    throw conflicting('compareTo', 'compareTo.custom and compareTo.period CUSTOM belong together; give both or neither')
  if (period === 'CUSTOM') {
    const custom = resolveTimeRange('compareTo.custom', input.custom!, now)
    return { range: custom, shift: moving(range.from, custom.from, zone) }
  }
  const shift = {
    PREVIOUS_PERIOD: moving(range.to, range.from, zone),
    PREVIOUS_DAY: byDays(zone, -1),
    PREVIOUS_WEEK: byDays(zone, -7),
    PREVIOUS_MONTH: byMonths(zone, -1),
    PREVIOUS_YEAR: byMonths(zone, -12),
  }[period]
  return { range: { from: shift(range.from), to: shift(range.to) }, shift }
}
