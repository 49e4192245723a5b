import {
  BLOCK_ACTIONS,
  BLOCK_SOURCES,
  type BlockAction,
  type BlockListEntry as Entry,
  type BlockSource,
  isWithin,
  parseAddress,
} from '../../ratelimit/index.ts'
import { builder } from '../builder.ts'
import type { Context } from '../context.ts'
import { publicError } from '../errors.ts'
import { Node, PageInfo } from './common.ts'
import { type Page, pageOf } from './pages.ts'
import { attempt, UserError, type UserErrorShape } from './user-errors.ts'

const ACTION_TEXT: Record<BlockAction, string> = {
  BLOCK: 'Denied.',
  RATE_LIMIT: 'Its limits are enforced, also where a policy is in SHADOW or OFF.',
  CHALLENGE: 'A captcha by bouncers that can show one, denied by /v1/decide.',
  ALLOW: 'Always passes, whatever else names it.',
}

const SOURCE_TEXT: Record<BlockSource, string> = {
  MANUAL: 'A person, by GraphQL or the command line.',
  AUTOMATIC: 'A detector.',
  FEED: 'A list of somebody else.',
}

const described = <Name extends string>(names: readonly Name[], texts: Record<Name, string>) =>
  Object.fromEntries(names.map((name) => [name, { value: name, description: texts[name] }])) as Record<
    Name,
    { value: Name; description: string }
  >

export const BlockActionEnum = builder.enumType('BlockAction', {
  description: 'What becomes of requests from a prefix on the block list.',
  values: described(BLOCK_ACTIONS, ACTION_TEXT),
})

export const BlockSourceEnum = builder.enumType('BlockSource', {
  description: 'Who put a prefix on the block list.',
  values: described(BLOCK_SOURCES, SOURCE_TEXT),
})

export const BlockListEntry = builder.objectRef<Entry>('BlockListEntry').implement({
  description:
    'A prefix on the block list. For an address the longest prefix that holds it decides, but ALLOW before all.',
  interfaces: [Node],
  isTypeOf: (value) => typeof value === 'object' && value !== null && 'cidr' in value && 'removedAt' in value,
  fields: (t) => ({
    id: t.id({ description: 'The same for the same cidr, action and source.', resolve: ({ id }) => id }),
    cidr: t.expose('cidr', { type: 'CIDR', description: 'The addresses it is about.' }),
    action: t.expose('action', { type: BlockActionEnum, description: 'What becomes of their requests.' }),
    source: t.expose('source', { type: BlockSourceEnum, description: 'Who put it there.' }),
    reason: t.exposeString('reason', { description: 'Why.' }),
    createdBy: t.exposeString('createdBy', { description: 'Id of an API key, "cli" or "system".' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was put there.' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', nullable: true, description: 'When it ends; null: never.' }),
    removedAt: t.expose('removedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was taken off; null: it was not.',
    }),
    removedReason: t.exposeString('removedReason', {
      nullable: true,
      description: 'Why it was taken off, if that was said.',
    }),
    active: t.boolean({
      description: 'Whether it is in force now: neither taken off nor over.',
      resolve: (entry, _args, { blockList }) => blockList.isActive(entry),
    }),
  }),
})

const cursorOf = ({ id }: Entry): string => Buffer.from(id).toString('base64url')

const BlockListEdge = builder.objectRef<Entry>('BlockListEdge').implement({
  description: 'An entry and its place.',
  fields: (t) => ({
    cursor: t.string({ description: 'For after.', resolve: cursorOf }),
    node: t.field({ type: BlockListEntry, description: 'The entry.', resolve: (entry) => entry }),
  }),
})

const BlockListConnection = builder.objectRef<Page<Entry>>('BlockListConnection').implement({
  description: 'A page of the block list.',
  fields: (t) => ({
    edges: t.field({ type: [BlockListEdge], description: 'Entries with their places.', resolve: ({ page }) => page }),
    nodes: t.field({ type: [BlockListEntry], description: 'Entries alone.', resolve: ({ page }) => page }),
    pageInfo: t.field({ type: PageInfo, description: 'Where the page lies.', resolve: ({ pageInfo }) => pageInfo }),
    totalCount: t.expose('totalCount', { type: 'SafeInt', description: 'Entries of all pages together.' }),
  }),
})

const BlockListFilter = builder.inputType('BlockListFilter', {
  description: 'Which entries; all conditions hold.',
  fields: (t) => ({
    contains: t.field({ type: 'IPAddress', description: 'Those whose prefix holds this address.' }),
    action: t.field({ type: [BlockActionEnum], description: 'Any of these.' }),
    source: t.field({ type: [BlockSourceEnum], description: 'Any of these.' }),
    active: t.boolean({
      defaultValue: true,
      description: 'true: in force; false: taken off or over; null: both.',
    }),
  }),
})

type Where = typeof BlockListFilter.$inferInput

