import {
  blockedCidr,
  type Range,
  type Review as ReviewShape,
  REVIEW_STATUSES,
  SEVERITIES,
  SUSPICIOUS_IP_ORDERS,
  type SuspiciousAddress,
  type SuspiciousPage,
} from '../../detection/index.ts'
import { builder } from '../builder.ts'
import { askerOf } from '../context.ts'
import { publicError } from '../errors.ts'
import { eventsOf } from '../event-streams.ts'
import { selectionOf } from '../selection.ts'
import { BlockListEntry } from './block-list.ts'
import { Campaign, campaignOf } from './campaigns.ts'
import { CountMode, Node, PageInfo } from './common.ts'
import { Detection, detectionsOf } from './detections.ts'
import { SeverityEnum } from './detectors.ts'
import { IpFilter, TimeRangeInput } from './inputs.ts'
import { readRequestLogs, RequestLogConnection } from './request-logs.ts'

export const described = <Name extends string>(names: readonly Name[], texts: Record<Name, string>) =>
  Object.fromEntries(names.map((name) => [name, { value: name, description: texts[name] }])) as Record<
    Name,
    { value: Name; description: string }
  >

export const ReviewStatusEnum = builder.enumType('ReviewStatus', {
  description: 'What people said of a suspicious address.',
  values: described(REVIEW_STATUSES, {
    OPEN: 'Nothing yet, or what was said no longer holds.',
    CONFIRMED: 'An attacker, whatever comes.',
    FALSE_POSITIVE: 'None; opens again where a detector flags it that the verdict was not about.',
    IGNORED: 'Not of interest, whatever comes.',
    RESOLVED: 'Dealt with; opens again with a later finding.',
  }),
})

const Review = builder.objectRef<ReviewShape>('Review').implement({
  description: 'A verdict on a suspicious address.',
  fields: (t) => ({
    status: t.expose('status', { type: ReviewStatusEnum, description: 'As it holds.' }),
    note: t.exposeString('note', { nullable: true, description: 'Why.' }),
    reviewedBy: t.exposeString('reviewedBy', {
      nullable: true,
      description: 'Id of an API key, or "cli"; null: nobody looked yet.',
    }),
    reviewedAt: t.expose('reviewedAt', { type: 'DateTime', nullable: true, description: 'When it was given.' }),
    detectors: t.stringList({
      description: 'Ids of the detectors that had flagged the address by then: the verdict is about these.',
      resolve: ({ detectors }) => [...detectors],
    }),
  }),
})

/** The findings that an answer is made of; undefined: all that are kept. */
export type Suspect = SuspiciousAddress & { range?: Range | undefined }

