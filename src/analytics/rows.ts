import type { Buckets } from './buckets.ts'
import { storedMetrics, type StoredRow } from './aggregate-sql.ts'
import { dimensions as definitions, type Dimension, type DimensionValue } from './dimensions.ts'
import { toInteger } from './log-row.ts'
import { keyOf, type MetricField, type MetricRef, metrics, type MetricValue, type MetricValues } from './metrics.ts'
import type { TimeRange } from './time-range.ts'
import { formatLocal, type Zone } from './time-zone.ts'

/** One row of the answer. Metrics lie under `keyOf`. */
export interface AnalyticsRow {
  bucket: { start: Date; local: string; complete: boolean } | null
  /** By field name; those not grouped by are missing. */
  dimensions: Record<string, DimensionValue>
  values: MetricValues
  previous: MetricValues | null
}

const decode = (field: MetricField, stored: unknown): MetricValue => {
  if (metrics[field].kind === 'count') return stored === null || stored === undefined ? 0 : toInteger(stored as string)
  return (stored as number | null) ?? null
}

/** What stands where there are no requests: counts are 0, the rest is unknown. */
const emptyOf = (refs: readonly MetricRef[]): MetricValues =>
  Object.fromEntries(refs.map((ref) => [keyOf(ref), metrics[ref.field].kind === 'count' ? 0 : null]))

interface Derivation {
  /** Length of what the row covers. */
  seconds: number
  /** All requests of the range, for shares. */
  total: MetricValue | undefined
}

/** Metrics of a stored row (undefined: no requests), with those that are made of others. */
export const metricValues = (
  row: StoredRow | undefined,
  refs: readonly MetricRef[],
  prefix: 'm' | 'p',
  { seconds, total }: Derivation,
): MetricValues => {
  const values: MetricValues = row ? {} : emptyOf(refs)
  if (row) {
    const stored = storedMetrics(row, refs, prefix)
    for (const ref of refs) values[keyOf(ref)] = decode(ref.field, stored[keyOf(ref)])
  }
  const requests = Number(values['requests'] ?? 0)
  values['requestsPerSecond'] = seconds > 0 ? requests / seconds : 0
  values['sharePercent'] = total ? (100 * requests) / Number(total) : null
  return values
}

export const dimensionValues = (row: StoredRow, grouped: readonly Dimension[]): Record<string, DimensionValue> =>
  Object.fromEntries(
    grouped.map((dimension, index) => {
      const { field, shown } = definitions[dimension]
      return [field, shown(row[`d${index}`] as string | number)]
    }),
  )

/** Tells groups apart by what the store gave. */
export const groupKey = (row: StoredRow, grouped: readonly Dimension[]): string =>
  JSON.stringify(grouped.map((_, index) => row[`d${index}`]))

/** The part of a span that lies in the range and in the past. */
export const secondsWithin = (start: number, end: number, range: TimeRange, now: number): number => {
  const until = now > range.from ? Math.min(range.to, now) : range.to
  return Math.max(0, Math.min(end, until) - Math.max(start, range.from)) / 1_000
}

export interface Span {
  start: number
  end: number
  bucket: NonNullable<AnalyticsRow['bucket']>
}

/** Every bucket with its ends. `complete`: all of it is in the range, and nothing of it is still on its way. */
export const spans = ({ starts, end }: Buckets, range: TimeRange, zone: Zone, completeThrough: number): Span[] =>
  starts.map((start, index) => {
    const next = starts[index + 1] ?? end
    return {
      start,
      end: next,
      bucket: {
        start: new Date(start),
        local: formatLocal(start, zone),
        complete: start >= range.from && next <= range.to && next <= completeThrough,
      },
    }
  })
