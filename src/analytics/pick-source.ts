import { DAY, HOUR } from './interval.ts'
import { fieldOf, type MetricRef } from './metrics.ts'
import type { Question } from './question.ts'
import { isRolledUp, isSketched, measuresOf, ROLLUP_TABLES, type RollupTable } from './rollup-tables.ts'
import type { TimeRange } from './time-range.ts'

/** Windows whose roll-ups count, each stretch without a gap. */
export interface Covered {
  hours: readonly TimeRange[]
  days: readonly TimeRange[]
}

/** A part of a range, and which rows answer for it. */
export interface Piece extends TimeRange {
  rows: 'raw' | 'hours' | 'days'
}

/** The pieces of both periods, in order of time; together they are the range. */
export interface RolledUp {
  table: RollupTable
  /** The columns that its metrics are made of. */
  measures: readonly string[]
  current: readonly Piece[]
  previous: readonly Piece[]
}

export type DataSource = 'RAW' | 'ROLLUP_HOURLY' | 'ROLLUP_DAILY'

/** Days where any are read, else hours. */
export const dataSourceOf = (source: RolledUp | undefined): DataSource => {
  const rows = new Set([...(source?.current ?? []), ...(source?.previous ?? [])].map((piece) => piece.rows))
  return rows.has('days') ? 'ROLLUP_DAILY' : rows.has('hours') ? 'ROLLUP_HOURLY' : 'RAW'
}

const metricsOf = ({ selection, having, orderBy }: Question): MetricRef[] => [
  ...[selection.rows, selection.previous, selection.totals, selection.previousTotals, selection.others].flatMap(
    (refs) => refs ?? [],
  ),
  ...[...having, ...orderBy].flatMap(({ metric }) => (metric ? [{ field: fieldOf(metric) }] : [])),
]

/** Where buckets begin inside a range; of the earlier period, those they are compared with. */
const cutsOf = ({ buckets, comparison }: Question, period: 'current' | 'previous', { from, to }: TimeRange): number[] =>
  (buckets?.starts ?? [])
    .map((start) => (period === 'previous' ? comparison!.shift(start) : start))
    .filter((start) => start > from && start < to)

const isOn = (step: number) => (at: number) => at % step === 0

/**
 * The table that knows the dimensions, the filter and the metrics of a question, and whose hours lie within its buckets; undefined: only raw
 * rows do.
 */
export const tableFor = (question: Question): RollupTable | undefined => {
  const metrics = metricsOf(question)
  if (!metrics.every(isRolledUp)) return undefined
  const { range, comparison, dimensions, filter } = question
  if (!cutsOf(question, 'current', range).every(isOn(HOUR))) return undefined
  if (comparison && !cutsOf(question, 'previous', comparison.range).every(isOn(HOUR))) return undefined
  return ROLLUP_TABLES.find(
    (table) =>
      dimensions.every((dimension) => table.dimensions.has(dimension)) &&
      [...filter.fields].every((field) => table.fields.has(field)) &&
      (table.hasSketches || !metrics.some(isSketched)),
  )
}

/** Whether every window of this length lies within one hour of the clock, or one day of the week, that is asked for. */
const followsClock = ({ dimensions, zone }: Question, { from, to }: TimeRange, step: number): boolean => {
  const byHour = dimensions.includes('HOUR_OF_DAY')
  if (!byHour && !dimensions.includes('DAY_OF_WEEK')) return true
  if (byHour && step > HOUR) return false
  for (let at = from; at < to + DAY; at += DAY) if (zone.offsetAt(Math.min(at, to)) % step !== 0) return false
  return true
}

/** The longest stretch of whole windows in the range that a table can answer for. */
const longest = (
  question: Question,
  range: TimeRange,
  stretches: readonly TimeRange[],
  step: number,
  cuts: readonly number[],
): TimeRange | undefined =>
  stretches
    .map(({ from, to }) => ({
      from: Math.ceil(Math.max(from, range.from) / step) * step,
      to: Math.floor(Math.min(to, range.to) / step) * step,
    }))
    .filter(
      (inner) =>
        inner.from < inner.to &&
        cuts.every((cut) => cut <= inner.from || cut >= inner.to || cut % step === 0) &&
        followsClock(question, inner, step),
    )
    .reduce<TimeRange | undefined>(
      (best, inner) => (best && best.to - best.from >= inner.to - inner.from ? best : inner),
      undefined,
    )

/** Puts a piece over others. */
const over = (pieces: readonly Piece[], top: TimeRange | undefined, rows: Piece['rows']): Piece[] => {
  if (!top) return [...pieces]
  const rest = pieces.flatMap((piece) => [
    { ...piece, to: Math.min(piece.to, top.from) },
    { ...piece, from: Math.max(piece.from, top.to) },
  ])
  return [...rest.filter(({ from, to }) => from < to), { ...top, rows }].toSorted((a, b) => a.from - b.from)
}

const piecesOf = (
  question: Question,
  table: RollupTable,
  covered: Covered,
  period: 'current' | 'previous',
): readonly Piece[] => {
  const range = period === 'current' ? question.range : question.comparison?.range
  if (!range) return []
  const cuts = cutsOf(question, period, range)
  const hours = longest(question, range, covered.hours, HOUR, cuts)
  const days = table.days ? longest(question, range, covered.days, DAY, cuts) : undefined
  return over(over([{ ...range, rows: 'raw' }], hours, 'hours'), days, 'days')
}

/**
 * Which rows answer a question: of each period the longest stretch that roll-ups cover without a gap comes from them, days
 * where a bucket holds whole ones, and what is left at the edges from raw rows. Undefined: raw rows alone.
 */
export const pickSource = (question: Question, covered: Covered): RolledUp | undefined => {
  const table = tableFor(question)
  if (!table) return undefined
  const picked: RolledUp = {
    table,
    measures: measuresOf(metricsOf(question)),
    current: piecesOf(question, table, covered, 'current'),
    previous: piecesOf(question, table, covered, 'previous'),
  }
  return dataSourceOf(picked) === 'RAW' ? undefined : picked
}
