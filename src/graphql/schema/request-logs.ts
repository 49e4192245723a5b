import type { GraphQLResolveInfo } from 'graphql'

import {
  type Analytics,
  encodeLogId,
  LOG_FIELDS,
  LOG_ORDERS,
  type LogField,
  type LogQuery,
  type RequestLog as RequestLogShape,
  type RequestLogPage,
  type Spent,
} from '../../analytics/index.ts'
import { builder } from '../builder.ts'
import { askerOf, type Context } from '../context.ts'
import { below, type Selected, selectionOf } from '../selection.ts'
import { CountMode, Node, PageInfo } from './common.ts'
import { RequestActionEnum, RequestFilter, TimeRangeInput } from './inputs.ts'
import { AnalyticsMeta, type Meta } from './meta.ts'

export const REQUEST_LOG_ID = 'log_'

export const RequestLog = builder.objectRef<RequestLogShape>('RequestLog').implement({
  description: 'One request as it was logged. Scope LOGS_READ. Absent is null.',
  interfaces: [Node],
  isTypeOf: (value) => typeof value === 'object' && value !== null && 'position' in value,
  authScopes: { scope: 'LOGS_READ' },
  fields: (t) => {
    const text = (
      field:
        | 'host'
        | 'route'
        | 'query'
        | 'protocol'
        | 'clientCountry'
        | 'clientCity'
        | 'clientAsOrganization'
        | 'userId'
        | 'userAgent'
        | 'referer'
        | 'policyId'
        | 'traceId',
      description: string,
    ) => t.string({ nullable: true, description, resolve: (log) => log[field] })
    return {
      id: t.id({
        description: 'The same in every answer.',
        resolve: ({ position }) => REQUEST_LOG_ID + encodeLogId(position),
      }),
      timestamp: t.expose('timestamp', { type: 'DateTime', description: 'When the service took the request.' }),
      ingestedAt: t.expose('ingestedAt', { type: 'DateTime', description: 'When the collector took the row.' }),
      service: t.exposeString('service', { description: 'The service that took the request.' }),
      host: text('host', 'Host asked for.'),
      method: t.exposeString('method', { description: 'HTTP method.' }),
      path: t.exposeString('path', { description: 'Path as sent, without the query.' }),
      route: text('route', 'Template of the path, such as /users/:id.'),
      query: text('query', 'Query without "?"; masked values are ***.'),
      statusCode: t.exposeInt('statusCode', { description: 'HTTP status.' }),
      durationMs: t.exposeFloat('durationMs', { nullable: true, description: 'Duration in milliseconds.' }),
      requestBytes: t.expose('requestBytes', { type: 'SafeInt', nullable: true, description: 'Bytes received.' }),
      responseBytes: t.expose('responseBytes', { type: 'SafeInt', nullable: true, description: 'Bytes sent.' }),
      protocol: text('protocol', 'Such as HTTP/1.1.'),
      clientIp: t.expose('clientIp', { type: 'IPAddress', description: 'Address of the client.' }),
      clientAsn: t.expose('clientAsn', {
        type: 'SafeInt',
        nullable: true,
        description: 'Number of the autonomous system that announces the address.',
      }),
      clientAsOrganization: text('clientAsOrganization', 'Who runs that autonomous system.'),
      clientCountry: text('clientCountry', 'ISO 3166-1 alpha-2 code.'),
      clientCity: text('clientCity', 'City, in English.'),
      userId: text('userId', 'The user as the service knows them.'),
      userAgent: text('userAgent', 'User-Agent as sent.'),
      referer: text('referer', 'Referer as sent.'),
      action: t.field({
        type: RequestActionEnum,
        description: 'What Vedette decided.',
        resolve: ({ action }) => action,
      }),
      policyId: text('policyId', 'The policy that decided.'),
      traceId: text('traceId', 'Trace of the request.'),
      attributes: t.expose('attributes', {
        type: 'JSON',
        nullable: true,
        description: 'What else the service told: a flat object.',
      }),
    }
  },
})

const RequestLogEdge = builder.objectRef<RequestLogPage['edges'][number]>('RequestLogEdge').implement({
  description: 'A row and its place.',
  fields: (t) => ({
    cursor: t.exposeString('cursor', { description: 'For after and before.' }),
    node: t.field({ type: RequestLog, description: 'The row.', resolve: ({ node }) => node }),
  }),
})

interface Connection {
  page: RequestLogPage
  counts: Map<'ESTIMATE' | 'EXACT', number>
  meta: Meta
}

