import {
  createServiceTest,
  type Policy,
  type PolicySource,
  type PolicyValues,
  RATE_LIMIT_ALGORITHMS,
  RATE_LIMIT_KEYS,
  RATE_LIMIT_MODES,
  RATE_LIMIT_ON_ERROR,
  type RateLimitAlgorithm,
  type RateLimitKey,
  type RateLimitMode,
  type RateLimitOnError,
} from '../../ratelimit/index.ts'
import { builder } from '../builder.ts'
import type { Context } from '../context.ts'
import { publicError } from '../errors.ts'
import { Node } from './common.ts'
import { attempt, UserError, type UserErrorShape } from './user-errors.ts'

const described = <Name extends string>(names: readonly Name[], texts: Record<Name, string>) =>
  Object.fromEntries(names.map((name) => [name, { value: name, description: texts[name] }])) as Record<
    Name,
    { value: Name; description: string }
  >

const KEY_TEXT: Record<RateLimitKey, string> = {
  IP: 'The address, an IPv6 one by its /64; the user where one is known and authenticatedLimit is set.',
  USER: 'The user; without one the address.',
  API_KEY: "The visitor's own key for the service; without one the address.",
  IP_AND_PATH: 'The address and the path together.',
}

const ALGORITHM_TEXT: Record<RateLimitAlgorithm, string> = {
  FIXED_WINDOW: "Begins with a key's first request; up to twice the limit can pass across two windows.",
  SLIDING_WINDOW: 'No window of this length lets more than limit + 1/8 pass.',
}

const MODE_TEXT: Record<RateLimitMode, string> = {
  OFF: 'Neither counted nor limited: what it fits is exempt.',
  SHADOW: 'Counted and logged, never denied.',
  ENFORCE: 'Over the limit it is denied.',
}

const ON_ERROR_TEXT: Record<RateLimitOnError, string> = { ALLOW: 'It passes.', DENY: 'It does not pass.' }

const SOURCES = ['BUILT_IN', 'FILE', 'STORE'] as const satisfies readonly PolicySource[]
const SOURCE_TEXT: Record<PolicySource, string> = {
  BUILT_IN: 'In force until it is changed.',
  FILE: 'POLICY_FILE: it wins over STORE and is changed there alone.',
  STORE: 'Saved by this API.',
}

const KeyEnum = builder.enumType('RateLimitKey', {
  description: 'What is counted.',
  values: described(RATE_LIMIT_KEYS, KEY_TEXT),
})
const AlgorithmEnum = builder.enumType('RateLimitAlgorithm', {
  description: 'How it is counted.',
  values: described(RATE_LIMIT_ALGORITHMS, ALGORITHM_TEXT),
})
const ModeEnum = builder.enumType('RateLimitMode', {
  description: 'What becomes of the count.',
  values: described(RATE_LIMIT_MODES, MODE_TEXT),
})
const OnErrorEnum = builder.enumType('RateLimitOnError', {
  description: 'The answer when nothing can be known.',
  values: described(RATE_LIMIT_ON_ERROR, ON_ERROR_TEXT),
})
const SourceEnum = builder.enumType('RateLimitPolicySource', {
  description: 'Where a policy comes from.',
  values: described(SOURCES, SOURCE_TEXT),
})

const TEXT = {
  name: 'What it is for.',
  service: 'The service it holds for; * stands for any text: shop, shop-*, *.',
  pathPattern:
    'The path it holds for: /login, /users/:id (:name or * fill one segment), /api/* (any rest, or none). Paths are decoded and resolved before they are compared.',
  methods: 'The HTTP methods it holds for; empty: all. GET does not include HEAD.',
  key: 'What is counted.',
  limit: 'Requests per window and key, from 1 to 1,000,000.',
  authenticatedLimit: 'The limit where the user is known; then the user is what is counted. Null: limit for everybody.',
  windowSeconds: 'Length of the window, from 1 to 86,400.',
  algorithm: 'How it is counted.',
  blockSeconds:
    'How long a key that went over the limit stays denied, up to 2,073,600; 0: until the window lets it pass again.',
  mode: 'What becomes of the count.',
  onError: 'The answer when nothing can be known, such as a proxy that names no address.',
} as const satisfies Record<keyof PolicyValues, string>

