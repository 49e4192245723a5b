export type { RequestAnalytics } from './aggregate.ts'
export { type Analytics, type AnalyticsDependencies, createAnalytics, type QueryEstimate } from './analytics.ts'
export { parseIp, parsePrefix } from './address.ts'
export { type Granularity, GRANULARITIES } from './buckets.ts'
export { changeOf } from './choice.ts'
export { COMPARE_PERIODS } from './compare.ts'
export { encodeLogId, LOG_ORDERS } from './cursor.ts'
export {
  ACTIONS,
  type Dimension,
  DIMENSIONS,
  dimensions,
  type DimensionValue,
  type RequestAction,
} from './dimensions.ts'
export type { DimensionValueCount } from './dimension-values.ts'
export { AnalyticsError, type AnalyticsErrorCode } from './errors.ts'
export type { RequestFilter } from './filter.ts'
export type { Freshness, OldestPending } from './freshness.ts'
export { createIpLogs, type IpLogsDependencies } from './ip-logs.ts'
export { type Interval, INTERVAL_ALLOWED, parseInterval } from './interval.ts'
export { LIMITS } from './limits.ts'
export { LOG_FIELDS, type LogField, type RequestLog } from './log-row.ts'
export type { LogQuery, RequestLogPage } from './logs.ts'
export {
  fieldOf,
  keyOf,
  type Metric,
  METRIC_FIELDS,
  type MetricField,
  type MetricRef,
  METRICS,
  metrics,
  type MetricValues,
} from './metrics.ts'
export type { Backtest, BacktestClient, BacktestPolicy } from './rate-limit-backtest.ts'
export type { AddressesTold, Effectiveness, EffectivenessRow } from './rate-limit-effectiveness.ts'
export type { DataSource } from './pick-source.ts'
export type { AnalyticsSelection, RequestAnalyticsInput } from './question.ts'
export type { AnalyticsRow } from './rows.ts'
export { type Asker, createRunner, type Run, type Spent } from './run.ts'
export { resolveTimeRange, type TimeRange, type TimeRangeInput } from './time-range.ts'
export { isTimeZone } from './time-zone.ts'
