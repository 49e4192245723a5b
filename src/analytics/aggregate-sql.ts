import { ident, join, param, type Sql, sql } from '../clickhouse/index.ts'
import type { Buckets } from './buckets.ts'
import type { Comparison } from './compare.ts'
import { type Dimension, dimensions } from './dimensions.ts'
import { keyOf, type MetricRef, quantileLevel } from './metrics.ts'
import type { RowSource } from './row-source.ts'
import type { Asker } from './run.ts'
import type { TimeRange } from './time-range.ts'

/** What every statement of one question has in common. */
export interface Source {
  range: TimeRange
  comparison: Comparison | undefined
  buckets: Buckets | undefined
  dimensions: readonly Dimension[]
  timeZone: string
  condition: Sql
  asker: Asker
  from: RowSource
}

const PERIODS = { current: 0, previous: 1 } as const
type Period = keyof typeof PERIODS

/** Runs of equal steps: an array of 10,000 hours becomes one triple, or a few where clocks change. */
const runsOf = (starts: readonly number[]): [start: number, step: number, count: number][] => {
  const runs: [number, number, number][] = []
  for (const [index, start] of starts.entries()) {
    const current = runs.at(-1)
    const step = index === 0 ? 0 : start - starts[index - 1]!
    if (current && (current[2] === 1 || current[1] === step)) {
      current[1] = step
      current[2]++
    } else runs.push([start, 1, 1])
  }
  return runs
}

/** The array of these instants in seconds, written short. */
const instants = (starts: readonly number[]): Sql => {
  const runs = runsOf(starts.map((start) => start / 1_000))
  const column = (index: 0 | 1 | 2) =>
    param(
      'Array(UInt32)',
      runs.map((run) => run[index]),
    )
  return sql`arrayFlatten(arrayMap((start, step, count) -> arrayMap(i -> toUInt32(start + i * step), range(count)), ${column(0)}, ${column(1)}, ${column(2)}))`
}

/** The beginning (s since 1970) of the bucket that holds `timestamp`; of the earlier period, of the bucket it is compared with. */
export const bucketSql = ({ starts }: Buckets, shift: Comparison['shift'] | undefined): Sql => {
  if (!shift) return sql`roundDown(toUnixTimestamp(timestamp), ${instants(starts)})`
  // Two days of March can lead back to the same last day of February: the first of them has it.
  const seen = new Set<number>()
  const pairs = starts
    .map((start) => [Math.floor(shift(start) / 1_000) * 1_000, start] as const)
    .filter(([earlier]) => !seen.has(earlier) && seen.add(earlier))
  const earlier = instants(pairs.map(([start]) => start))
  return sql`transform(roundDown(toUnixTimestamp(timestamp), ${earlier}), ${earlier}, ${instants(pairs.map(([, start]) => start))})`
}

/** Rows to aggregate. With a comparison both periods, a row in both where they overlap, told apart by `period`. */
const fromSql = (source: Source, withBuckets: boolean): Sql => {
  const { range, comparison, buckets, condition, asker, from } = source
  const bucket = (shift: Comparison['shift'] | undefined) =>
    buckets && withBuckets ? sql`, ${bucketSql(buckets, shift)} AS bucket` : sql``
  const period = (of: TimeRange, name: Period, shift: Comparison['shift'] | undefined) =>
    sql`SELECT *, ${param('UInt8', PERIODS[name])} AS period${bucket(shift)} FROM (${from.rows(of, name, asker, condition)})`
  const current = period(range, 'current', undefined)
  return comparison
    ? sql`(${current} UNION ALL ${period(comparison.range, 'previous', comparison.shift)})`
    : sql`(${current})`
}

/** Leaves out the other period's rows; undefined where there is none. */
export const whenOf = ({ comparison }: Source, period: Period): Sql | undefined =>
  comparison && sql`period = ${param('UInt8', PERIODS[period])}`

const dimensionSql = ({ dimensions: asked, timeZone }: Source): Sql[] =>
  asked.map((dimension) => dimensions[dimension].expression(timeZone))

const dimensionNames = ({ dimensions: asked }: Source): Sql[] => asked.map((_, index) => ident(`d${index}`))