export const SuspiciousIp = builder.objectRef<Suspect>('SuspiciousIp').implement({
  description: 'An address that detectors flagged, with all that they found. Of IPv6 a /64 counts as one address.',
  interfaces: [Node],
  isTypeOf: (value) => typeof value === 'object' && value !== null && 'strongest' in value,
  fields: (t) => ({
    id: t.id({ description: 'The same for the same address.', resolve: ({ id }) => id }),
    ip: t.expose('ip', { type: 'IPAddress', description: 'Of a /64 the lowest address that was seen.' }),
    score: t.exposeFloat('score', {
      description: '0 to 100: of the highest score of each detector, as if each were a chance of its own.',
    }),
    severity: t.expose('severity', { type: SeverityEnum, description: 'Of the worst finding.' }),
    flaggedAt: t.expose('flaggedAt', { type: 'DateTime', description: 'When it was flagged last.' }),
    firstSeenAt: t.expose('firstSeenAt', { type: 'DateTime', description: 'The first request that proves a finding.' }),
    lastSeenAt: t.expose('lastSeenAt', { type: 'DateTime', description: 'The last one.' }),
    isBlocked: t.exposeBoolean('isBlocked', { description: 'Whether the block list denies it now.' }),
    requests: t.expose('requests', {
      type: 'SafeInt',
      description:
        'Of the hours in which it was flagged, each counted once; of a longer window where that alone holds more.',
    }),
    errorRate: t.exposeFloat('errorRate', { nullable: true, description: 'Share of answers 400 to 599 among them.' }),
    country: t.exposeString('country', { nullable: true, description: 'ISO 3166-1 alpha-2 code.' }),
    city: t.exposeString('city', { nullable: true, description: 'City, in English.' }),
    asn: t.expose('asn', {
      type: 'SafeInt',
      nullable: true,
      description: 'Number of the autonomous system that announces it.',
    }),
    asOrganization: t.exposeString('asOrganization', { nullable: true, description: 'Who runs that system.' }),
    services: t.stringList({
      description: 'That saw it, in order, 20 at most.',
      resolve: ({ services }) => [...services],
    }),
    detectorIds: t.idList({
      description: 'Of the detectors that flagged it, in order.',
      resolve: ({ detectors }) => [...detectors],
    }),
    detections: t.field({
      type: [Detection],
      description: 'What was found, newest first.',
      args: { first: t.arg.int({ required: true, defaultValue: 20, description: '1,000 at most.' }) },
      resolve: ({ address, range }, { first }, context) => {
        if (first < 1 || first > 1_000)
          throw publicError('INVALID_ARGUMENT', `first is ${first}; allowed is a whole number from 1 to 1000`, {
            argument: 'first',
          })
        return detectionsOf(address, { first, range }, context)
      },
    }),
    campaign: t.field({
      type: Campaign,
      nullable: true,
      description: 'The addresses that it acts as one with.',
      resolve: async ({ address, range }, _args, context) => (await campaignOf(address, range, context)) ?? null,
    }),
    review: t.field({ type: Review, description: 'The verdict that holds.', resolve: ({ review }) => review }),
    reviewHistory: t.field({
      type: [Review],
      description: 'All verdicts as they were given, newest first.',
      resolve: ({ address }, _args, { suspicious }) => suspicious.history(address),
    }),
    block: t.field({
      type: BlockListEntry,
      nullable: true,
      description: 'The entry of the block list that denies it now.',
      resolve: (suspect, _args, { suspicious }) => suspicious.block(suspect) ?? null,
    }),
    requestLogs: t.field({
      type: RequestLogConnection,
      authScopes: { scope: 'LOGS_READ' },
      description: 'All of its requests since the first one that proves a finding, newest first. Scope LOGS_READ.',
      args: {
        first: t.arg.int({ required: true, defaultValue: 20, description: '1,000 at most.' }),
        after: t.arg.string({ description: 'endCursor of the page before.' }),
      },
      resolve: ({ address, firstSeenAt }, { first, after }, context, info) =>
        readRequestLogs(
          { timeRange: { from: firstSeenAt }, where: { clientIp: { in: [blockedCidr(address)] } }, first, after },
          context,
          info,
        ),
    }),
  }),
})

interface Connection {
  page: { edges: { cursor: string; node: Suspect }[]; hasNextPage: boolean; hasPreviousPage: boolean }
  count: () => Promise<number>
}

const SuspiciousIpEdge = builder.objectRef<{ cursor: string; node: Suspect }>('SuspiciousIpEdge').implement({
  description: 'An address and its place.',
  fields: (t) => ({
    cursor: t.exposeString('cursor', { description: 'For after and before.' }),
    node: t.field({ type: SuspiciousIp, description: 'The address.', resolve: ({ node }) => node }),
  }),
})

const SuspiciousIpConnection = builder.objectRef<Connection>('SuspiciousIpConnection').implement({
  description: 'A page of suspicious addresses.',
  fields: (t) => ({
    edges: t.field({
      type: [SuspiciousIpEdge],
      description: 'Addresses with their places.',
      resolve: ({ page }) => page.edges,
    }),
    nodes: t.field({
      type: [SuspiciousIp],
      description: 'Addresses alone.',
      resolve: ({ page }) => page.edges.map(({ node }) => node),
    }),
    pageInfo: t.field({
      type: PageInfo,
      description: 'Where the page lies.',
      resolve: ({ page }) => ({
        hasNextPage: page.hasNextPage,
        hasPreviousPage: page.hasPreviousPage,
        startCursor: page.edges[0]?.cursor ?? null,
        endCursor: page.edges.at(-1)?.cursor ?? null,
      }),
    }),
    totalCount: t.field({
      type: 'SafeInt',
      nullable: true,
      description: 'Addresses of all pages together; null for mode NONE.',
      args: { mode: t.arg({ type: CountMode, required: true, defaultValue: 'EXACT', description: 'How to count.' }) },
      resolve: ({ count }, { mode }) => (mode === 'NONE' ? null : count()),
    }),
  }),
})

