import { DAY } from './interval.ts'

/** Wall clocks of one IANA zone. Local times are milliseconds as if the clock on the wall showed UTC. */
export interface Zone {
  /** As it was asked for. */
  name: string
  /** As the zone database spells it: ClickHouse minds the case. */
  canonical: string
  /** Milliseconds east of UTC at an instant. */
  offsetAt: (instant: number) => number
  toLocal: (instant: number) => number
  /** The first instant that shows this local time; where clocks skip it, the instant of the jump or as far past it. */
  toInstant: (local: number) => number
}

/** Zones by IANA name only: offsets such as `+02:00`, which Intl takes too, have no daylight saving and ClickHouse knows none. */
export const isTimeZone = (name: string): boolean => {
  if (!/^[A-Za-z][\w+-]*(?:\/[\w+-]+){0,2}$/.test(name)) return false
  try {
    new Intl.DateTimeFormat('en', { timeZone: name }).format(0)
    return true
  } catch {
    return false
  }
}

/** Asking Intl costs about 2 µs, so a day whose two ends agree is known by its number: clocks change once a day at most. */
const offsets = (timeZone: string): ((instant: number) => number) => {
  const format = new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset' })
  const ask = (instant: number): number => {
    const name = format.formatToParts(instant).find(({ type }) => type === 'timeZoneName')!.value
    const [, sign, hours, minutes, seconds] = /^GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(name) ?? []
    if (!sign) return 0
    return (sign === '-' ? -1_000 : 1_000) * (Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds ?? 0))
  }
  const midnights = new Map<number, number>()
  const atMidnight = (day: number): number => {
    const known = midnights.get(day)
    if (known !== undefined) return known
    const offset = ask(day * DAY)
    midnights.set(day, offset)
    return offset
  }
  return (instant) => {
    const day = Math.floor(instant / DAY)
    const offset = atMidnight(day)
    return offset === atMidnight(day + 1) ? offset : ask(instant)
  }
}

/** @param name one that `isTimeZone` takes */
export const createZone = (name: string): Zone => {
  const canonical = new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone
  const offsetAt = canonical === 'UTC' ? () => 0 : offsets(canonical)
  const toInstant = (local: number): number => {
    // Clocks change less often than every two days, so one of these two offsets is in force.
    const before = local - offsetAt(local - DAY)
    const after = local - offsetAt(local + DAY)
    const shown = [before, after].filter((instant) => instant + offsetAt(instant) === local)
    return shown.length > 0 ? Math.min(...shown) : before
  }
  return { name, canonical, offsetAt, toLocal: (instant) => instant + offsetAt(instant), toInstant }
}

const pad = (value: number): string => String(value).padStart(2, '0')

/** The wall clock with its offset: `2026-03-29T03:00:00+02:00`. */
export const formatLocal = (instant: number, zone: Zone): string => {
  const offset = zone.offsetAt(instant)
  const minutes = Math.abs(offset) / 60_000
  const text = new Date(instant + offset).toISOString().slice(0, 19)
  return `${text}${offset < 0 ? '-' : '+'}${pad(Math.floor(minutes / 60))}:${pad(Math.floor(minutes % 60))}`
}

/** The same day of the month and time of day so many months later, or the last day of a shorter month. */
export const addMonths = (local: number, months: number): number => {
  const date = new Date(local)
  const index = date.getUTCFullYear() * 12 + date.getUTCMonth() + months
  const year = Math.floor(index / 12)
  const month = index - year * 12
  const lastDay = new Date(Date.UTC(year, month + 1, 0)).getUTCDate()
  return Date.UTC(year, month, Math.min(date.getUTCDate(), lastDay)) + (((local % DAY) + DAY) % DAY)
}
