import {
  type Delivery as DeliveryShape,
  type REPORT_FORMATS,
  type Subscription,
  type SUBSCRIPTION_KINDS,
} from '../../reports/index.ts'
import { StoreError } from '../../store/index.ts'
import { builder } from '../builder.ts'
import type { Context } from '../context.ts'
import { Node, PageInfo } from './common.ts'
import { SeverityEnum } from './detectors.ts'
import { type Page, pageOf } from './pages.ts'
import { attempt, UserError, type UserErrorShape } from './user-errors.ts'

export const ReportKindEnum = builder.enumType('ReportKind', {
  description: 'Length of the period that a report is about, by the clocks of its time zone; or an incident.',
  values: {
    HOURLY: { description: 'An hour.' },
    DAILY: { description: 'A day.' },
    WEEKLY: { description: 'A week from Monday.' },
    MONTHLY: { description: 'A month.' },
    INCIDENT: { description: 'What detectors of severity CRITICAL found of one campaign in an hour, told of at once.' },
  } satisfies Record<(typeof SUBSCRIPTION_KINDS)[number], { description: string }>,
})

export const ReportFormatEnum = builder.enumType('ReportFormat', {
  description: 'How a report is shown or mailed.',
  values: {
    HTML: { description: 'With charts: a page, or a mail that has the tables attached as CSV.' },
    CSV: { description: 'The tables; a mail is the whole as plain text that has them attached.' },
    PDF: { description: 'The page on A4, to print or to file; a mail says in short what changed and has it attached.' },
    JSON: {
      description:
        'For programs, with all rows of its tables; a mail is a plain text that says in short what changed and has it attached.',
    },
  } satisfies Record<(typeof REPORT_FORMATS)[number], { description: string }>,
})

const STATUSES = ['QUEUED', 'SENT', 'UNKNOWN', 'BOUNCED', 'FAILED', 'SUPPRESSED'] as const

const DeliveryStatusEnum = builder.enumType('DeliveryStatus', {
  description: 'What became of a mail.',
  values: {
    QUEUED: { description: 'It is to be sent, again perhaps, or being sent.' },
    SENT: { description: 'The mail server has taken it.' },
    UNKNOWN: { description: 'The connection was lost after it was handed over; it is not sent again.' },
    BOUNCED: { description: 'The mail server refused it for good.' },
    FAILED: { description: 'Given up.' },
    SUPPRESSED: { description: 'The recipient has unsubscribed.' },
  } satisfies Record<(typeof STATUSES)[number], { description: string }>,
})

export const Delivery = builder.objectRef<DeliveryShape>('Delivery').implement({
  description: 'A mail to one recipient; of an incident also what a webhook was told.',
  fields: (t) => ({
    recipient: t.exposeString('recipient', { description: 'To whom: an address, or "webhook" and its host.' }),
    status: t.field({
      type: DeliveryStatusEnum,
      description: 'What became of it.',
      resolve: ({ state }) => (state === 'SENDING' ? 'QUEUED' : state),
    }),
    attempts: t.exposeInt('attempts', { description: 'Attempts that came to an end.' }),
    queuedAt: t.expose('queuedAt', { type: 'DateTime', description: 'When it was made.' }),
    sentAt: t.expose('sentAt', { type: 'DateTime', nullable: true, description: 'When it was taken.' }),
    error: t.exposeString('error', { nullable: true, description: 'Why it is not sent, and what happens next.' }),
  }),
})

const cursorOf = ({ id }: { id: string }): string => Buffer.from(id).toString('base64url')