const SuspiciousIpOrder = builder.enumType('SuspiciousIpOrder', {
  description: 'Order of addresses. It is total: pages neither skip nor repeat one.',
  values: described(SUSPICIOUS_IP_ORDERS, {
    SCORE_DESC: 'Highest score first.',
    LAST_SEEN_DESC: 'Last seen first.',
    FIRST_SEEN_DESC: 'Newest acquaintance first.',
    REQUESTS_DESC: 'Most requests first.',
  }),
})

const SuspiciousIpFilter = builder.inputType('SuspiciousIpFilter', {
  description: 'Which addresses; all conditions hold, of a list one. An empty list fits nothing.',
  fields: (t) => ({
    ip: t.field({ type: IpFilter, description: 'The address; of IPv6 its /64.' }),
    severity: t.field({ type: [SeverityEnum], description: 'Of the worst finding.' }),
    status: t.field({ type: [ReviewStatusEnum], description: 'Of the review as it holds.' }),
    detector: t.idList({ description: 'Flagged by one of these.' }),
    minScore: t.float({ description: 'At least this score.' }),
    lastSeen: t.field({
      type: TimeRangeInput,
      description: 'By what was found in this time, and seen since it began. Default: all that is kept.',
    }),
    country: t.stringList({ description: 'One of these codes.' }),
    asn: t.field({ type: ['SafeInt'], description: 'Of one of these autonomous systems.' }),
    service: t.stringList({ description: 'Seen by one of these.' }),
  }),
})

const NO_PAGE: SuspiciousPage = { edges: [], hasNextPage: false, hasPreviousPage: false }

builder.queryField('suspiciousIps', (t) =>
  t.field({
    type: SuspiciousIpConnection,
    authScopes: { scope: 'SECURITY_READ' },
    description:
      'Addresses that detectors flagged, in pages by cursor. A key that is bound to services sees what was found there. Scope SECURITY_READ.',
    args: {
      where: t.arg({ type: SuspiciousIpFilter, description: 'Which addresses.' }),
      orderBy: t.arg({ type: SuspiciousIpOrder, defaultValue: 'SCORE_DESC', description: 'Order of addresses.' }),
      first: t.arg.int({
        description: 'This many from the beginning, or after a cursor: 100 by default, 1,000 at most.',
      }),
      after: t.arg.string({ description: 'endCursor of the page before.' }),
      last: t.arg.int({ description: 'This many up to the end, or before a cursor.' }),
      before: t.arg.string({ description: 'startCursor of the page after.' }),
    },
    resolve: async (_root, { where, ...input }, context, info): Promise<Connection> => {
      const { lastSeen, ...filter } = where ?? {}
      const list = context.suspicious.list({ ...input, where: filter, lastSeen }, askerOf(context, 'suspiciousIps'))
      const wantsPage = selectionOf(info).some(({ name }) => name !== 'totalCount')
      const { edges, ...rest } = wantsPage ? await list.page() : NO_PAGE
      const range = lastSeen ? context.suspicious.rangeOf(lastSeen) : undefined
      return {
        page: { ...rest, edges: edges.map(({ cursor, node }) => ({ cursor, node: { ...node, range } })) },
        count: list.count,
      }
    },
  }),
)

builder.subscriptionField('suspiciousIpDetected', (t) =>
  t.field({
    type: SuspiciousIp,
    authScopes: { scope: 'SECURITY_READ' },
    description:
      'Each address that the hourly job flags, the worst first; not again for what the same detector flagged within the day before. Scope SECURITY_READ.',
    args: {
      minSeverity: t.arg({ type: SeverityEnum, required: true, defaultValue: 'MEDIUM', description: 'This or worse.' }),
    },
    subscribe: async function* (_root, { minSeverity }, context) {
      const { jobs, suspicious, signal, keys, principal } = context
      const least = SEVERITIES.indexOf(minSeverity)
      for await (const run of eventsOf(jobs.onChange, signal)) {
        if (keys.get(principal.keyId)?.revokedAt) return
        if (run.job !== 'hourly' || run.status !== 'SUCCEEDED') continue
        for (const found of await suspicious.flaggedBy(run, askerOf(context, 'suspiciousIpDetected')))
          if (SEVERITIES.indexOf(found.severity) >= least) yield found
      }
    },
    resolve: (found): Suspect => found,
  }),
)
