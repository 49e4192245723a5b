import {
  type Choice,
  groupCountSql,
  groupSeriesSql,
  groupsSql,
  othersSql,
  seriesSql,
  type Source,
  type StoredRow,
  totalsSql,
  type Wanted,
} from './aggregate-sql.ts'
import type { Granularity } from './buckets.ts'
import { chooseBuckets, chooseGroups } from './choice.ts'
import { fieldOf, type MetricField, type MetricRef, type MetricValue, type MetricValues } from './metrics.ts'
import { computed, type Question } from './question.ts'
import { type DataSource, dataSourceOf, type RolledUp } from './pick-source.ts'
import { rowSource } from './row-source.ts'
import { type AnalyticsRow, dimensionValues, groupKey, metricValues, secondsWithin, type Span, spans } from './rows.ts'
import { type Asker, type Run, withPatterns } from './run.ts'
import type { TimeRange } from './time-range.ts'

/** Parts that were not selected are undefined. */
export interface RequestAnalytics {
  rows: AnalyticsRow[]
  totals: MetricValues | undefined
  previousTotals: MetricValues | null | undefined
  /** Null where no request lies outside the rows' groups. */
  others: MetricValues | null | undefined
  /** Null without dimensions. */
  totalGroups: number | null
  /** There are groups beyond those in `rows`. */
  truncated: boolean
  range: TimeRange
  previousRange: TimeRange | undefined
  granularity: Exclude<Granularity, 'AUTO'> | null
  timeZone: string
  dataSource: DataSource
}

interface Parts {
  rows: AnalyticsRow[]
  totalGroups: number | null
  truncated: boolean
}

/** All that the statements of one question share. */
interface Work {
  question: Question
  source: Source
  run: Run
  /** Of rows. */
  wanted: Wanted
  /** The whole range, where something needs it. */
  totals: Promise<StoredRow> | undefined
  totalsWanted: Wanted
  /** All requests of the range, where shares are wanted. */
  total: Promise<MetricValue> | undefined
  rangeSeconds: number
  previousSeconds: number
  completeThrough: number
}

const REQUESTS: MetricRef = { field: 'requests' }
const NOTHING: Wanted = { current: [], previous: [] }

/** Metrics that choosing needs where rows in hand are chosen from. */
const chosenBy = ({ having, orderBy }: Question): MetricRef[] =>
  [...having, ...orderBy].flatMap(({ metric }) => (metric ? [{ field: fieldOf(metric) }] : []))

const wants = ({ selection }: Question, field: MetricField): boolean =>
  [selection.rows, selection.totals, selection.others].some((refs) => refs?.some((ref) => ref.field === field))

const begin = (question: Question, source: Source, run: Run, completeThrough: number): Work => {
  const { selection, comparison, range, now, dimensions, buckets } = question
  const isPlain = dimensions.length === 0 && !buckets
  const previous = (...lists: (readonly MetricRef[] | undefined)[]) =>
    comparison ? computed([REQUESTS], ...lists) : []
  const rowsWanted = {
    current: computed([REQUESTS], selection.rows, dimensions.length === 0 ? chosenBy(question) : []),
    previous: previous(selection.previous),
  }
  const totalsWanted = {
    current: computed([REQUESTS], selection.totals, isPlain ? rowsWanted.current : []),
    previous: previous(selection.previousTotals, isPlain ? rowsWanted.previous : []),
  }
  const wantsShares = wants(question, 'sharePercent')
  const wantsTotals = selection.totals || selection.previousTotals || wantsShares || (selection.rows && isPlain)
  const totals = wantsTotals ? run<StoredRow>(totalsSql(source, totalsWanted)).then(([row]) => row!) : undefined
  const none = { seconds: 0, total: undefined }
  return {
    question,
    source,
    run,
    wanted: isPlain ? totalsWanted : rowsWanted,
    totals,
    totalsWanted,
    total: wantsShares
      ? totals?.then((row) => metricValues(row, totalsWanted.current, 'm', none)['requests']!)
      : undefined,
    rangeSeconds: secondsWithin(range.from, range.to, range, now),
    previousSeconds: comparison ? (comparison.range.to - comparison.range.from) / 1_000 : 0,
    completeThrough,
  }
}

type Cell = Pick<AnalyticsRow, 'bucket' | 'dimensions'> & { seconds: number; previousSeconds: number }

const rowOf = ({ wanted, question }: Work, row: StoredRow | undefined, total: MetricValue | undefined, cell: Cell) => ({
  bucket: cell.bucket,
  dimensions: cell.dimensions,
  values: metricValues(row, wanted.current, 'm', { seconds: cell.seconds, total }),
  previous: question.comparison
    ? metricValues(row, wanted.previous, 'p', { seconds: cell.previousSeconds, total: undefined })
    : null,
})

const spansOf = ({ question, completeThrough }: Work): Span[] =>
  question.buckets ? spans(question.buckets, question.range, question.zone, completeThrough) : []

const cellOf = ({ question }: Work, { start, end, bucket }: Span, dimensions: AnalyticsRow['dimensions']): Cell => ({
  bucket,
  dimensions,
  seconds: secondsWithin(start, end, question.range, question.now),
  previousSeconds: (end - start) / 1_000,
})

const plainRows = async (work: Work): Promise<Parts> => {
  const cell = { bucket: null, dimensions: {}, seconds: work.rangeSeconds, previousSeconds: work.previousSeconds }
  return { rows: [rowOf(work, await work.totals, await work.total, cell)], totalGroups: null, truncated: false }
}

