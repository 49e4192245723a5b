import {
  type Backtest,
  type BacktestClient,
  type Effectiveness,
  type EffectivenessRow,
  type Spent,
  type TimeRangeInput as Range,
} from '../../analytics/index.ts'
import { checkPolicy, patternToRegExp, type PolicyValues, serviceToRegExp } from '../../ratelimit/index.ts'
import { StoreError } from '../../store/index.ts'
import { builder } from '../builder.ts'
import { askerOf, type Context } from '../context.ts'
import { publicError } from '../errors.ts'
import { below, type Selected, selectionOf } from '../selection.ts'
import { BlockListEntry } from './block-list.ts'
import { BucketInput, TimeRangeInput } from './inputs.ts'
import { AnalyticsMeta } from './meta.ts'
import { mayReadPolicy, policyValuesOf, RateLimitPolicyInput } from './rate-limit-policies.ts'

type Counts = 'evaluated' | 'allowed' | 'limited' | 'shadowLimited' | 'blocked'
type Clients =
  | 'uniqLimitedClients'
  | 'repeatOffenders'
  | 'passedAfterLimit'
  | 'limitedConfirmedAbusive'
  | 'limitedFalsePositive'
type Rates = 'limitedRate' | 'precision' | 'serverErrorRateBefore' | 'serverErrorRateAfter'

const RateLimitRow = builder.objectRef<EffectivenessRow>('RateLimitRow').implement({
  description: 'What the decisions of one bucket, policy and service came to, flat.',
  fields: (t) => {
    const count = (field: Counts | Clients, description: string) => t.expose(field, { type: 'SafeInt', description })
    const rate = (field: Rates, description: string) => t.exposeFloat(field, { nullable: true, description })
    return {
      bucketStart: t.field({
        type: 'DateTime',
        nullable: true,
        description: 'Where the bucket begins; null without buckets.',
        resolve: ({ bucket }) => bucket?.start ?? null,
      }),
      bucketLocal: t.string({
        nullable: true,
        description: 'The same on the clock of the time zone, with its offset.',
        resolve: ({ bucket }) => bucket?.local ?? null,
      }),
      policyId: t.exposeID('policyId', {
        nullable: true,
        description: 'The policy that was asked; null: none was, since the block list decided before, or the totals.',
      }),
      service: t.exposeString('service', { nullable: true, description: 'The service; null: unknown, or the totals.' }),
      evaluated: count('evaluated', 'Decisions that the policy was asked for.'),
      allowed: count('allowed', 'Of these, requests that passed, shadowLimited among them.'),
      limited: count('limited', 'Requests denied for being over the limit.'),
      shadowLimited: count('shadowLimited', 'Requests over the limit that passed, since the policy is in SHADOW.'),
      blocked: count('blocked', 'Requests denied by the block list, before the policy was asked.'),
      limitedRate: rate('limitedRate', 'Limited by evaluated, 0 to 1.'),
      uniqLimitedClients: count('uniqLimitedClients', 'Different clients that went over the limit, in SHADOW too.'),
      repeatOffenders: count(
        'repeatOffenders',
        'Of these, such as went over it again a window or more after their first time in the range.',
      ),
      passedAfterLimit: count(
        'passedAfterLimit',
        'Requests within the limit by clients that had gone over it before in the range. For an hour after a client last did, what it may do is counted by itself.',
      ),
      limitedConfirmedAbusive: count(
        'limitedConfirmedAbusive',
        'Clients that went over the limit, in SHADOW too, from an address that people called an attacker (verdict CONFIRMED).',
      ),
      limitedFalsePositive: count(
        'limitedFalsePositive',
        'Such from an address that people called none (verdict FALSE_POSITIVE).',
      ),
      precision: rate(
        'precision',
        'limitedConfirmedAbusive by both together, 0 to 1; null where none of them was reviewed.',
      ),
      serverErrorRateBefore: rate(
        'serverErrorRateBefore',
        'Share of 5xx among requests that the service served in the five minutes before limiting began; it begins with a limited decision after five minutes without. Null where it did not begin or nothing was served.',
      ),
      serverErrorRateAfter: rate('serverErrorRateAfter', 'The same in the five minutes from then on.'),
    }
  },
})