export const RequestLogConnection = builder.objectRef<Connection>('RequestLogConnection').implement({
  description: 'A page of rows.',
  fields: (t) => ({
    edges: t.field({
      type: [RequestLogEdge],
      description: 'Rows with their places.',
      resolve: ({ page }) => page.edges,
    }),
    nodes: t.field({
      type: [RequestLog],
      description: 'Rows alone.',
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
      description: 'Rows of all pages together; null for mode NONE.',
      args: { mode: t.arg({ type: CountMode, required: true, defaultValue: 'EXACT', description: 'How to count.' }) },
      resolve: ({ counts }, { mode }) => (mode === 'NONE' ? null : counts.get(mode)!),
    }),
    meta: t.field({ type: AnalyticsMeta, description: 'How the answer came about.', resolve: ({ meta }) => meta }),
  }),
})

const RequestLogOrder = builder.enumType('RequestLogOrder', {
  description: 'Order of rows. It is total: pages neither skip nor repeat a row.',
  values: Object.fromEntries(
    LOG_ORDERS.map((order) => [
      order,
      {
        value: order,
        description: {
          TIMESTAMP_ASC: 'Oldest first.',
          TIMESTAMP_DESC: 'Newest first.',
          DURATION_DESC: 'Slowest first, those without a duration last; reads the whole range.',
        }[order],
      },
    ]),
  ) as Record<(typeof LOG_ORDERS)[number], { value: (typeof LOG_ORDERS)[number]; description: string }>,
})

const logFieldsIn = (selected: readonly Selected[]): ReadonlySet<LogField> =>
  new Set(LOG_FIELDS.filter((field) => selected.some(({ name }) => name === field)))

const read = async (query: LogQuery & { spent: Spent }, selected: readonly Selected[]): Promise<Connection> => {
  const wantsPage = selected.some(({ name }) => name === 'edges' || name === 'nodes' || name === 'pageInfo')
  const modes = new Set(
    selected
      .filter(({ name }) => name === 'totalCount')
      .map(({ args }) => args['mode'] as 'NONE' | 'ESTIMATE' | 'EXACT'),
  )
  const count = async (mode: 'ESTIMATE' | 'EXACT') => [mode, await query.count(mode)] as const
  const [page, ...counts] = await Promise.all([
    wantsPage ? query.page() : { edges: [], hasNextPage: false, hasPreviousPage: false },
    ...[...modes].filter((mode) => mode !== 'NONE').map(count),
  ])
  const meta = { range: query.range, timeZone: 'UTC', truncated: false, spent: query.spent }
  return { page, counts: new Map(counts), meta }
}

type LogsInput = Parameters<Analytics['requestLogs']>[0]

/** A RequestLogConnection of the rows that `input` means, read as far as it is asked for. */
export const readRequestLogs = (
  input: Omit<LogsInput, 'fields'>,
  context: Context,
  info: GraphQLResolveInfo,
): Promise<Connection> => {
  const selected = selectionOf(info)
  const rows = [...(below(selected, 'nodes') ?? []), ...(below(below(selected, 'edges') ?? [], 'node') ?? [])]
  return read(
    context.analytics.requestLogs({ ...input, fields: logFieldsIn(rows) }, askerOf(context, info.fieldName)),
    selected,
  )
}

builder.queryField('requestLogs', (t) =>
  t.field({
    type: RequestLogConnection,
    authScopes: { scope: 'LOGS_READ' },
    description: 'The requests themselves, newest first, in pages by cursor. Scope LOGS_READ.',
    args: {
      timeRange: t.arg({ type: TimeRangeInput, required: true, description: 'Which requests, by their timestamp.' }),
      where: t.arg({ type: RequestFilter, description: 'Which of them.' }),
      orderBy: t.arg({ type: RequestLogOrder, defaultValue: 'TIMESTAMP_DESC', description: 'Order of rows.' }),
      first: t.arg.int({
        description: 'This many from the beginning, or after a cursor: 100 by default, 1,000 at most.',
      }),
      after: t.arg.string({ description: 'endCursor of the page before.' }),
      last: t.arg.int({ description: 'This many up to the end, or before a cursor.' }),
      before: t.arg.string({ description: 'startCursor of the page after.' }),
    },
    resolve: (_root, input, context, info) => readRequestLogs(input, context, info),
  }),
)

/** By the id of a RequestLog; undefined: none such, gone, or not for this key. */
export const findRequestLog = (id: string, selected: readonly Selected[], context: Context) =>
  context.analytics.requestLog(id.slice(REQUEST_LOG_ID.length), logFieldsIn(selected), askerOf(context, 'node'))
