/** A length of time: months where the calendar counts (1M, P1Y), else milliseconds. `text` is what was given. */
export interface Interval {
  months: number
  ms: number
  text: string
}

export const SECOND = 1_000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

const UNITS: Record<string, number> = { ms: 1, s: SECOND, m: MINUTE, h: HOUR, d: DAY, w: 7 * DAY }
const MONTHS: Record<string, number> = { M: 1, y: 12 }

export const INTERVAL_ALLOWED = "a length such as '30s', '5m', '1h', '7d', '1M' or ISO 8601 'PT5M', 'P1D'"

const number = (digits: string | undefined): number => Number(digits ?? 0)

const fromIso = (text: string): Omit<Interval, 'text'> | undefined => {
  const [, years, months, weeks, days, hours, minutes, seconds] =
    /^P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/.exec(text) ?? []
  if (!text.startsWith('P')) return undefined
  return {
    months: number(years) * 12 + number(months),
    ms:
      number(weeks) * 7 * DAY +
      number(days) * DAY +
      number(hours) * HOUR +
      number(minutes) * MINUTE +
      Math.round(number(seconds) * SECOND),
  }
}

/** Reads '5m', '1h', '1d', '1M' (Grafana's `$__interval`) or ISO 8601. Undefined where it is none, or no time at all. */
export const parseInterval = (text: string): Interval | undefined => {
  const [, digits, unit] = /^(\d{1,9})(ms|[smhdwMy])$/.exec(text) ?? []
  const parsed =
    digits === undefined
      ? fromIso(text)
      : { months: Number(digits) * (MONTHS[unit!] ?? 0), ms: Number(digits) * (UNITS[unit!] ?? 0) }
  if (!parsed || (parsed.months === 0 && parsed.ms === 0) || (parsed.months > 0 && parsed.ms > 0)) return undefined
  return parsed.ms > 100 * 366 * DAY || parsed.months > 1_200 ? undefined : { ...parsed, text }
}