const seriesRows = async (work: Work): Promise<Parts> => {
  const { question, run, source, wanted } = work
  const [stored, total] = await Promise.all([run<StoredRow>(seriesSql(source, wanted)), work.total])
  const byBucket = new Map(stored.map((row) => [Number(row['bucket']) * 1_000, row]))
  const rows = spansOf(work)
    .filter(({ start }) => question.fillGaps || byBucket.has(start))
    .map((span) => rowOf(work, byBucket.get(span.start), total, cellOf(work, span, {})))
  return { rows: chooseBuckets(question, rows), totalGroups: null, truncated: false }
}

/** Also for a page beyond the last group, which brings no row to tell it. */
const countGroups = async ({ run, source }: Work, choice: Choice, groups: readonly StoredRow[]): Promise<number> => {
  if (groups[0]) return Number(groups[0]['groups'])
  if (choice.offset === 0) return 0
  const [row] = await run<{ groups: string }>(groupCountSql(source, choice.having))
  return Number(row!.groups)
}

const groupRows = async (work: Work, choice: Choice): Promise<Parts> => {
  const { question, run, source, wanted, rangeSeconds: seconds, previousSeconds } = work
  const { dimensions, buckets } = question
  const [groups, total] = await Promise.all([
    run<StoredRow>(groupsSql(source, choice, buckets ? NOTHING : wanted)),
    work.total,
  ])
  const totalGroups = await countGroups(work, choice, groups)
  const truncated = totalGroups > choice.offset + groups.length
  const named = groups.map((row) => ({ row, key: groupKey(row, dimensions), values: dimensionValues(row, dimensions) }))
  if (!buckets) {
    const cell = { bucket: null, seconds, previousSeconds }
    const rows = named.map(({ row, values }) => rowOf(work, row, total, { ...cell, dimensions: values }))
    return { rows, totalGroups, truncated }
  }
  const cells = groups.length > 0 ? await run<StoredRow>(groupSeriesSql(source, choice, wanted)) : []
  const byCell = new Map(cells.map((row) => [`${Number(row['bucket']) * 1_000} ${groupKey(row, dimensions)}`, row]))
  const rows = spansOf(work).flatMap((span) =>
    named.flatMap(({ key, values }) => {
      const row = byCell.get(`${span.start} ${key}`)
      return row || question.fillGaps ? [rowOf(work, row, total, cellOf(work, span, values))] : []
    }),
  )
  return { rows, totalGroups, truncated }
}

const othersOf = async (work: Work, choice: Choice, selected: readonly MetricRef[]): Promise<MetricValues | null> => {
  const current = computed([REQUESTS], selected)
  const statement = othersSql(work.source, choice, { current, previous: [] })
  const [[row], total] = await Promise.all([work.run<StoredRow>(statement), work.total])
  const values = metricValues(row, current, 'm', { seconds: work.rangeSeconds, total })
  return values['requests'] === 0 ? null : values
}

const totalsOf = async (work: Work): Promise<Pick<RequestAnalytics, 'totals' | 'previousTotals'>> => {
  const { question, totals, totalsWanted, rangeSeconds, previousSeconds } = work
  const { selection, comparison } = question
  const row = await totals
  const [total, seconds] = [await work.total, { current: rangeSeconds, previous: previousSeconds }]
  return {
    totals: selection.totals && metricValues(row, totalsWanted.current, 'm', { seconds: seconds.current, total }),
    previousTotals:
      selection.previousTotals &&
      (comparison
        ? metricValues(row, totalsWanted.previous, 'p', { seconds: seconds.previous, total: undefined })
        : null),
  }
}

/** Runs as few statements as the selection needs, those that do not wait for each other at once. */
const parts = async (work: Work, choice: Choice | undefined): Promise<Omit<RequestAnalytics, 'dataSource'>> => {
  const { question } = work
  const { selection, buckets, comparison, range, zone } = question
  const none: Parts = { rows: [], totalGroups: null, truncated: false }
  const wantsGroups = selection.rows !== undefined || selection.totalGroups === true
  const rows = choice
    ? wantsGroups
      ? groupRows(work, choice)
      : none
    : !selection.rows
      ? none
      : buckets
        ? seriesRows(work)
        : plainRows(work)
  const others = selection.others && (choice ? othersOf(work, choice, selection.others) : null)
  const [found, rest, totals] = await Promise.all([rows, others, totalsOf(work)])
  return {
    ...found,
    ...totals,
    others: rest,
    range,
    previousRange: comparison?.range,
    granularity: buckets?.granularity ?? null,
    timeZone: zone.name,
  }
}

/** @param rolledUp what of it comes from roll-ups; undefined: nothing
 * @throws {AnalyticsError}
 */
export const answer = (
  question: Question,
  asker: Asker,
  run: Run,
  completeThrough: number,
  rolledUp: RolledUp | undefined,
): Promise<RequestAnalytics> =>
  withPatterns(run, question.filter, async () => {
    const { range, comparison, buckets, dimensions, zone, filter } = question
    const source: Source = {
      range,
      comparison,
      buckets,
      dimensions,
      timeZone: zone.canonical,
      condition: filter.condition,
      asker,
      from: rowSource(rolledUp),
    }
    const work = begin(question, source, run, completeThrough)
    const choice = dimensions.length > 0 ? chooseGroups(question, source, work.rangeSeconds) : undefined
    return { ...(await parts(work, choice)), dataSource: dataSourceOf(rolledUp) }
  })
