import { InvalidArgumentError } from 'commander'

const UNITS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 7 * 86_400_000 }

/** @param direction 1: from now on, -1: before now */
const at = (given: string, direction: 1 | -1): Date => {
  const [, count, unit] = /^(\d{1,6})([mhdw])$/.exec(given) ?? []
  if (count !== undefined) return new Date(Date.now() + direction * Number(count) * UNITS[unit!]!)
  const date = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(given)
    ? new Date(given)
    : undefined
  if (!date || Number.isNaN(date.getTime()))
    throw new InvalidArgumentError('Allowed are 30m, 12h, 90d, 2w, 2027-01-31 or 2027-01-31T12:00:00Z.')
  return date
}

/** `90d`, `12h`, `30m`, `2w` from now, or a date or time of RFC 3339 (a date begins at midnight UTC). */
export const moment = (given: string): Date => at(given, 1)

/** `90d`, `12h`, `30m`, `2w` ago, or a date or time of RFC 3339. */
export const ago = (given: string): Date => at(given, -1)

/** For options that are given several times, or once with commas. */
export const list = (given: string, before: readonly string[] = []): string[] => [
  ...before,
  ...given
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean),
]

export const wholeNumber = (given: string): number => {
  if (!/^\d{1,15}$/.test(given)) throw new InvalidArgumentError('Allowed is a whole number.')
  return Number(given)
}
