import { type BucketInput, type Buckets, resolveBuckets } from './buckets.ts'
import { type CompareInput, type Comparison, resolveComparison } from './compare.ts'
import type { Dimension } from './dimensions.ts'
import { checkInteger, conflicting, invalid } from './errors.ts'
import { compileFilter, type CompiledFilter, type RequestFilter } from './filter.ts'
import { LIMITS } from './limits.ts'
import { keyOf, type Metric, type MetricRef } from './metrics.ts'
import { resolveTimeRange, type TimeRange, type TimeRangeInput } from './time-range.ts'
import { createZone, isTimeZone, type Zone } from './time-zone.ts'

type Maybe<T> = T | null | undefined

export interface MetricFilter {
  metric: Metric
  gt?: Maybe<number>
  gte?: Maybe<number>
  lt?: Maybe<number>
  lte?: Maybe<number>
  eq?: Maybe<number>
}

export interface AnalyticsOrder {
  metric?: Maybe<Metric>
  dimension?: Maybe<Dimension>
  direction?: Maybe<'ASC' | 'DESC'>
}

/** What of the answer is wanted: only that is computed. Undefined: that part not at all. */
export interface AnalyticsSelection {
  rows?: readonly MetricRef[]
  /** Of each row one period earlier. */
  previous?: readonly MetricRef[]
  totals?: readonly MetricRef[]
  previousTotals?: readonly MetricRef[]
  others?: readonly MetricRef[]
  totalGroups?: boolean
}

export interface RequestAnalyticsInput {
  timeRange: TimeRangeInput
  groupBy?: Maybe<readonly Dimension[]>
  bucket?: Maybe<BucketInput>
  timezone?: Maybe<string>
  where?: Maybe<RequestFilter>
  having?: Maybe<readonly MetricFilter[]>
  orderBy?: Maybe<readonly AnalyticsOrder[]>
  limit?: Maybe<number>
  offset?: Maybe<number>
  compareTo?: Maybe<CompareInput>
  selection: AnalyticsSelection
}

/** The arguments, checked and made plain. */
export interface Question {
  now: number
  range: TimeRange
  zone: Zone
  dimensions: readonly Dimension[]
  buckets: Buckets | undefined
  fillGaps: boolean
  comparison: Comparison | undefined
  filter: CompiledFilter
  having: readonly MetricFilter[]
  orderBy: readonly AnalyticsOrder[]
  /** Groups; without dimensions, buckets. Undefined: all buckets. */
  limit: number | undefined
  offset: number
  selection: AnalyticsSelection
}

const DEFAULT_GROUPS = 100

const resolveZone = (input: RequestAnalyticsInput): Zone => {
  const [argument, name] = input.bucket?.timezone
    ? (['bucket.timezone', input.bucket.timezone] as const)
    : (['timezone', input.timezone ?? 'UTC'] as const)
  if (!isTimeZone(name)) throw invalid(argument, name, 'an IANA time zone such as Europe/Paris')
  if (input.timezone && input.timezone !== name)
    throw conflicting('timezone', `timezone is ${input.timezone} but bucket.timezone is ${name}; give one of them`)
  return createZone(name)
}

const resolveDimensions = (groupBy: readonly Dimension[]): readonly Dimension[] => {
  if (groupBy.length > LIMITS.maxGroupBy)
    throw invalid('groupBy', `${groupBy.length} dimensions`, `${LIMITS.maxGroupBy} at most`)
  const twice = groupBy.find((dimension, index) => groupBy.indexOf(dimension) !== index)
  if (twice) throw conflicting('groupBy', `groupBy names ${twice} twice; once is enough`)
  return groupBy
}

const checkComparable = (argument: string, metric: Metric, hasComparison: boolean): void => {
  if (metric === 'REQUESTS_CHANGE' && !hasComparison)
    throw conflicting(
      argument,
      `${argument} is REQUESTS_CHANGE, which needs compareTo; give compareTo: {} for the period before`,
    )
}

const checkHaving = (having: readonly MetricFilter[], hasComparison: boolean): readonly MetricFilter[] => {
  if (having.length > 20) throw invalid('having', `${having.length} conditions`, '20 at most')
  for (const [index, { metric, ...bounds }] of having.entries()) {
    checkComparable(`having[${index}].metric`, metric, hasComparison)
    if (Object.values(bounds).every((bound) => bound === null || bound === undefined))
      throw conflicting(`having[${index}]`, `having[${index}] of ${metric} has no bound; give gt, gte, lt, lte or eq`)
  }
  return having
}

const checkOrder = (
  orderBy: readonly AnalyticsOrder[],
  groupBy: readonly Dimension[],
  hasComparison: boolean,
): readonly AnalyticsOrder[] => {
  if (orderBy.length > 10) throw invalid('orderBy', `${orderBy.length} entries`, '10 at most')
  for (const [index, { metric, dimension }] of orderBy.entries()) {
    if (Boolean(metric) === Boolean(dimension))
      throw conflicting(`orderBy[${index}]`, `orderBy[${index}] needs either metric or dimension`)
    if (metric) checkComparable(`orderBy[${index}].metric`, metric, hasComparison)
    if (dimension && !groupBy.includes(dimension))
      throw invalid(
        `orderBy[${index}].dimension`,
        dimension,
        `a dimension of groupBy (${groupBy.join(', ') || 'which is empty'})`,
      )
  }
  return orderBy
}

/** @throws {AnalyticsError} INVALID_ARGUMENT */
export const resolveQuestion = (input: RequestAnalyticsInput, now: number): Question => {
  const range = resolveTimeRange('timeRange', input.timeRange, now)
  const zone = resolveZone(input)
  const groupBy = resolveDimensions(input.groupBy ?? [])
  const buckets = input.bucket ? resolveBuckets(input.bucket, range, zone) : undefined
  const comparison = input.compareTo ? resolveComparison(input.compareTo, range, zone, now) : undefined
  const limit = input.limit ?? undefined
  return {
    now,
    range,
    zone,
    dimensions: groupBy,
    buckets,
    fillGaps: input.bucket?.fillGaps ?? true,
    comparison,
    filter: compileFilter(input.where),
    having: checkHaving(input.having ?? [], comparison !== undefined),
    orderBy: checkOrder(input.orderBy ?? [], groupBy, comparison !== undefined),
    limit:
      limit === undefined
        ? groupBy.length > 0
          ? DEFAULT_GROUPS
          : undefined
        : checkInteger('limit', limit, 1, LIMITS.maxRows),
    offset: checkInteger('offset', input.offset ?? 0, 0, 1_000_000),
    selection: input.selection,
  }
}

/** What the store must compute for these: rates by time and shares are made of the number of requests. */
export const computed = (...lists: readonly (readonly MetricRef[] | undefined)[]): MetricRef[] => {
  const refs = lists
    .flatMap((list) => list ?? [])
    .map((ref): MetricRef =>
      ref.field === 'requestsPerSecond' || ref.field === 'sharePercent' ? { field: 'requests' } : ref,
    )
  return [...new Map(refs.map((ref) => [keyOf(ref), ref])).values()]
}
