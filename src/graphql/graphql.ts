import { Readable } from 'node:stream'

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { createYoga } from 'graphql-yoga'
import { LRUCache } from 'lru-cache'

import type { Analytics } from '../analytics/index.ts'
import type { DetectorQueries, Suspicious } from '../detection/index.ts'
import { identify, type Log, principalOf, problem, rateLimitHeaders } from '../http/index.ts'
import type { Jobs } from '../jobs/index.ts'
import type { BlockList, Policies } from '../ratelimit/index.ts'
import type { Reports } from '../reports/index.ts'
import type { ApiKeys } from '../store/index.ts'
import type { RequestContext } from './context.ts'
import { createErrorMask } from './errors.ts'
import { createEventStreams, EVENT_STREAM } from './event-streams.ts'
import { createGraphiqlPage, PAGE_POLICY } from './graphiql.ts'
import { limitsPlugin, statusPlugin } from './limits-plugin.ts'
import { createPurse, POINTS_POLICY, pointsPlugin, type SpendPoints } from './points-plugin.ts'
import { schema } from './schema/index.ts'
import { MEDIA_TYPES, tablePlugin } from './table-plugin.ts'

export interface GraphqlDependencies {
  analytics: Analytics
  keys: ApiKeys
  policies: Policies
  blockList: BlockList
  jobs: Jobs
  reports: Reports
  detection: DetectorQueries
  suspicious: Suspicious
  /** Takes the price of an operation from its key's points for the hour. Default: no limit. */
  spendPoints?: SpendPoints
  log: Log
}

export interface Graphql {
  /** `/graphql` by GET and POST: answers with JSON, CSV or NDJSON, and with GraphiQL for browsers. */
  routes: (app: FastifyInstance) => void
}

const MAX_BODY_BYTES = 1_048_576

/** Documents parsed before. Bounded by their length, too: Yoga's own would keep a thousand of a megabyte each. */
const documentCache = <T extends object>() =>
  new LRUCache<string, T>({ max: 200, maxSize: 4_000_000, sizeCalculation: (_document, text) => text.length + 1 })

/** Only these make a browser ask first (CORS preflight), so that no page of another site can send what a user's browser would sign. */
const BODY_TYPES = ['application/json', 'application/graphql']

const bodyOf = (request: FastifyRequest): string | undefined => {
  if (request.method === 'GET') return undefined
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase()
  if (!BODY_TYPES.includes(type))
    throw problem(415, { detail: `The content type is ${type || 'missing'}; allowed is ${BODY_TYPES.join(' or ')}.` })
  return request.body as string
}

/** `?format=csv` says the same as `Accept: text/csv`, for programs that cannot set headers. */
const acceptOf = (request: FastifyRequest): string | undefined => {
  const { format } = request.query as { format?: string | string[] }
  if (format === undefined) return request.headers.accept
  const mediaType = MEDIA_TYPES[String(format)]
  if (mediaType) return mediaType
  throw problem(400, {
    detail: `format is ${JSON.stringify(format)}; allowed is ${Object.keys(MEDIA_TYPES).join(', ')}.`,
  })
}

const wantsPage = (request: FastifyRequest): boolean =>
  request.method === 'GET' && (acceptOf(request)?.includes('text/html') ?? false)

/** The page needs no key, the queries it sends do. */
const authenticate = async (request: FastifyRequest): Promise<void> => {
  if (!wantsPage(request)) request.principal = identify(request)
}

const abortOnHangUp = (reply: FastifyReply): AbortSignal => {
  const controller = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort()
  })
  return controller.signal
}

const headersOf = (request: FastifyRequest, accept: string | undefined): Headers => {
  const headers = new Headers()
  const type = request.headers['content-type']
  if (type) headers.set('content-type', type)
  if (accept) headers.set('accept', accept)
  return headers
}

/** The path below which Yoga sees requests; `format` is ours and not a parameter of GraphQL. */
const urlOf = (request: FastifyRequest): URL => {
  const url = new URL(request.url, 'http://localhost')
  url.pathname = '/graphql'
  url.searchParams.delete('format')
  return url
}

export const createGraphql = (dependencies: GraphqlDependencies): Graphql => {
  const { analytics, keys, policies, blockList, jobs, reports, detection, suspicious, spendPoints, log } = dependencies
  const purse = createPurse(spendPoints)
  const yoga = createYoga<RequestContext>({
    schema,
    // All of these are doors we do not need: pages of other sites, forms, uploads, batches, Yoga's own pages.
    cors: false,
    multipart: false,
    batching: false,
    graphiql: false,
    landingPage: false,
    logging: false,
    parserAndValidationCache: { documentCache: documentCache(), errorCache: documentCache() },
    maskedErrors: { maskError: createErrorMask(log) },
    plugins: [limitsPlugin(purse), pointsPlugin(purse), statusPlugin(), tablePlugin()],
  })
  const graphiqlPage = createGraphiqlPage()
  const streams = createEventStreams()

  const sendPage = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const { html, gzipped, etag } = await graphiqlPage()
    reply
      .type('text/html; charset=utf-8')
      .header('content-security-policy', PAGE_POLICY)
      .header('cache-control', 'no-cache')
      .header('vary', 'accept, accept-encoding')
      .header('etag', etag)
    if (request.headers['if-none-match'] === etag) return reply.code(304).send()
    return /\bgzip\b/.test(request.headers['accept-encoding'] ?? '')
      ? reply.header('content-encoding', 'gzip').send(gzipped)
      : reply.send(html)
  }

  const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    if (wantsPage(request)) return sendPage(request, reply)
    const principal = principalOf(request)
    const accept = acceptOf(request)
    const body = bodyOf(request)
    const signal = abortOnHangUp(reply)
    const stream = accept?.includes(EVENT_STREAM) ? streams.enter() : undefined
    if (stream) reply.raw.once('close', stream.leave)
    const context: RequestContext = {
      principal,
      analytics,
      keys,
      policies,
      blockList,
      jobs,
      reports,
      detection,
      suspicious,
      signal: stream ? AbortSignal.any([signal, stream.signal]) : signal,
      cost: 0,
      points: { counted: undefined },
      operation: undefined,
    }
    const response = await yoga.fetch(
      urlOf(request).href,
      { method: request.method, headers: headersOf(request, accept), ...(body === undefined ? {} : { body }), signal },
      context,
    )
    for (const [name, value] of response.headers) reply.header(name, value)
    const { counted } = context.points
    if (counted) reply.headers(rateLimitHeaders(POINTS_POLICY, counted))
    reply.code(response.status).header('vary', 'accept')
    const isStream = response.headers.get('content-type')?.startsWith(EVENT_STREAM)
    if (isStream && response.body) return reply.send(Readable.from(response.body))
    return reply.send(Buffer.from(await response.arrayBuffer()))
  }

  return {
    routes: (app) => {
      // The server hands on raw streams; here bodies are small documents.
      void app.register(async (scope) => {
        scope.removeAllContentTypeParsers()
        scope.addContentTypeParser('*', { parseAs: 'string', bodyLimit: MAX_BODY_BYTES }, (_request, text, done) =>
          done(null, text),
        )
        scope.addHook('preClose', async () => streams.end())
        scope.route({ method: ['GET', 'POST'], url: '/graphql', onRequest: authenticate, handler: answer })
      })
    },
  }
}
