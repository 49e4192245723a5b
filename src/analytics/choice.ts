import { ident, join, type Sql, sql } from '../clickhouse/index.ts'
import { type Choice, type Source, whenOf } from './aggregate-sql.ts'
import { LIMITS } from './limits.ts'
import { fieldOf, keyOf, type Metric, type MetricValue } from './metrics.ts'
import type { MetricFilter, Question } from './question.ts'
import type { AnalyticsRow } from './rows.ts'

/** A metric as an expression over a group, for HAVING and ORDER BY. */
const metricExpression = (metric: Metric, source: Source, seconds: number): Sql => {
  const requests = source.from.metric({ field: 'requests' }, whenOf(source, 'current'))
  if (metric === 'REQUESTS_PER_SECOND') return sql`${requests} / ${seconds}`
  if (metric === 'REQUESTS_CHANGE') {
    const before = source.from.metric({ field: 'requests' }, whenOf(source, 'previous'))
    return sql`(toFloat64(${requests}) - ${before}) / nullIf(${before}, 0)`
  }
  return source.from.metric({ field: fieldOf(metric) }, whenOf(source, 'current'))
}

const OPERATORS = {
  gt: { sql: sql` > `, holds: (value: number, bound: number) => value > bound },
  gte: { sql: sql` >= `, holds: (value: number, bound: number) => value >= bound },
  lt: { sql: sql` < `, holds: (value: number, bound: number) => value < bound },
  lte: { sql: sql` <= `, holds: (value: number, bound: number) => value <= bound },
  eq: { sql: sql` = `, holds: (value: number, bound: number) => value === bound },
}

const boundsOf = (filter: MetricFilter) =>
  Object.entries(OPERATORS).flatMap(([name, operator]) => {
    const bound = filter[name as keyof typeof OPERATORS]
    return bound === null || bound === undefined ? [] : [{ operator, bound }]
  })

/** Which groups are shown, said to the store. A metric that is absent (no duration known) fits no bound and comes last. */
export const chooseGroups = (question: Question, source: Source, seconds: number): Choice => {
  const { having, orderBy, limit, offset, buckets, dimensions } = question
  const bounds = having.flatMap((filter) =>
    boundsOf(filter).map(
      ({ operator, bound }) =>
        sql`ifNull(${metricExpression(filter.metric, source, seconds)}${operator.sql}${bound}, false)`,
    ),
  )
  const order = (
    orderBy.length > 0 ? orderBy : [{ metric: 'REQUESTS' as const, dimension: null, direction: 'DESC' as const }]
  ).map(({ metric, dimension, direction }) => {
    const expression = metric ? metricExpression(metric, source, seconds) : ident(`d${dimensions.indexOf(dimension!)}`)
    return direction === 'ASC' ? sql`${expression} ASC NULLS LAST` : sql`${expression} DESC NULLS LAST`
  })
  return {
    having: bounds.length > 0 ? join(bounds, ' AND ') : sql`true`,
    orderBy: order,
    limit: Math.min(limit!, Math.floor(LIMITS.maxRows / (buckets?.starts.length ?? 1))),
    offset,
  }
}

export const valueOf = (row: AnalyticsRow, metric: Metric): MetricValue => {
  if (metric === 'REQUESTS_CHANGE') return changeOf(row.values['requests'], row.previous?.['requests'])
  return row.values[keyOf({ field: fieldOf(metric) })] ?? null
}

/** (now - previous) / previous; null where there is nothing to compare with. */
export const changeOf = (now: MetricValue | undefined, previous: MetricValue | undefined): number | null => {
  if (now === null || now === undefined || previous === null || previous === undefined) return null
  return Number(previous) === 0 ? null : (Number(now) - Number(previous)) / Number(previous)
}

/** The same over rows in hand: without dimensions the buckets, those without requests too, are what is chosen from. */
export const chooseBuckets = (question: Question, rows: readonly AnalyticsRow[]): AnalyticsRow[] => {
  const { having, orderBy, limit, offset } = question
  const kept = rows.filter((row) =>
    having.every((filter) => {
      const value = valueOf(row, filter.metric)
      return value !== null && boundsOf(filter).every(({ operator, bound }) => operator.holds(Number(value), bound))
    }),
  )
  const ordered = kept.toSorted((a, b) => {
    for (const { metric, direction } of orderBy) {
      const [left, right] = [valueOf(a, metric!), valueOf(b, metric!)]
      if (left === right) continue
      if (left === null) return 1
      if (right === null) return -1
      return (Number(left) - Number(right)) * (direction === 'ASC' ? 1 : -1)
    }
    return 0
  })
  return ordered.slice(offset, limit === undefined ? undefined : offset + limit)
}