const RateLimitEffectiveness = builder.objectRef<Effectiveness & { spent: Spent }>('RateLimitEffectiveness').implement({
  description: 'What limits and blocks came to. Only what is selected is computed.',
  fields: (t) => ({
    rows: t.field({
      type: [RateLimitRow],
      description: 'One for each policy and service, the busiest first; with buckets by time first.',
      resolve: ({ rows }) => rows,
    }),
    totals: t.field({
      type: RateLimitRow,
      description: 'Over the whole range and all policies, not the sum of the rows.',
      resolve: ({ totals }) => totals!,
    }),
    meta: t.field({ type: AnalyticsMeta, description: 'How the answer came about.', resolve: (answer) => answer }),
  }),
})

/** What people said of addresses is looked up only where it is asked for. */
const wantsVerdicts = (selected: readonly Selected[]): boolean =>
  selected.some(
    ({ name, below }) =>
      ['limitedConfirmedAbusive', 'limitedFalsePositive', 'precision'].includes(name) || wantsVerdicts(below),
  )

const wantsErrorRates = (selected: readonly Selected[]): boolean =>
  selected.some(({ name, below }) => name.startsWith('serverErrorRate') || wantsErrorRates(below))

builder.queryField('rateLimitEffectiveness', (t) =>
  t.field({
    type: RateLimitEffectiveness,
    authScopes: { scope: 'SECURITY_READ' },
    description:
      'What limits and blocks came to, from the log of decisions: how many were limited, whether they came again, and how the services fared before and after. Scope SECURITY_READ.',
    args: {
      timeRange: t.arg({ type: TimeRangeInput, required: true, description: 'Which decisions, by their time.' }),
      bucket: t.arg({ type: BucketInput, description: 'Cut the range into buckets; {} chooses their length.' }),
      policyIds: t.arg.idList({ description: 'Of these policies alone.' }),
      services: t.arg.stringList({ description: 'Of these services alone.' }),
    },
    resolve: (_root, { timeRange, bucket, policyIds, services }, context, info) => {
      const selected = selectionOf(info)
      const selection = {
        rows:
          Boolean(below(selected, 'rows')) ||
          Boolean(below(selected, 'meta')?.some(({ name }) => name === 'truncated')),
        totals: Boolean(below(selected, 'totals')),
        errorRates: wantsErrorRates(selected),
        verdicts: wantsVerdicts(selected),
      }
      return context.analytics.rateLimitEffectiveness(
        { timeRange, bucket, policyIds: policyIds?.map(String), services, selection },
        askerOf(context, 'rateLimitEffectiveness'),
      )
    },
  }),
)

const RateLimitBacktestClient = builder.objectRef<BacktestClient>('RateLimitBacktestClient').implement({
  description: 'A client that the limit would have denied, flat.',
  fields: (t) => ({
    client: t.exposeString('client', {
      description: 'As the policy counts it: 203.0.113.7, 2001:db8::/64, user:42, 203.0.113.7 /login.',
    }),
    requests: t.expose('requests', { type: 'SafeInt', description: 'Requests in the range.' }),
    wouldLimit: t.expose('wouldLimit', { type: 'SafeInt', description: 'Requests that would have been denied.' }),
    peak: t.expose('peak', { type: 'SafeInt', description: "Most requests within any one window's length." }),
  }),
})

