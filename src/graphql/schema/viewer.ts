import { LIMITS } from '../../analytics/index.ts'
import { holds, type Scope, SCOPES } from '../../http/index.ts'
import { builder } from '../builder.ts'
import type { Context } from '../context.ts'
import { ApiKey, ScopeEnum } from './api-keys.ts'
import { Freshness, freshnessFor } from './freshness.ts'
import { GranularityEnum } from './inputs.ts'

const Dataset = builder.enumType('Dataset', {
  description: 'What questions are about.',
  values: { REQUESTS: { description: 'Requests that were logged.' } },
} as const)

const DatasetLimits = builder.objectRef<{ enabled: boolean }>('DatasetLimits').implement({
  description: 'What one question about a dataset may ask for; more is refused with a message that says so.',
  fields: (t) => ({
    dataset: t.field({ type: Dataset, description: 'Which one.', resolve: () => 'REQUESTS' as const }),
    enabled: t.exposeBoolean('enabled', { description: 'Whether this key may ask about it at all.' }),
    maxTimeRangeSeconds: t.int({ description: 'Length of a range.', resolve: () => LIMITS.maxTimeRangeSeconds }),
    maxPageSize: t.int({ description: 'Rows of a page of requestLogs.', resolve: () => LIMITS.maxPageSize }),
    maxGroupBy: t.int({ description: 'Dimensions of groupBy.', resolve: () => LIMITS.maxGroupBy }),
    maxRows: t.int({ description: 'Rows of requestAnalytics: groups times buckets.', resolve: () => LIMITS.maxRows }),
    maxRowsToRead: t.field({
      type: 'SafeInt',
      description: 'Rows that one statement may read.',
      resolve: () => LIMITS.maxRowsToRead,
    }),
    maxExecutionSeconds: t.int({ description: 'Time of one statement.', resolve: () => LIMITS.maxExecutionSeconds }),
    rollupGranularities: t.field({
      type: [GranularityEnum],
      description: 'Buckets that roll-ups answer, much faster than raw rows: see meta.source.',
      resolve: () => ['HOUR', 'DAY', 'WEEK', 'MONTH'] as const,
    }),
  }),
})

const RateLimit = builder.objectRef<object>('RateLimit').implement({
  description: 'What the queries of an API key may cost in an hour, in points; the hour begins with its first query.',
  fields: (t) => ({
    limit: t.int({
      description: 'Points of an hour.',
      resolve: (_rateLimit, _args, { principal }) => principal.pointsPerHour,
    }),
    remaining: t.int({
      description: 'What is left, after this operation.',
      resolve: (_rateLimit, _args, { principal, points }) => points.counted?.remaining ?? principal.pointsPerHour,
    }),
    used: t.int({
      description: 'What is spent, this operation included.',
      resolve: (_rateLimit, _args, { points }) =>
        points.counted ? points.counted.limit - points.counted.remaining : 0,
    }),
    resetAt: t.field({
      type: 'DateTime',
      description: 'When all of them are there again.',
      resolve: (_rateLimit, _args, { points }) => new Date(Date.now() + (points.counted?.resetMs ?? 0)),
    }),
    cost: t.int({ description: 'Of this operation.', resolve: (_rateLimit, _args, { cost }) => cost }),
  }),
})

const scopesOf = ({ principal }: Context): Scope[] => SCOPES.filter((scope) => holds(principal, scope))

const Viewer = builder.objectRef<object>('Viewer').implement({
  description: 'The one who asks.',
  fields: (t) => ({
    apiKey: t.field({
      type: ApiKey,
      nullable: true,
      description: 'The API key that this is asked with.',
      resolve: (_viewer, _args, { keys, principal }) => keys.get(principal.keyId) ?? null,
    }),
    scopes: t.field({
      type: [ScopeEnum],
      description: 'What it may do, those included that ADMIN brings.',
      resolve: (_viewer, _args, context) => scopesOf(context),
    }),
    services: t.stringList({
      nullable: true,
      description: 'The only services that are seen; null: all.',
      resolve: (_viewer, _args, { principal }) => principal.services && [...principal.services],
    }),
    timezone: t.field({
      type: 'TimeZone',
      description: 'The time zone that holds where none is named.',
      resolve: () => 'UTC',
    }),
    limits: t.field({
      type: [DatasetLimits],
      description: 'What questions may ask for.',
      resolve: (_viewer, _args, { principal }) => [{ enabled: holds(principal, 'ANALYTICS_READ', 'LOGS_READ') }],
    }),
    rateLimit: t.field({
      type: RateLimit,
      description: 'What its queries may cost, and what is left of it.',
      resolve: () => ({}),
    }),
    freshness: t.field({
      type: Freshness,
      description: 'How far the store has got, for the services that are seen.',
      resolve: (_viewer, _args, context) => freshnessFor(context),
    }),
  }),
})

builder.queryField('viewer', (t) =>
  t.field({
    type: Viewer,
    description: 'The one who asks: scopes, limits, freshness. Any API key.',
    resolve: () => ({}),
  }),
)