/** Columns of metrics, quantiles gathered into one; names by place in `refs`. */
const metricColumns = (
  { from }: Source,
  refs: readonly MetricRef[],
  prefix: 'm' | 'p',
  when: Sql | undefined,
): Sql[] => {
  const levels = refs.map(quantileLevel).filter((level) => level !== undefined)
  return [
    ...(levels.length > 0 ? [sql`${from.quantiles(levels, when)} AS ${ident(`${prefix}q`)}`] : []),
    ...refs.flatMap((ref, index) =>
      quantileLevel(ref) === undefined ? [sql`${from.metric(ref, when)} AS ${ident(`${prefix}${index}`)}`] : [],
    ),
  ]
}

/** Which metrics of which period a statement computes. */
export interface Wanted {
  current: readonly MetricRef[]
  previous: readonly MetricRef[]
}

const wantedColumns = (source: Source, { current, previous }: Wanted): Sql[] => [
  ...metricColumns(source, current, 'm', whenOf(source, 'current')),
  ...(source.comparison ? metricColumns(source, previous, 'p', whenOf(source, 'previous')) : []),
]

export type StoredRow = Record<string, unknown>

/** Metrics of a stored row by their keys, as the store gave them. */
export const storedMetrics = (
  row: StoredRow,
  refs: readonly MetricRef[],
  prefix: 'm' | 'p',
): Record<string, unknown> => {
  let quantile = 0
  return Object.fromEntries(
    refs.map((ref, index) => [
      keyOf(ref),
      quantileLevel(ref) === undefined ? row[`${prefix}${index}`] : (row[`${prefix}q`] as unknown[])[quantile++],
    ]),
  )
}

/** The whole range as one row. */
export const totalsSql = (source: Source, wanted: Wanted): Sql =>
  sql`SELECT ${join(wantedColumns(source, wanted))} FROM ${fromSql(source, false)}`

/** One row a bucket that has requests. */
export const seriesSql = (source: Source, wanted: Wanted): Sql =>
  sql`SELECT bucket, ${join(wantedColumns(source, wanted))} FROM ${fromSql(source, true)} GROUP BY bucket`

/** How groups are chosen. */
export interface Choice {
  having: Sql
  orderBy: readonly Sql[]
  limit: number
  offset: number
}

const count = (value: number) => param('UInt32', value)

/** The groups of the page, in their order, each with `groups`, the number of all that `having` leaves. */
export const groupsSql = (source: Source, choice: Choice, wanted: Wanted): Sql => {
  const names = dimensionNames(source)
  const keys = join(dimensionSql(source).map((expression, index) => sql`${expression} AS ${names[index]!}`))
  const columns = [keys, ...wantedColumns(source, wanted), sql`count() OVER () AS groups`]
  return sql`SELECT ${join(columns)} FROM ${fromSql(source, false)} GROUP BY ${join(names)} HAVING ${source.from.metric({ field: 'requests' }, whenOf(source, 'current'))} > 0 AND ${choice.having} ORDER BY ${join([...choice.orderBy, ...names])} LIMIT ${count(choice.limit)} OFFSET ${count(choice.offset)}`
}

/** Whether a row belongs to a group of the page. */
const inPage = (source: Source, choice: Choice): Sql =>
  sql`(${join(dimensionSql(source))}) IN (SELECT ${join(dimensionNames(source))} FROM (${groupsSql(source, choice, { current: [], previous: [] })}))`

/** One row for each bucket and group of the page that has requests. */
export const groupSeriesSql = (source: Source, choice: Choice, wanted: Wanted): Sql => {
  const names = dimensionNames(source)
  const keys = join(dimensionSql(source).map((expression, index) => sql`${expression} AS ${names[index]!}`))
  return sql`SELECT bucket, ${join([keys, ...wantedColumns(source, wanted)])} FROM ${fromSql(source, true)} WHERE ${inPage(source, choice)} GROUP BY bucket, ${join(names)}`
}

/** All requests of the current period outside the groups of the page, as one row. */
export const othersSql = (source: Source, choice: Choice, wanted: Wanted): Sql => {
  const current = { ...source, comparison: undefined }
  return sql`SELECT ${join(wantedColumns(current, wanted))} FROM ${fromSql(current, false)} WHERE NOT (${inPage(source, choice)})`
}

/** How many groups there are, for pages beyond the last. */
export const groupCountSql = (source: Source, having: Sql): Sql => {
  const keys = join(dimensionSql(source))
  return sql`SELECT count() AS groups FROM (SELECT 1 FROM ${fromSql(source, false)} GROUP BY ${keys} HAVING ${source.from.metric({ field: 'requests' }, whenOf(source, 'current'))} > 0 AND ${having})`
}
