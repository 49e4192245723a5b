import {
  type Content,
  type Delivery as DeliveryShape,
  idOf,
  type IncidentContent,
  incidentReport,
  lastReports,
  type Report,
  reportOf,
  type Section as SectionShape,
} from '../../reports/index.ts'
import { builder } from '../builder.ts'
import { askerOf, type Context } from '../context.ts'
import { publicError } from '../errors.ts'
import { selectionOf } from '../selection.ts'
import { Node, PageInfo } from './common.ts'
import { MetricSet, metricsIn } from './metrics.ts'
import { type Page, pageOf } from './pages.ts'
import { Delivery, mayReadSubscription, ReportFormatEnum, ReportKindEnum } from './report-subscriptions.ts'
import { SuspiciousIp } from './suspicious-ips.ts'

/** A report by what it is about; it is built when more is asked. */
interface Known {
  id: string
  content: Content
}

const known = (content: Content): Known => ({ id: idOf(content), content })

const rangeOf = ([from, to]: readonly [string, string]) => ({ from: new Date(from), to: new Date(to) })

const Figure = builder.objectRef<SectionShape['figures'][number]>('ReportFigure').implement({
  description: 'One number of a report.',
  fields: (t) => ({
    label: t.exposeString('label', { description: 'What it counts.' }),
    value: t.exposeFloat('value', { nullable: true, description: 'Null: there is nothing to say.' }),
    unit: t.exposeString('unit', {
      description: 'requests, addresses, percent (0 to 100), ratio (0 to 1), ms, bytes, findings, hours or none.',
    }),
    previous: t.exposeFloat('previous', { nullable: true, description: 'The same of the period before.' }),
    link: t.string({
      description: 'Where it can be looked into.',
      resolve: ({ link }, _args, { reports }) => reports.pages.absolute(link),
    }),
  }),
})

const Section = builder.objectRef<SectionShape>('ReportSection').implement({
  description: 'One thing that a report speaks of.',
  fields: (t) => ({
    id: t.exposeString('id', { description: 'The same in every report.' }),
    title: t.exposeString('title', { description: 'What it is about.' }),
    lead: t.exposeString('lead', { description: 'What changed.' }),
    advice: t.exposeString('advice', { nullable: true, description: 'What to do about it; null: nothing.' }),
    figures: t.field({ type: [Figure], description: 'Its numbers.', resolve: ({ figures }) => [...figures] }),
    tables: t.stringList({
      description: 'Ids of its tables, for url(format: CSV, table: …).',
      resolve: ({ tables }) => tables.map(({ id }) => id),
    }),
  }),
})

const built = async ({ content }: Known, { reports }: Context): Promise<Omit<Report, 'scope'>> =>
  content.kind === 'INCIDENT' ? incidentReport(content) : reports.preview(content)

const ofReport = (context: Context, { services }: Content, field: string) => ({
  ...askerOf(context, `securityReports.${field}`),
  services,
})

/** Those that an incident names, as they are now, as far as the findings of its hour are kept. */
const named = async (content: IncidentContent, first: number, context: Context) => {
  const ids = content.suspiciousIpIds.slice(0, first)
  const range = context.suspicious.rangeOf(rangeOf(content.period))
  const found = await context.suspicious.get(ids, ofReport(context, content, 'topSuspiciousIps'), range)
  return found.flatMap((each) => (each ? [{ ...each, range }] : []))
}

/** Who else is told of it is not for keys for some services. */
const ofIncident = ({ posts }: IncidentContent, mails: readonly DeliveryShape[], context: Context): DeliveryShape[] => {
  if (context.principal.services === null) return [...mails, ...posts]
  return mails.filter(({ subscriptionId }) => {
    const subscription = subscriptionId === null ? undefined : context.reports.subscriptions.get(subscriptionId)
    return subscription !== undefined && mayReadSubscription(context, subscription)
  })
}