export const RateLimitPolicy = builder.objectRef<Policy>('RateLimitPolicy').implement({
  description:
    'How many requests may pass. Of the policies that fit a request the most specific one applies alone, whatever its mode: by service (exact, then more characters before the first *), then by path segment by segment (literal, one segment, end, any rest), then by methods (fewer before more before all), then by id.',
  interfaces: [Node],
  isTypeOf: (value) => typeof value === 'object' && value !== null && 'pathPattern' in value,
  fields: (t) => ({
    id: t.id({ description: 'The same in every answer; `default` is the built-in one.', resolve: ({ id }) => id }),
    name: t.exposeString('name', { description: TEXT.name }),
    service: t.exposeString('service', { description: TEXT.service }),
    pathPattern: t.exposeString('pathPattern', { description: TEXT.pathPattern }),
    methods: t.stringList({ description: TEXT.methods, resolve: ({ methods }) => [...methods] }),
    key: t.expose('key', { type: KeyEnum, description: TEXT.key }),
    limit: t.exposeInt('limit', { description: TEXT.limit }),
    authenticatedLimit: t.exposeInt('authenticatedLimit', { nullable: true, description: TEXT.authenticatedLimit }),
    windowSeconds: t.exposeInt('windowSeconds', { description: TEXT.windowSeconds }),
    algorithm: t.expose('algorithm', { type: AlgorithmEnum, description: TEXT.algorithm }),
    blockSeconds: t.exposeInt('blockSeconds', { description: TEXT.blockSeconds }),
    mode: t.expose('mode', { type: ModeEnum, description: TEXT.mode }),
    onError: t.expose('onError', { type: OnErrorEnum, description: TEXT.onError }),
    source: t.expose('source', { type: SourceEnum, description: 'Where it comes from.' }),
    version: t.exposeInt('version', { description: 'For expectedVersion; 0 where it is not stored.' }),
  }),
})

/** Without defaults of GraphQL's own: they would say anew what a change of one field leaves as it is. */
export const RateLimitPolicyInput = builder.inputType('RateLimitPolicyInput', {
  description:
    'A policy. With id: a change, and what is not named stays as it is. Without: a new one, for which name, limit and windowSeconds are needed.',
  fields: (t) => ({
    id: t.id({ description: 'Of the policy to change; absent: a new one.' }),
    name: t.string({ description: TEXT.name }),
    service: t.string({ description: `${TEXT.service} New ones: *.` }),
    pathPattern: t.string({ description: `${TEXT.pathPattern} New ones: /*.` }),
    methods: t.stringList({ description: `${TEXT.methods} New ones: all.` }),
    key: t.field({ type: KeyEnum, description: `${TEXT.key} New ones: IP.` }),
    limit: t.int({ description: TEXT.limit }),
    authenticatedLimit: t.int({ description: `${TEXT.authenticatedLimit} New ones: null.` }),
    windowSeconds: t.int({ description: TEXT.windowSeconds }),
    algorithm: t.field({ type: AlgorithmEnum, description: `${TEXT.algorithm} New ones: FIXED_WINDOW.` }),
    blockSeconds: t.int({ description: `${TEXT.blockSeconds} New ones: 0.` }),
    mode: t.field({ type: ModeEnum, description: `${TEXT.mode} New ones: SHADOW.` }),
    onError: t.field({ type: OnErrorEnum, description: `${TEXT.onError} New ones: ALLOW.` }),
    expectedVersion: t.int({
      description: 'The version that was read before the change; another one by now: CONFLICT.',
    }),
  }),
})

