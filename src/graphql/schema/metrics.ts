import {
  keyOf,
  type MetricField,
  type MetricRef,
  metrics,
  METRIC_FIELDS,
  type MetricValues,
  LIMITS,
} from '../../analytics/index.ts'
import { builder } from '../builder.ts'
import { publicError } from '../errors.ts'
import type { Selected } from '../selection.ts'

/** Anything that metrics are read from. */
export interface Measured {
  values: MetricValues
}

const read = ({ values }: Measured, ref: MetricRef) => values[keyOf(ref)] ?? null

/** The metrics among the selected fields. @throws {GraphQLError} BAD_USER_INPUT for a quantile out of bounds */
export const metricsIn = (selected: readonly Selected[]): MetricRef[] => {
  const refs = selected
    .filter(({ name }) => METRIC_FIELDS.includes(name as MetricField))
    .map(({ name, args }): MetricRef => refOf(name as MetricField, args))
  const levels = new Set(refs.map(({ level }) => level))
  if (levels.size > LIMITS.maxQuantiles)
    throw publicError(
      'BAD_USER_INPUT',
      `durationMsQuantile is asked for ${levels.size} levels; allowed are ${LIMITS.maxQuantiles}`,
    )
  return refs
}

const refOf = (field: MetricField, args: Record<string, unknown>): MetricRef => {
  const level = args['level'] as number | undefined
  if (level !== undefined && !(level >= 0 && level <= 1))
    throw publicError('BAD_USER_INPUT', `durationMsQuantile.level is ${level}; allowed is 0 to 1, such as 0.95`, {
      argument: 'level',
    })
  return { field, ...(level === undefined ? {} : { level }), ...(args['exact'] ? { exact: true } : {}) }
}

type SimpleCount = 'requests' | 'errors' | 'limited' | 'blocked' | 'requestBytes' | 'responseBytes'
type SimpleValue = Exclude<
  MetricField,
  SimpleCount | 'requestsPerSecond' | 'durationMsQuantile' | 'uniqClientIps' | 'uniqPaths' | 'uniqUserAgents'
>

export const RequestMetrics = builder.interfaceRef<Measured>('RequestMetrics').implement({
  description: 'Measurements over a set of requests. Only those that are selected are computed.',
  fields: (t) => {
    const count = (field: SimpleCount) =>
      t.field({ type: 'SafeInt', description: metrics[field].description, resolve: (of) => read(of, { field })! })
    const value = (field: SimpleValue) =>
      t.float({
        nullable: true,
        description: metrics[field].description,
        resolve: (of) => read(of, { field }) as number | null,
      })
    const uniq = (field: 'uniqClientIps' | 'uniqPaths' | 'uniqUserAgents') =>
      t.field({
        type: 'SafeInt',
        description: metrics[field].description,
        args: { exact: t.arg.boolean({ defaultValue: false, description: 'Counted one by one; takes more memory.' }) },
        resolve: (of, { exact }) => read(of, exact ? { field, exact } : { field })!,
      })
    return {
      requests: count('requests'),
      requestsPerSecond: t.float({
        description: metrics.requestsPerSecond.description,
        resolve: (of) => Number(read(of, { field: 'requestsPerSecond' })),
      }),
      errors: count('errors'),
      errorRate: value('errorRate'),
      clientErrorRate: value('clientErrorRate'),
      serverErrorRate: value('serverErrorRate'),
      limited: count('limited'),
      limitedRate: value('limitedRate'),
      blocked: count('blocked'),
      requestBytes: count('requestBytes'),
      responseBytes: count('responseBytes'),
      durationMsAvg: value('durationMsAvg'),
      durationMsP50: value('durationMsP50'),
      durationMsP95: value('durationMsP95'),
      durationMsP99: value('durationMsP99'),
      durationMsMax: value('durationMsMax'),
      durationMsQuantile: t.float({
        nullable: true,
        description: metrics.durationMsQuantile.description,
        args: { level: t.arg.float({ required: true, description: '0.5 is the median.' }) },
        resolve: (of, { level }) => read(of, { field: 'durationMsQuantile', level }) as number | null,
      }),
      uniqClientIps: uniq('uniqClientIps'),
      uniqPaths: uniq('uniqPaths'),
      uniqUserAgents: uniq('uniqUserAgents'),
      sharePercent: value('sharePercent'),
    }
  },
})

export const MetricSet = builder.objectRef<Measured>('MetricSet').implement({
  description: 'Measurements over one set of requests.',
  interfaces: [RequestMetrics],
})