const SecurityReport = builder.objectRef<Known>('SecurityReport').implement({
  description:
    'What happened in a period, against the one before, built when it is asked for; or an incident, as it was told of.',
  interfaces: [Node],
  isTypeOf: (value) => typeof value === 'object' && value !== null && 'content' in value,
  fields: (t) => ({
    id: t.id({
      description: 'The same for the same kind, period, time zone and services; of an incident that of its notice.',
      resolve: ({ id }) => id,
    }),
    kind: t.field({
      type: ReportKindEnum,
      description: 'Length of its period, or INCIDENT.',
      resolve: ({ content }) => content.kind,
    }),
    periodFrom: t.field({
      type: 'DateTime',
      description: 'Beginning of its period; of an incident the hour in which it was found.',
      resolve: ({ content }) => new Date(content.period[0]),
    }),
    periodTo: t.field({
      type: 'DateTime',
      description: 'End of it; not in it.',
      resolve: ({ content }) => new Date(content.period[1]),
    }),
    timezone: t.field({
      type: 'TimeZone',
      description: 'Whose days they are.',
      resolve: ({ content }) => content.timezone,
    }),
    services: t.stringList({
      description: 'The only ones it is about; empty: all. Of an incident those that it touches.',
      resolve: ({ content }) => [...(content.services ?? [])],
    }),
    generatedAt: t.field({
      type: 'DateTime',
      description: 'When it was built for this answer, or the incident recorded.',
      resolve: async (one, _args, context) => (await built(one, context)).generatedAt,
    }),
    headline: t.string({
      description: 'The whole in one sentence.',
      resolve: async (one, _args, context) => (await built(one, context)).headline,
    }),
    sections: t.field({
      type: [Section],
      description: 'What it speaks of, in its order.',
      resolve: async (one, _args, context) => [...(await built(one, context)).sections],
    }),
    totals: t.field({
      type: MetricSet,
      description: 'Requests of its period and services, as requestAnalytics counts them.',
      resolve: async ({ content }, _args, context, info) => {
        const input = {
          timeRange: rangeOf(content.period),
          groupBy: [],
          selection: { totals: metricsIn(selectionOf(info)) },
        }
        const { totals } = await context.analytics.requestAnalytics(input, ofReport(context, content, 'totals'))
        return { values: totals! }
      },
    }),
    previousTotals: t.field({
      type: MetricSet,
      description: 'Those of the period before.',
      resolve: async ({ content }, _args, context, info) => {
        const input = {
          timeRange: rangeOf(content.previous),
          groupBy: [],
          selection: { totals: metricsIn(selectionOf(info)) },
        }
        const { totals } = await context.analytics.requestAnalytics(input, ofReport(context, content, 'previousTotals'))
        return { values: totals! }
      },
    }),
    topSuspiciousIps: t.field({
      type: [SuspiciousIp],
      description:
        'Addresses that were flagged in its period, the highest score first; of an incident those that it names, 10 at most.',
      args: { first: t.arg.int({ required: true, defaultValue: 10, description: '100 at most.' }) },
      resolve: async ({ content }, { first }, context) => {
        if (first < 1 || first > 100)
          throw publicError('INVALID_ARGUMENT', `first is ${first}; allowed is a whole number from 1 to 100`, {
            argument: 'first',
          })
        const lastSeen = rangeOf(content.period)
        const range = context.suspicious.rangeOf(lastSeen)
        if (content.kind === 'INCIDENT') return named(content, first, context)
        const list = context.suspicious.list({ lastSeen, first }, ofReport(context, content, 'topSuspiciousIps'))
        return (await list.page()).edges.map(({ node }) => ({ ...node, range }))
      },
    }),
    url: t.string({
      description: 'Where it can be looked at in a browser, or taken from; as CSV one of its tables.',
      args: {
        format: t.arg({ type: ReportFormatEnum, required: true, defaultValue: 'HTML', description: 'What is there.' }),
        table: t.arg.string({ description: 'Of format CSV. Default: all figures.' }),
      },
      resolve: ({ content }, { format, table }, { reports }) => {
        if (content.kind === 'INCIDENT' && format === 'PDF')
          throw publicError('INVALID_ARGUMENT', 'format is PDF; incidents are there as HTML, JSON and CSV', {
            argument: 'format',
          })
        return reports.pages.urlOf(content, format, table ?? undefined)
      },
    }),
    deliveries: t.field({
      type: [Delivery],
      description:
        'To whom it was mailed, and what became of that. Of an incident, keys for some services see mails of subscriptions that they see.',
      resolve: async ({ id, content }, _args, context) => {
        const mails = await context.reports.deliveries.list(id)
        return content.kind === 'INCIDENT' ? ofIncident(content, mails, context) : mails
      },
    }),
  }),
})