const RateLimitBacktest = builder.objectRef<Backtest & { spent: Spent }>('RateLimitBacktest').implement({
  description: 'What a limit would have done to stored requests.',
  fields: (t) => ({
    evaluated: t.expose('evaluated', {
      type: 'SafeInt',
      description: 'Requests that the policy fits; those that the block list denied are none.',
    }),
    wouldLimit: t.expose('wouldLimit', { type: 'SafeInt', description: 'Requests that would have been denied.' }),
    wouldLimitClients: t.expose('wouldLimitClients', {
      type: 'SafeInt',
      description: 'Clients with at least one such request.',
    }),
    clientRatePercentiles: t.field({
      type: 'JSON',
      description:
        'Requests a client makes in a window in which it makes any: p50, p75, p90, p95, p99, p999 and max, each the smallest number that so many windows do not exceed. Null where there are none.',
      resolve: ({ clientRatePercentiles }) => clientRatePercentiles,
    }),
    topClients: t.field({
      type: [RateLimitBacktestClient],
      description: 'Clients that would have been denied, most often first, 50 at most.',
      resolve: ({ topClients }) => topClients,
    }),
  }),
})

/** The policy to try: a stored one as it is or changed, or a new one. @throws {GraphQLError} INVALID_ARGUMENT */
const policyOf = (input: typeof RateLimitPolicyInput.$inferInput, context: Context): PolicyValues => {
  const id = input.id ?? undefined
  const stored = id === undefined ? undefined : context.policies.get(id)
  if (id !== undefined && (!stored || !mayReadPolicy(context, stored)))
    throw publicError(
      'INVALID_ARGUMENT',
      `policy.id is ${JSON.stringify(id)}; allowed is the id of a policy that this key may read (see rateLimitPolicies), or none for a new one`,
      { argument: 'policy.id' },
    )
  try {
    return checkPolicy({ name: 'backtest', ...stored, ...policyValuesOf(input) })
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    const argument = error.field === undefined ? 'policy' : `policy.${error.field}`
    throw publicError('INVALID_ARGUMENT', `policy.${error.message}`, { argument })
  }
}

builder.queryField('backtestRateLimit', (t) =>
  t.field({
    type: RateLimitBacktest,
    authScopes: { scope: 'SECURITY_READ' },
    description:
      'What a policy would have done to the stored requests of a range, simulated request by request and beginning with nothing counted. With id: that policy, with what else is named changed. mode and onError do not matter; that another policy fits better is not considered; keys of API_KEY are not in the log. Scope SECURITY_READ.',
    args: {
      policy: t.arg({ type: RateLimitPolicyInput, required: true, description: 'The policy to try.' }),
      timeRange: t.arg({ type: TimeRangeInput, required: true, description: 'Which requests, by their timestamp.' }),
    },
    resolve: (_root, { policy: input, timeRange }, context) => {
      const policy = policyOf(input, context)
      return context.analytics.backtestRateLimit(
        {
          policy: {
            ...policy,
            servicePattern: serviceToRegExp(policy.service),
            pathPattern: patternToRegExp(policy.pathPattern),
          },
          timeRange,
        },
        askerOf(context, 'backtestRateLimit'),
      )
    },
  }),
)

/** Hits that are asked for together, such as those of a page, are one statement. */
interface Asked {
  ids: Set<string>
  hits: Promise<Map<string, number | bigint>>
}
const askedBy = new WeakMap<Context, Map<string, Asked>>()

const hitsOf = async (id: string, timeRange: Range, context: Context): Promise<number | bigint> => {
  const asked = askedBy.get(context) ?? new Map<string, Asked>()
  askedBy.set(context, asked)
  const key = JSON.stringify(timeRange)
  let together = asked.get(key)
  if (!together) {
    const ids = new Set<string>()
    // The other entries of the page are resolved before the next turn of the event loop.
    const hits = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
      asked.delete(key)
      return context.analytics.blockListHits({ entryIds: [...ids], timeRange }, askerOf(context, 'hits'))
    })
    together = { ids, hits }
    asked.set(key, together)
  }
  together.ids.add(id)
  return (await together.hits).get(id) ?? 0
}

builder.objectField(BlockListEntry, 'hits', (t) =>
  t.field({
    type: 'SafeInt',
    description: 'Decisions of a range in which the entry had a say, of the services that this key may see.',
    args: { timeRange: t.arg({ type: TimeRangeInput, required: true, description: 'Which decisions.' }) },
    resolve: ({ id }, { timeRange }, context) => hitsOf(id, timeRange, context),
  }),
)
