import { join, param, raw, type Sql, sql } from '../clickhouse/index.ts'

/** Metrics by the name of their field. `REQUESTS_CHANGE` and the like are made of these. */
export const METRIC_FIELDS = [
  'requests',
  'requestsPerSecond',
  'errors',
  'errorRate',
  'clientErrorRate',
  'serverErrorRate',
  'limited',
  'limitedRate',
  'blocked',
  'requestBytes',
  'responseBytes',
  'durationMsAvg',
  'durationMsP50',
  'durationMsP95',
  'durationMsP99',
  'durationMsMax',
  'durationMsQuantile',
  'uniqClientIps',
  'uniqPaths',
  'uniqUserAgents',
  'sharePercent',
] as const
export type MetricField = (typeof METRIC_FIELDS)[number]

/** One metric with its arguments. */
export interface MetricRef {
  field: MetricField
  /** Of durationMsQuantile: 0 to 1. */
  level?: number
  /** Of the uniq metrics: counted one by one instead of estimated. */
  exact?: boolean
}

/** A count beyond 2^53 is a bigint: it is never rounded. */
export type MetricValue = number | bigint | null
export type MetricValues = Record<string, MetricValue>

export interface MetricDefinition {
  description: string
  unit: 'requests' | 'requests/s' | 'ratio' | 'bytes' | 'ms' | 'percent' | 'addresses' | 'paths' | 'user agents'
  /** `count` is 0 where there are no requests, `value` null. */
  kind: 'count' | 'value'
}

export const metrics: Record<MetricField, MetricDefinition> = {
  requests: { description: 'Requests.', unit: 'requests', kind: 'count' },
  requestsPerSecond: {
    description:
      'Requests by seconds of the bucket, or of the range without buckets; only the part that is past counts.',
    unit: 'requests/s',
    kind: 'count',
  },
  errors: { description: 'Answers with a status of 400 or more.', unit: 'requests', kind: 'count' },
  errorRate: { description: 'Errors by requests, 0 to 1.', unit: 'ratio', kind: 'value' },
  clientErrorRate: { description: 'Answers 400 to 499 by requests, 0 to 1.', unit: 'ratio', kind: 'value' },
  serverErrorRate: { description: 'Answers 500 and above by requests, 0 to 1.', unit: 'ratio', kind: 'value' },
  limited: { description: 'Requests that Vedette denied for being over a limit.', unit: 'requests', kind: 'count' },
  limitedRate: { description: 'Limited by requests, 0 to 1.', unit: 'ratio', kind: 'value' },
  blocked: { description: 'Requests that Vedette denied for a block.', unit: 'requests', kind: 'count' },
  requestBytes: { description: 'Bytes received, of the requests that tell.', unit: 'bytes', kind: 'count' },
  responseBytes: { description: 'Bytes sent, of the requests that tell.', unit: 'bytes', kind: 'count' },
  durationMsAvg: {
    description: 'Mean duration of the requests that tell theirs, each to the microsecond; null where none does.',
    unit: 'ms',
    kind: 'value',
  },
  durationMsP50: { description: 'Median duration, within 1 % (1.5 % below 1 ms).', unit: 'ms', kind: 'value' },
  durationMsP95: {
    description: '95th percentile of duration, within 1 % (1.5 % below 1 ms).',
    unit: 'ms',
    kind: 'value',
  },
  durationMsP99: {
    description: '99th percentile of duration, within 1 % (1.5 % below 1 ms).',
    unit: 'ms',
    kind: 'value',
  },
  durationMsMax: { description: 'Longest duration.', unit: 'ms', kind: 'value' },
  durationMsQuantile: {
    description: 'Any quantile of duration, within 1 % (1.5 % below 1 ms); level from 0 to 1.',
    unit: 'ms',
    kind: 'value',
  },
  uniqClientIps: {
    description: 'Different client addresses; estimated within about 1 % unless exact.',
    unit: 'addresses',
    kind: 'count',
  },
  uniqPaths: {
    description: 'Different paths; estimated within about 1 % unless exact.',
    unit: 'paths',
    kind: 'count',
  },
  uniqUserAgents: {
    description: 'Different User-Agent texts, absent ones left out; estimated within about 1 % unless exact.',
    unit: 'user agents',
    kind: 'count',
  },
  sharePercent: {
    description: 'Requests as a percentage of all requests of the range; null where there are none.',
    unit: 'percent',
    kind: 'value',
  },
}

/** Under this key a metric's value lies in `MetricValues`. */
export const keyOf = ({ field, level, exact }: MetricRef): string =>
  level !== undefined ? `${field}(${level})` : exact ? `${field}(exact)` : field

export const quantileLevel = ({ field, level }: MetricRef): number | undefined =>
  ({ durationMsP50: 0.5, durationMsP95: 0.95, durationMsP99: 0.99, durationMsQuantile: level })[field as string]

type Aggregate = 'count' | 'sum' | 'max' | 'uniqExact' | 'uniqCombined'