/** The values that an input names: null says nothing, save for authenticatedLimit, where it is a value. */
export const policyValuesOf = (input: typeof RateLimitPolicyInput.$inferInput): Partial<PolicyValues> => {
  const { id: _, expectedVersion: __, ...values } = input
  return Object.fromEntries(
    Object.entries(values).filter(
      ([field, value]) => value !== undefined && (value !== null || field === 'authenticatedLimit'),
    ),
  )
}

/** Whether this key may see the policy: it holds for one of its services. */
export const mayReadPolicy = ({ principal: { services } }: Context, { service }: Policy): boolean =>
  services === null || services.some(createServiceTest(service))

/** A key bound to services changes only what holds for one of them and for nothing else. @throws FORBIDDEN */
const reachOf =
  ({ principal: { name, services } }: Context) =>
  (service: string): void => {
    if (services === null || services.includes(service)) return
    throw publicError(
      'FORBIDDEN',
      `a policy for service ${JSON.stringify(service)} reaches beyond ${services.join(', ')}, to which the key "${name}" is bound; name one of these as service, or use a key for all`,
    )
  }

builder.queryField('rateLimitPolicies', (t) =>
  t.field({
    type: [RateLimitPolicy],
    authScopes: { scope: 'SECURITY_READ' },
    description: 'The policies in force, most specific first. Scope SECURITY_READ.',
    resolve: (_root, _args, context) => context.policies.list().filter((policy) => mayReadPolicy(context, policy)),
  }),
)

interface Payload {
  policy: Policy | null
  userErrors: UserErrorShape[]
}

const RateLimitPolicyPayload = builder.objectRef<Payload>('RateLimitPolicyPayload').implement({
  description: 'What became of a change of policies.',
  fields: (t) => ({
    policy: t.field({
      type: RateLimitPolicy,
      nullable: true,
      description: 'As it is now; a deleted one as it was.',
      resolve: ({ policy }) => policy,
    }),
    userErrors: t.field({
      type: [UserError],
      description: 'Why nothing was changed; empty: it was.',
      resolve: ({ userErrors }) => userErrors,
    }),
  }),
})

const NOTHING: Omit<Payload, 'userErrors'> = { policy: null }

const belowInput = ({ policy, userErrors }: Payload): Payload => ({
  policy,
  userErrors: userErrors.map((error) => ({ ...error, field: ['input', ...(error.field ?? [])] })),
})

builder.mutationField('saveRateLimitPolicy', (t) =>
  t.field({
    type: RateLimitPolicyPayload,
    authScopes: { scope: 'SECURITY_WRITE' },
    description:
      'Makes or changes a policy, in force at once here and within two seconds in other processes. Keys bound to services save only policies for one of them. Scope SECURITY_WRITE.',
    args: { input: t.arg({ type: RateLimitPolicyInput, required: true, description: 'The policy.' }) },
    resolve: async (_root, { input }, context) =>
      belowInput(
        await attempt(NOTHING, async () => ({
          policy: await context.policies.save(
            {
              ...policyValuesOf(input),
              id: input.id ?? undefined,
              expectedVersion: input.expectedVersion ?? undefined,
            },
            { by: context.principal.keyId, checkService: reachOf(context) },
          ),
        })),
      ),
  }),
)

builder.mutationField('deleteRateLimitPolicy', (t) =>
  t.field({
    type: RateLimitPolicyPayload,
    authScopes: { scope: 'SECURITY_WRITE' },
    description:
      'Ends a policy; `default` becomes the built-in one again. Keys bound to services delete only policies for one of them. Scope SECURITY_WRITE.',
    args: { id: t.arg.id({ required: true, description: 'Of the policy.' }) },
    resolve: (_root, { id }, context) =>
      attempt(
        NOTHING,
        async () => ({
          policy: await context.policies.remove(id, { by: context.principal.keyId, checkService: reachOf(context) }),
        }),
        'id',
      ),
  }),
)
