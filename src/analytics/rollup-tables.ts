import type { Dimension } from './dimensions.ts'
import { type MetricField, type MetricRef, quantileLevel } from './metrics.ts'

/** A table of requests counted by the hour, and what can be asked of it. */
export interface RollupTable {
  hours: string
  /** The same by days of UTC; absent: there is none. */
  days?: string
  /** Columns beside time and measures; raw rows have them too. */
  columns: readonly string[]
  dimensions: ReadonlySet<Dimension>
  /** Fields of a filter. */
  fields: ReadonlySet<string>
  /** Quantiles and estimated numbers of different things are kept as sketches. */
  hasSketches: boolean
}

/** Fewest rows first: the first that knows all that is asked for is the cheapest. */
export const ROLLUP_TABLES: readonly RollupTable[] = [
  {
    hours: 'service_sketches',
    columns: ['service'],
    dimensions: new Set<Dimension>(['SERVICE', 'HOUR_OF_DAY', 'DAY_OF_WEEK']),
    fields: new Set(['service']),
    hasSketches: true,
  },
  {
    hours: 'route_hours',
    days: 'route_days',
    columns: ['service', 'route'],
    dimensions: new Set<Dimension>(['SERVICE', 'ROUTE', 'HOUR_OF_DAY', 'DAY_OF_WEEK']),
    fields: new Set(['service', 'route']),
    hasSketches: false,
  },
  {
    hours: 'service_hours',
    days: 'service_days',
    columns: ['service', 'country', 'status_code', 'method', 'action'],
    dimensions: new Set<Dimension>([
      'SERVICE',
      'CLIENT_COUNTRY',
      'STATUS_CODE',
      'STATUS_CLASS',
      'METHOD',
      'ACTION',
      'HOUR_OF_DAY',
      'DAY_OF_WEEK',
    ]),
    fields: new Set(['service', 'clientCountry', 'statusCode', 'statusClass', 'method', 'action']),
    hasSketches: false,
  },
]

const UNIQ: ReadonlySet<string> = new Set(['uniqClientIps', 'uniqPaths', 'uniqUserAgents'])

const COUNTS: Partial<Record<MetricField, readonly string[]>> = {
  errors: ['client_errors', 'server_errors'],
  errorRate: ['client_errors', 'server_errors'],
  clientErrorRate: ['client_errors'],
  serverErrorRate: ['server_errors'],
  limited: ['limited'],
  limitedRate: ['limited'],
  blocked: ['blocked'],
  requestBytes: ['request_bytes'],
  responseBytes: ['response_bytes'],
  durationMsAvg: ['durations', 'duration_us'],
  durationMsMax: ['duration_max'],
  uniqClientIps: ['ip_sketch'],
  uniqPaths: ['path_sketch'],
  uniqUserAgents: ['user_agent_sketch'],
}

/** The columns that metrics are made of: sketches are large, and each column of an edge is computed. */
export const measuresOf = (metrics: readonly MetricRef[]): string[] => [
  ...new Set([
    'requests',
    ...metrics.flatMap((ref) => (quantileLevel(ref) === undefined ? (COUNTS[ref.field] ?? []) : ['duration_sketch'])),
  ]),
]

/** Whether a metric is estimated from a sketch, where there is one. */
export const isSketched = (ref: MetricRef): boolean =>
  quantileLevel(ref) !== undefined || (UNIQ.has(ref.field) && !ref.exact)

/** Numbers of different things counted one by one are in no table. */
export const isRolledUp = (ref: MetricRef): boolean => !ref.exact || !UNIQ.has(ref.field)