/** An aggregate function over all rows, or over those where the condition holds. */
const aggregate = (name: Aggregate, args: Sql | undefined, when: Sql | undefined): Sql =>
  sql`${raw(when ? `${name}If` : name)}(${join([args, when].filter((part) => part !== undefined))})`

const both = (a: Sql, b: Sql | undefined): Sql => (b ? sql`${a} AND ${b}` : a)

const rate = (of: Sql, when: Sql | undefined): Sql =>
  sql`${aggregate('count', undefined, both(of, when))} / ${aggregate('count', undefined, when)}`

const uniq = (of: Sql, exact: boolean | undefined, when: Sql | undefined): Sql =>
  aggregate(exact ? 'uniqExact' : 'uniqCombined', of, when)

/**
 * All quantiles that are asked for come from one sketch. Its promise of 0.5 % holds from 1 ms on; below, the engine is off by
 * up to 1.5 % (with 0.01 it was 3 %).
 */
export const quantiles = (levels: readonly number[], when: Sql | undefined): Sql => {
  const parameters = join(levels.map((level) => sql`${param('Float64', level)}`))
  return when
    ? sql`quantilesDDIf(0.005, ${parameters})(duration_ms, ${when})`
    : sql`quantilesDD(0.005, ${parameters})(duration_ms)`
}

/** The SQL of a metric that the store computes. @param when leaves out the other period's rows */
export const metricSql = (ref: MetricRef, when?: Sql): Sql => {
  const level = quantileLevel(ref)
  if (level !== undefined) return sql`${quantiles([level], when)}[1]`
  switch (ref.field) {
    case 'requests':
      return aggregate('count', undefined, when)
    case 'errors':
      return aggregate('count', undefined, both(sql`status_code >= 400`, when))
    case 'errorRate':
      return rate(sql`status_code >= 400`, when)
    case 'clientErrorRate':
      return rate(sql`status_code BETWEEN 400 AND 499`, when)
    case 'serverErrorRate':
      return rate(sql`status_code >= 500`, when)
    case 'limited':
      return aggregate('count', undefined, both(sql`action = 'rate_limited'`, when))
    case 'limitedRate':
      return rate(sql`action = 'rate_limited'`, when)
    case 'blocked':
      return aggregate('count', undefined, both(sql`action = 'blocked'`, when))
    case 'requestBytes':
      return aggregate('sum', sql`ifNull(request_bytes, 0)`, when)
    case 'responseBytes':
      return aggregate('sum', sql`ifNull(response_bytes, 0)`, when)
    case 'durationMsAvg':
      // Of whole microseconds: their sum is the same in any order, and the roll-ups have it.
      return sql`${aggregate('sum', sql`toUInt64(round(ifNull(duration_ms, 0) * 1000))`, when)} / 1000 / nullIf(${aggregate('count', undefined, both(sql`duration_ms IS NOT NULL`, when))}, 0)`
    case 'durationMsMax':
      return aggregate('max', sql`duration_ms`, when)
    case 'uniqClientIps':
      return uniq(sql`ip`, ref.exact, when)
    case 'uniqPaths':
      return uniq(sql`path`, ref.exact, when)
    case 'uniqUserAgents':
      return uniq(sql`nullIf(user_agent, '')`, ref.exact, when)
    default:
      throw new TypeError(`${ref.field} is not computed by the store`)
  }
}

/** Metrics to order, filter and tabulate by. REQUESTS_CHANGE is the change against the period of `compareTo`. */
export const METRICS = {
  REQUESTS: 'requests',
  ERRORS: 'errors',
  ERROR_RATE: 'errorRate',
  CLIENT_ERROR_RATE: 'clientErrorRate',
  SERVER_ERROR_RATE: 'serverErrorRate',
  LIMITED: 'limited',
  LIMITED_RATE: 'limitedRate',
  BLOCKED: 'blocked',
  REQUEST_BYTES: 'requestBytes',
  RESPONSE_BYTES: 'responseBytes',
  DURATION_MS_AVG: 'durationMsAvg',
  DURATION_MS_P50: 'durationMsP50',
  DURATION_MS_P95: 'durationMsP95',
  DURATION_MS_P99: 'durationMsP99',
  DURATION_MS_MAX: 'durationMsMax',
  UNIQ_CLIENT_IPS: 'uniqClientIps',
  UNIQ_PATHS: 'uniqPaths',
  UNIQ_USER_AGENTS: 'uniqUserAgents',
  REQUESTS_PER_SECOND: 'requestsPerSecond',
  REQUESTS_CHANGE: 'requestsChange',
} as const satisfies Record<string, MetricField | 'requestsChange'>
export type Metric = keyof typeof METRICS

/** The field a metric is read from; of REQUESTS_CHANGE the one whose change it is. */
export const fieldOf = (metric: Metric): MetricField => {
  const field = METRICS[metric]
  return field === 'requestsChange' ? 'requests' : field
}
