import type { ReportKind } from '../types.ts'

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })
const tenths = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 })

/** `12,345`. */
export const count = (value: number): string => whole.format(value)

/** `1 address`, `12 addresses`. */
export const counted = (value: number, one: string, many = `${one}s`): string =>
  `${count(value)} ${value === 1 ? one : many}`

/** Of a share from 0 to 1: `12 %`, `0.4 %`. */
export const percent = (share: number): string => `${(Math.abs(share) < 0.1 ? tenths : whole).format(share * 100)} %`

/** `the day before`. */
export const before = (kind: ReportKind): string =>
  ({ HOURLY: 'the hour before', DAILY: 'the day before', WEEKLY: 'the week before', MONTHLY: 'the month before' })[kind]

/** `up 12 %`, `down 3 %`, `unchanged`, `up from none`. */
export const changed = (value: number, previous: number): string => {
  if (value === previous) return 'unchanged'
  if (previous === 0) return 'up from none'
  const change = value / previous - 1
  if (Math.abs(change) < 0.005) return 'nearly unchanged'
  const shown = Math.abs(change) < 0.1 ? tenths.format(Math.abs(change) * 100) : whole.format(Math.abs(change) * 100)
  return `${change > 0 ? 'up' : 'down'} ${shown} %`
}

/** `a`, `a and b`, `a, b and c`; of more than `most`, the rest as a number. */
export const listed = (names: readonly string[], most = 3): string => {
  const shown = names.length > most ? [...names.slice(0, most), `${names.length - most} more`] : names
  return shown.length < 2 ? (shown[0] ?? '') : `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)!}`
}

/** `none of them`, `3 of them`. */
export const ofThem = (value: number): string => `${value === 0 ? 'none' : count(value)} of them`

const LONGEST = 60

/** What somebody else named, as part of a sentence: on one line, cut, without marks that turn the rest of it round. */
export const quoted = (text: string): string => {
  const plain = text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]+/gu, ' ').trim()
  return `"${plain.length > LONGEST ? `${plain.slice(0, LONGEST)}…` : plain}"`
}

/** With its first letter large. */
export const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
