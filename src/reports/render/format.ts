import { LRUCache } from 'lru-cache'

import { countryName } from '../../geo/index.ts'
import type { Cell, Column, Figure, Period, ReportKind, ReportScope, Unit } from '../types.ts'
import { cut, hostile, LONGEST, prose } from './disarm.ts'

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })
// Always one, so that numbers below each other line up.
const tenth = new Intl.NumberFormat('en-US', { minimumFractionDigits: 1, maximumFractionDigits: 1 })
const tenths = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 })
const hundredths = new Intl.NumberFormat('en-US', { maximumFractionDigits: 2 })
const compact = new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 1 })

const BYTES = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const

const bytes = (value: number): string => {
  const step = Math.min(BYTES.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, Math.abs(value))) / 3)))
  return `${(step === 0 ? whole : tenth).format(value / 1000 ** step)} ${BYTES[step] ?? ''}`
}

const percent = (value: number): string =>
  // A share of 0.04 % is not none.
  `${(Math.abs(value) < 0.1 && value !== 0 ? hundredths : tenth).format(value)} %`

/** A ratio is shown in percent, whole counts with all their digits. */
export const number = (value: number, unit: Unit): string => {
  switch (unit) {
    case 'percent':
      return percent(value)
    case 'ratio':
      return percent(value * 100)
    case 'ms':
      return Math.abs(value) >= 10_000 ? `${tenth.format(value / 1000)} s` : `${whole.format(value)} ms`
    case 'bytes':
      return bytes(value)
    case 'hours':
      return `${tenths.format(value)} h`
    case 'none':
      return hundredths.format(value)
    case 'requests':
    case 'addresses':
    case 'findings':
      return whole.format(value)
  }
}

/** For the axis of a chart. */
export const tick = (value: number, unit: Unit): string =>
  unit === 'requests' || unit === 'addresses' || unit === 'findings' || unit === 'none'
    ? compact.format(value)
    : number(value, unit)

export interface Change {
  /** `▲ 12.4 %`, `unchanged`, `none before`; null where there is nothing to compare. */
  text: string
  /** What it was, such as `1,071`; null where the text says it. */
  was: string | null
  judgement: 'good' | 'bad' | 'neutral'
}

const difference = (value: number, previous: number, unit: Unit): string => {
  const up = value > previous ? '▲' : '▼'
  if (previous === 0) return `${up} from ${number(0, unit)}`
  if (unit === 'percent' || unit === 'ratio') {
    return `${up} ${tenth.format(Math.abs(value - previous) * (unit === 'ratio' ? 100 : 1))} pts`
  }
  const share = Math.abs(value / previous)
  // "900 %" is harder to read than "10 times".
  if (share >= 10) return `${up} ${whole.format(share)} times`
  return `${up} ${percent(Math.abs(share - 1) * 100)}`
}

export const change = ({ value, previous, unit, more }: Figure): Change | null => {
  if (value === null || previous === null) return null
  const was = number(previous, unit)
  // What reads the same has not changed, whatever the last digits say; nor has what changed by 0.0 points.
  const points = unit === 'ratio' ? 100 : unit === 'percent' ? 1 : undefined
  const isTiny = points !== undefined && previous !== 0 && Math.abs(value - previous) * points < 0.05
  if (isTiny || number(value, unit) === was) return { text: 'unchanged', was: null, judgement: 'neutral' }
  const judgement = more === 'neutral' ? 'neutral' : value > previous === (more === 'good') ? 'good' : 'bad'
  return { text: difference(value, previous, unit), was: previous === 0 ? null : was, judgement }
}

type Parts = Intl.DateTimeFormatOptions
/** Zones are many by the spellings that callers may choose. */
const formats = new LRUCache<string, Intl.DateTimeFormat>({ max: 100 })

const formatOf = (timezone: string, parts: Parts): Intl.DateTimeFormat => {
  const key = `${timezone} ${JSON.stringify(parts)}`
  const known = formats.get(key)
  if (known) return known
  const made = new Intl.DateTimeFormat('en-GB', { ...parts, timeZone: timezone, hourCycle: 'h23' })
  formats.set(key, made)
  return made
}