const cursorOf = ({ id }: Known): string => Buffer.from(id).toString('base64url')

const SecurityReportEdge = builder.objectRef<Known>('SecurityReportEdge').implement({
  description: 'A report and its place.',
  fields: (t) => ({
    cursor: t.string({ description: 'For after.', resolve: cursorOf }),
    node: t.field({ type: SecurityReport, description: 'The report.', resolve: (one) => one }),
  }),
})

const SecurityReportConnection = builder.objectRef<Page<Known>>('SecurityReportConnection').implement({
  description: 'A page of reports.',
  fields: (t) => ({
    edges: t.field({
      type: [SecurityReportEdge],
      description: 'Reports with their places.',
      resolve: ({ page }) => page,
    }),
    nodes: t.field({ type: [SecurityReport], description: 'Reports alone.', resolve: ({ page }) => page }),
    pageInfo: t.field({ type: PageInfo, description: 'Where the page lies.', resolve: ({ pageInfo }) => pageInfo }),
    totalCount: t.expose('totalCount', { type: 'SafeInt', description: 'Reports of all pages together.' }),
  }),
})

/** @throws {GraphQLError} FORBIDDEN, INVALID_ARGUMENT */
const servicesOf = (given: readonly string[] | null | undefined, { principal }: Context): readonly string[] | null => {
  if (!given) return principal.services
  if (given.length === 0 || given.length > 200)
    throw publicError('INVALID_ARGUMENT', `services has ${given.length} names; allowed are 1 to 200, or none at all`, {
      argument: 'services',
    })
  const foreign = given.find((name) => !(principal.services?.includes(name) ?? true))
  if (foreign !== undefined)
    throw publicError(
      'FORBIDDEN',
      `services has ${JSON.stringify(foreign)}; the key "${principal.name}" is for ${principal.services!.join(', ')}`,
    )
  return [...new Set(given)].toSorted()
}

builder.queryField('securityReports', (t) =>
  t.field({
    type: SecurityReportConnection,
    authScopes: { scope: 'REPORTS_READ' },
    description:
      'The reports of the last whole periods of a kind, newest first: 48 hours, 60 days, 26 weeks or 13 months; or all incidents that are kept. A key that is bound to services gets reports of these, and of incidents what touches these. Scope REPORTS_READ.',
    args: {
      kind: t.arg({
        type: ReportKindEnum,
        required: true,
        defaultValue: 'DAILY',
        description: 'Length of the periods.',
      }),
      timezone: t.arg({
        type: 'TimeZone',
        required: true,
        defaultValue: 'UTC',
        description: 'Whose days they are; incidents are in UTC.',
      }),
      services: t.arg.stringList({ description: 'About these alone. Default: all that the key may see.' }),
      first: t.arg.int({ required: true, defaultValue: 10, description: '1,000 at most.' }),
      after: t.arg.string({ description: 'endCursor of the page before.' }),
    },
    resolve: (_root, { kind, timezone, services, first, after }, context) => {
      const about = servicesOf(services, context)
      const contents =
        kind === 'INCIDENT'
          ? context.reports.notices.list(about)
          : lastReports({ kind, timezone, services: about }, new Date())
      return pageOf(contents.map(known), cursorOf, { first, after })
    },
  }),
)

const INCIDENT_ID = 'inc_'
export const isReportId = (id: string): boolean => id.startsWith('rep_') || id.startsWith(INCIDENT_ID)

/** Among incidents, reports that are listed, and those of subscriptions, that the key may see. */
export const findReport = (id: string, context: Context): Known | undefined => {
  if (id.startsWith(INCIDENT_ID)) {
    const incident = context.reports.notices.get(id, context.principal.services)
    return incident && known(incident)
  }
  const subscriptions = context.reports.subscriptions.list().filter((one) => mayReadSubscription(context, one))
  const content = reportOf(id, context.principal.services, subscriptions, new Date())
  return content && known(content)
}