const ReportSubscription = builder.objectRef<Subscription>('ReportSubscription').implement({
  description: 'Who gets which report when.',
  interfaces: [Node],
  isTypeOf: (value) => typeof value === 'object' && value !== null && 'scheduledSince' in value,
  fields: (t) => ({
    id: t.id({ description: 'The same in every answer.', resolve: ({ id }) => id }),
    name: t.exposeString('name', { description: 'What people call it.' }),
    kind: t.expose('kind', { type: ReportKindEnum, description: 'What the report is about.' }),
    cron: t.exposeString('cron', { description: 'Five fields, by the clocks of `timezone`; empty of INCIDENT.' }),
    timezone: t.expose('timezone', { type: 'TimeZone', description: 'Of the schedule and of the report.' }),
    recipients: t.stringList({ description: 'Mail addresses.', resolve: ({ recipients }) => [...recipients] }),
    format: t.expose('format', { type: ReportFormatEnum, description: 'How it is mailed.' }),
    services: t.stringList({
      description: 'The only ones it is about; empty: all.',
      resolve: (one) => [...one.services],
    }),
    minSeverity: t.expose('minSeverity', {
      type: SeverityEnum,
      nullable: true,
      description: 'Suspicious addresses below it are left out.',
    }),
    skipIfEmpty: t.exposeBoolean('skipIfEmpty', {
      description: 'No mail where nothing happened; means nothing of INCIDENT.',
    }),
    enabled: t.exposeBoolean('enabled', { description: 'Whether it is sent at all.' }),
    version: t.exposeInt('version', { description: 'Rises with each change.' }),
    nextRunAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it is sent next; null: never, or with the next incident.',
      resolve: (one, _args, { reports }) => reports.subscriptions.nextRunAt(one) ?? null,
    }),
    lastDelivery: t.field({
      type: Delivery,
      nullable: true,
      description: 'The mail that was made last.',
      resolve: async ({ id }, _args, { reports }) => (await reports.deliveries.lastOf(id))[0] ?? null,
    }),
  }),
})

export const SUBSCRIPTION_ID = 'sub_'

/** Keys for some services see and change what is about these alone. */
const within = ({ principal }: Context, services: readonly string[]): boolean =>
  principal.services === null || (services.length > 0 && services.every((name) => principal.services!.includes(name)))

export const mayReadSubscription = (context: Context, { services }: Subscription): boolean => within(context, services)

const checkServices = (context: Context) => (services: readonly string[]) => {
  if (!within(context, services))
    throw new StoreError(
      'INVALID',
      `services is ${JSON.stringify(services)}; allowed for this key is one or more of ${context.principal.services!.join(', ')}`,
      { field: 'services' },
    )
}

const SubscriptionEdge = builder.objectRef<Subscription>('ReportSubscriptionEdge').implement({
  description: 'A subscription and its place.',
  fields: (t) => ({
    cursor: t.string({ description: 'For after.', resolve: cursorOf }),
    node: t.field({ type: ReportSubscription, description: 'The subscription.', resolve: (one) => one }),
  }),
})

const SubscriptionConnection = builder.objectRef<Page<Subscription>>('ReportSubscriptionConnection').implement({
  description: 'A page of subscriptions.',
  fields: (t) => ({
    edges: t.field({ type: [SubscriptionEdge], description: 'With their places.', resolve: ({ page }) => page }),
    nodes: t.field({ type: [ReportSubscription], description: 'Alone.', resolve: ({ page }) => page }),
    pageInfo: t.field({ type: PageInfo, description: 'Where the page lies.', resolve: ({ pageInfo }) => pageInfo }),
    totalCount: t.expose('totalCount', { type: 'SafeInt', description: 'Of all pages together.' }),
  }),
})

builder.queryField('reportSubscriptions', (t) =>
  t.field({
    type: SubscriptionConnection,
    authScopes: { scope: 'REPORTS_READ' },
    description: 'Who gets which report when, by name. Scope REPORTS_READ.',
    args: {
      first: t.arg.int({ required: true, defaultValue: 100, description: '1,000 at most.' }),
      after: t.arg.string({ description: 'endCursor of the page before.' }),
    },
    resolve: (_root, { first, after }, context) =>
      pageOf(
        context.reports.subscriptions.list().filter(({ services }) => within(context, services)),
        cursorOf,
        { first, after },
      ),
  }),
)

interface Payload {
  subscription: Subscription | null
  userErrors: UserErrorShape[]
}