export const time = (instant: Date, timezone: string, parts: Parts): string =>
  formatOf(timezone, parts)
    .format(instant)
    .replace(/^(\w{3}), /, '$1 ')

const DAY: Parts = { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' }
const CLOCK: Parts = { hour: '2-digit', minute: '2-digit' }
export const MOMENT: Parts = { day: 'numeric', month: 'short', ...CLOCK }
export const FULL_MOMENT: Parts = { day: 'numeric', month: 'short', year: 'numeric', ...CLOCK, timeZoneName: 'short' }

/** `Mon 23 Nov 2026`, `16–22 Nov 2026`, `November 2026`, `23 Nov 2026, 13:00–14:00`. */
export const period = ({ from, to }: Period, kind: ReportKind, timezone: string): string => {
  // The end is not in it: a day ends with its own date, not with the next.
  const last = new Date(to.getTime() - 1)
  switch (kind) {
    case 'HOURLY':
      return `${time(from, timezone, DAY)}, ${time(from, timezone, CLOCK)}–${time(to, timezone, CLOCK)}`
    case 'DAILY':
      return time(from, timezone, DAY)
    case 'WEEKLY':
      return formatOf(timezone, { day: 'numeric', month: 'short', year: 'numeric' })
        .formatRange(from, last)
        .replaceAll('\u2009', '')
    case 'MONTHLY':
      return time(from, timezone, { month: 'long', year: 'numeric' })
  }
}

const KIND = { HOURLY: 'Hourly', DAILY: 'Daily', WEEKLY: 'Weekly', MONTHLY: 'Monthly' } as const
export const kindName = (kind: ReportKind): string => KIND[kind]

/** `vedette-daily-2026-11-24.pdf`; a month is `2026-11`, an hour one of UTC, `2026-11-24T13`. */
export const fileName = ({ kind, period: { from }, timezone }: ReportScope, extension: string): string => {
  const hour = from.toISOString().slice(0, 16).replace(/:00$/, '').replace(':', '')
  const day = from.toLocaleDateString('sv-SE', { timeZone: timezone })
  const when = kind === 'HOURLY' ? hour : kind === 'MONTHLY' ? day.slice(0, 7) : day
  return `vedette-${kind.toLowerCase()}-${when}.${extension}`
}

const MOST_SERVICES = 6

/** `All services`, or their names as far as a line goes. */
export const services = ({ services: names }: ReportScope): string => {
  if (names === null) return 'All services'
  const shown = names.slice(0, MOST_SERVICES).map((name) => prose(name, LONGEST.label))
  const more = names.length - shown.length
  return `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

const WORDS: ReadonlySet<Column['kind']> = new Set(['text', 'hostile', 'words', 'enum', 'address', 'country', 'time'])

/** Whether columns of this kind stand to the right. */
export const isNumeric = ({ kind }: Column): boolean => !WORDS.has(kind)

/** Stands where nothing is known. */
export const NOTHING = '–'

/** A cell as one clean line, not yet escaped. */
export const cell = (value: Cell | undefined, column: Column, timezone: string, longest?: number): string => {
  if (value === null || value === undefined || value === '') return NOTHING
  if (value instanceof Date) return time(value, timezone, MOMENT)
  if (typeof value === 'number') return number(value, isNumeric(column) ? (column.kind as Unit) : 'none')
  if (typeof value !== 'string') {
    const shown = value.map((each) => cell(each, column, timezone, LONGEST.label))
    return shown.length === 0 ? NOTHING : cut(shown.join(', '), longest ?? LONGEST.cell)
  }
  if (column.kind === 'hostile' || column.kind === 'words')
    return hostile(value, longest ?? (column.kind === 'words' ? LONGEST.cell : LONGEST.hostile))
  if (column.kind === 'enum') return prose(value.toLowerCase().replaceAll('_', ' '), longest ?? LONGEST.cell)
  const text = column.kind === 'country' ? countryName(value) || value : value
  return prose(text, longest ?? LONGEST.cell)
}