const find = ({ blockList }: Context, { contains, action, source, active = true }: Where): Entry[] => {
  const address = contains ? parseAddress(contains) : undefined
  return blockList
    .list()
    .filter(
      (entry) =>
        (!address || isWithin(address, entry.prefix)) &&
        (!action || action.includes(entry.action)) &&
        (!source || source.includes(entry.source)) &&
        (active === null || blockList.isActive(entry) === active),
    )
}

builder.queryField('blockList', (t) =>
  t.field({
    type: BlockListConnection,
    authScopes: { scope: 'SECURITY_READ' },
    description: 'The block list, newest first. Scope SECURITY_READ.',
    args: {
      where: t.arg({ type: BlockListFilter, description: 'Which entries. Default: those in force.' }),
      first: t.arg.int({ required: true, defaultValue: 100, description: '1,000 at most.' }),
      after: t.arg.string({ description: 'endCursor of the page before.' }),
    },
    resolve: (_root, { where, first, after }, context) =>
      pageOf(find(context, where ?? {}), cursorOf, { first, after }),
  }),
)

interface Payload {
  entry: Entry | null
  userErrors: UserErrorShape[]
}

const BlockListPayload = builder.objectRef<Payload>('BlockListPayload').implement({
  description: 'What became of a change of the block list.',
  fields: (t) => ({
    entry: t.field({
      type: BlockListEntry,
      nullable: true,
      description: 'The entry as it is now.',
      resolve: ({ entry }) => entry,
    }),
    userErrors: t.field({
      type: [UserError],
      description: 'Why nothing was changed; empty: it was.',
      resolve: ({ userErrors }) => userErrors,
    }),
  }),
})

const AddBlockListEntryInput = builder.inputType('AddBlockListEntryInput', {
  description: 'A prefix for the block list. The same cidr and action again: a new reason and end.',
  fields: (t) => ({
    cidr: t.field({ type: 'CIDR', required: true, description: 'An address or a prefix.' }),
    action: t.field({
      type: BlockActionEnum,
      required: true,
      defaultValue: 'BLOCK',
      description: 'What becomes of its requests.',
    }),
    reason: t.string({ required: true, description: 'Why, for those who look at the list later.' }),
    expiresAt: t.field({ type: 'DateTime', description: 'When it ends. Default: never.' }),
    force: t.boolean({
      defaultValue: false,
      description:
        'Also private, loopback, link-local, ULA and CGNAT ranges, trusted proxies and prefixes broader than /8 (IPv6: /16), which are refused otherwise. ALLOW needs it for none.',
    }),
    idempotencyKey: t.string({
      description: 'The same again from the same API key changes nothing, not even if the entry was taken off since.',
    }),
  }),
})

const NOTHING: Omit<Payload, 'userErrors'> = { entry: null }

/** @throws {GraphQLError} FORBIDDEN */
const checkAllServices = ({ principal }: Context): void => {
  if (principal.services === null) return
  throw publicError(
    'FORBIDDEN',
    `the block list holds for all services, and the key "${principal.name}" is for ${principal.services.join(', ')} alone; use a key that is bound to none`,
  )
}

builder.mutationField('addBlockListEntry', (t) =>
  t.field({
    type: BlockListPayload,
    authScopes: { scope: 'SECURITY_WRITE' },
    description:
      'Puts a prefix on the block list, in force everywhere within two seconds. Scope SECURITY_WRITE, by a key that is bound to no services, since the list holds for all.',
    args: { input: t.arg({ type: AddBlockListEntryInput, required: true, description: 'The entry.' }) },
    resolve: (_root, { input }, context) => {
      checkAllServices(context)
      const { cidr, action, reason, expiresAt, force, idempotencyKey } = input
      const entry = {
        cidr,
        action,
        reason,
        expiresAt: expiresAt ?? null,
        force: force ?? false,
        idempotencyKey: idempotencyKey ?? undefined,
      }
      return attempt(NOTHING, async () => ({
        entry: await context.blockList.add(entry, { by: context.principal.keyId }),
      }))
    },
  }),
)

builder.mutationField('removeBlockListEntry', (t) =>
  t.field({
    type: BlockListPayload,
    authScopes: { scope: 'SECURITY_WRITE' },
    description:
      'Takes an entry off the block list, everywhere within two seconds; once more changes nothing. Scope SECURITY_WRITE, by a key that is bound to no services.',
    args: {
      id: t.arg.id({ required: true, description: 'Of the entry.' }),
      reason: t.arg.string({ description: 'Why, for those who look at it later.' }),
    },
    resolve: (_root, { id, reason }, context) => {
      checkAllServices(context)
      return attempt(
        NOTHING,
        async () => ({
          entry: await context.blockList.remove(id, { by: context.principal.keyId, reason: reason ?? undefined }),
        }),
        'id',
      )
    },
  }),
)