const Payload = builder.objectRef<Payload>('ReportSubscriptionPayload').implement({
  description: 'What became of a change of a subscription.',
  fields: (t) => ({
    subscription: t.field({
      type: ReportSubscription,
      nullable: true,
      description: 'As it is now.',
      resolve: ({ subscription }) => subscription,
    }),
    userErrors: t.field({
      type: [UserError],
      description: 'Why nothing was changed; empty: it was.',
      resolve: ({ userErrors }) => userErrors,
    }),
  }),
})

const ReportSubscriptionInput = builder.inputType('ReportSubscriptionInput', {
  description: 'A subscription. With `id` the fields that are given are changed; without it is a new one.',
  fields: (t) => ({
    id: t.id({ description: 'Of the one to change.' }),
    name: t.string({ description: '1 to 100 characters. Needed for a new one.' }),
    kind: t.field({ type: ReportKindEnum, description: 'Needed for a new one.' }),
    cron: t.string({
      description:
        'Five fields such as 0 8 * * 1. Needed for a new one, and not allowed of INCIDENT, which is told of at once.',
    }),
    timezone: t.field({ type: 'TimeZone', description: 'Default: UTC.' }),
    recipients: t.stringList({ description: '1 to 500 addresses. Needed for a new one.' }),
    format: t.field({ type: ReportFormatEnum, description: 'Default: HTML, the only one of INCIDENT.' }),
    services: t.stringList({ description: 'Default: all.' }),
    minSeverity: t.field({ type: SeverityEnum, description: 'Default: none. Of INCIDENT: none or CRITICAL.' }),
    skipIfEmpty: t.boolean({ description: 'Default: false.' }),
    enabled: t.boolean({ description: 'Default: true.' }),
  }),
})

const NOTHING: Omit<Payload, 'userErrors'> = { subscription: null }

builder.mutationField('saveReportSubscription', (t) =>
  t.field({
    type: Payload,
    authScopes: { scope: 'REPORTS_WRITE' },
    description: 'Makes a subscription, or changes one. Scope REPORTS_WRITE.',
    args: { input: t.arg({ type: ReportSubscriptionInput, required: true, description: 'The subscription.' }) },
    resolve: (_root, { input }, context) =>
      attempt(NOTHING, async () => {
        const { id, minSeverity, ...given } = input
        // Null takes a least severity away; everything else that is null is as if it were not given.
        const values = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null))
        const change = { by: context.principal.keyId, checkServices: checkServices(context) }
        const all = { ...values, ...(minSeverity !== undefined && { minSeverity }), ...(id && { id }) }
        return { subscription: await context.reports.subscriptions.save(all, change) }
      }),
  }),
)

builder.mutationField('deleteReportSubscription', (t) =>
  t.field({
    type: Payload,
    authScopes: { scope: 'REPORTS_WRITE' },
    description: 'Ends a subscription. Scope REPORTS_WRITE.',
    args: { id: t.arg.id({ required: true, description: 'Of the subscription.' }) },
    resolve: (_root, { id }, context) =>
      attempt(NOTHING, async () => ({
        subscription: await context.reports.subscriptions.remove(id, {
          by: context.principal.keyId,
          checkServices: checkServices(context),
        }),
      })),
  }),
)

builder.mutationField('sendTestReport', (t) =>
  t.field({
    type: Payload,
    authScopes: { scope: 'REPORTS_WRITE' },
    description:
      'Mails the report of the last whole period, or the newest incident, to one address, now. Scope REPORTS_WRITE.',
    args: {
      id: t.arg.id({ required: true, description: 'Of the subscription.' }),
      recipient: t.arg.string({ required: true, description: 'A mail address.' }),
    },
    resolve: (_root, { id, recipient }, context) =>
      attempt(NOTHING, async () => {
        const subscription = context.reports.subscriptions.get(id)
        if (subscription) checkServices(context)(subscription.services)
        await context.reports.runs.sendTest(id, recipient)
        return { subscription: subscription ?? null }
      }),
  }),
)
