import { SCOPES, type Scope } from '../../http/index.ts'
import type { ApiKey as ApiKeyShape } from '../../store/index.ts'
import { builder } from '../builder.ts'
import { Node, PageInfo } from './common.ts'
import { type Page, pageOf } from './pages.ts'
import { attempt, UserError, type UserErrorShape } from './user-errors.ts'

const SCOPE_TEXT: Record<Scope, string> = {
  COLLECT: 'Send request logs.',
  DECIDE: 'Ask for decisions.',
  ANALYTICS_READ: 'Read aggregates and values of dimensions.',
  LOGS_READ: 'Read the requests themselves.',
  SECURITY_READ: 'Read findings, detectors, blocks and policies.',
  SECURITY_WRITE: 'Change them.',
  REPORTS_READ: 'Read reports and subscriptions.',
  REPORTS_WRITE: 'Change and send them.',
  ADMIN: 'All of these, and API keys and jobs.',
}

export const ScopeEnum = builder.enumType('Scope', {
  description: 'What an API key may do.',
  values: Object.fromEntries(
    SCOPES.map((scope) => [scope, { value: scope, description: SCOPE_TEXT[scope] }]),
  ) as Record<Scope, { value: Scope; description: string }>,
})

/** How ids of keys begin. */
export const API_KEY_ID = 'key_'

export const ApiKey = builder.objectRef<ApiKeyShape>('ApiKey').implement({
  description: 'An API key; its secret is nowhere to be read.',
  interfaces: [Node],
  isTypeOf: (value) => typeof value === 'object' && value !== null && 'prefix' in value && 'scopes' in value,
  fields: (t) => ({
    id: t.id({ description: 'The same in every answer.', resolve: ({ id }) => id }),
    name: t.exposeString('name', { description: 'What it is for.' }),
    prefix: t.exposeString('prefix', { description: 'First characters of the secret, to know it again by.' }),
    scopes: t.field({ type: [ScopeEnum], description: 'What it may do.', resolve: ({ scopes }) => [...scopes] }),
    services: t.stringList({
      nullable: true,
      description: 'The only services that it writes and reads; null: all.',
      resolve: ({ services }) => services && [...services],
    }),
    pointsPerHour: t.exposeInt('pointsPerHour', { description: 'What its GraphQL queries may cost in an hour.' }),
    postsPerMinute: t.exposeInt('postsPerMinute', {
      description: 'How many POSTs the collector takes from it in a minute.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Day of its last use; null: never.',
    }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', nullable: true, description: 'When it ends; null: never.' }),
    revokedAt: t.expose('revokedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was revoked; null: it was not.',
    }),
  }),
})

const cursorOf = ({ id }: ApiKeyShape): string => Buffer.from(id).toString('base64url')

const ApiKeyEdge = builder.objectRef<ApiKeyShape>('ApiKeyEdge').implement({
  description: 'A key and its place.',
  fields: (t) => ({
    cursor: t.string({ description: 'For after.', resolve: cursorOf }),
    node: t.field({ type: ApiKey, description: 'The key.', resolve: (key) => key }),
  }),
})

const ApiKeyConnection = builder.objectRef<Page<ApiKeyShape>>('ApiKeyConnection').implement({
  description: 'A page of API keys.',
  fields: (t) => ({
    edges: t.field({ type: [ApiKeyEdge], description: 'Keys with their places.', resolve: ({ page }) => page }),
    nodes: t.field({ type: [ApiKey], description: 'Keys alone.', resolve: ({ page }) => page }),
    pageInfo: t.field({ type: PageInfo, description: 'Where the page lies.', resolve: ({ pageInfo }) => pageInfo }),
    totalCount: t.expose('totalCount', { type: 'SafeInt', description: 'Keys of all pages together.' }),
  }),
})

builder.queryField('apiKeys', (t) =>
  t.field({
    type: ApiKeyConnection,
    authScopes: { scope: 'ADMIN' },
    description: 'API keys, oldest first, revoked and expired ones too. Scope ADMIN.',
    args: {
      first: t.arg.int({ required: true, defaultValue: 100, description: '1,000 at most.' }),
      after: t.arg.string({ description: 'endCursor of the page before.' }),
    },
    resolve: (_root, { first, after }, context) => pageOf(context.keys.list(), cursorOf, { first, after }),
  }),
)

interface Payload {
  apiKey: ApiKeyShape | null
  secret: string | null
  userErrors: UserErrorShape[]
}

const ApiKeyPayload = builder.objectRef<Payload>('ApiKeyPayload').implement({
  description: 'What became of a change of API keys.',
  fields: (t) => ({
    apiKey: t.field({
      type: ApiKey,
      nullable: true,
      description: 'The key as it is now.',
      resolve: ({ apiKey }) => apiKey,
    }),
    secret: t.exposeString('secret', {
      nullable: true,
      description: 'Of a new key. It is shown here and never again.',
    }),
    userErrors: t.field({
      type: [UserError],
      description: 'Why nothing was changed; empty: it was.',
      resolve: ({ userErrors }) => userErrors,
    }),
  }),
})

const NOTHING: Omit<Payload, 'userErrors'> = { apiKey: null, secret: null }

builder.mutationField('createApiKey', (t) =>
  t.field({
    type: ApiKeyPayload,
    authScopes: { scope: 'ADMIN' },
    description: 'Makes an API key. Scope ADMIN.',
    args: {
      name: t.arg.string({ required: true, description: 'What it is for.' }),
      scopes: t.arg({ type: [ScopeEnum], required: true, description: 'What it may do.' }),
      services: t.arg.stringList({ description: 'The only services that it writes and reads. Default: all.' }),
      expiresAt: t.arg({ type: 'DateTime', description: 'When it ends. Default: never.' }),
      pointsPerHour: t.arg.int({
        required: true,
        defaultValue: 100_000,
        description: 'What its GraphQL queries may cost in an hour, from 1 to 1,000,000,000.',
      }),
      postsPerMinute: t.arg.int({
        required: true,
        defaultValue: 300_000,
        description: 'How many POSTs the collector takes from it in a minute, from 1 to 10,000,000.',
      }),
    },
    resolve: (_root, { services, expiresAt, ...key }, { keys, principal }) =>
      attempt(NOTHING, () =>
        keys.create({ ...key, services: services ?? null, expiresAt: expiresAt ?? null, by: principal.keyId }),
      ),
  }),
)

builder.mutationField('revokeApiKey', (t) =>
  t.field({
    type: ApiKeyPayload,
    authScopes: { scope: 'ADMIN' },
    description: 'Revokes an API key, everywhere within two seconds; once more changes nothing. Scope ADMIN.',
    args: { id: t.arg.id({ required: true, description: 'Of the key.' }) },
    resolve: (_root, { id }, { keys, principal }) =>
      attempt(NOTHING, async () => ({ apiKey: await keys.revoke(id, { by: principal.keyId }), secret: null }), 'id'),
  }),
)
