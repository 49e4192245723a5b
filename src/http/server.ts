import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import { fastify, type FastifyBaseLogger, type FastifyError, type FastifyInstance, LogController } from 'fastify'

import type { Authenticate } from './auth.ts'
import { answerBrokenHttp, answerError, answerUnknownRoutes } from './errors.ts'
import type { Health } from './health.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import { pathOf } from './path.ts'
import { problem } from './problem.ts'
import { answerForRefused, type CountFailedKey, type OnRefusedKey, RefusedKey } from './refused-key.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Routes that are asked thousands of times a second: what went well is logged at debug only. */
    quiet?: boolean
  }
}

export type DirectHandler = (request: IncomingMessage, response: ServerResponse) => void

export interface HttpServerOptions {
  host: string
  /** 0: a free one. */
  port: number
  log: Log
  /** CIDRs whose X-Forwarded-* headers are believed. */
  trustedProxies: readonly string[]
  authenticate: Authenticate
  health: Health
  metrics: Metrics
  /** Told of each 401 and 403 for a key, for the security log. */
  onRefusedKey?: OnRefusedKey
  /** Where it says no, a refused key is answered with 429. Default: no limit. */
  countFailedKey?: CountFailedKey
  /** How long `stop` lets requests in flight go on. Default 10,000. */
  stopDeadlineMs?: number
}

export interface HttpServer {
  /**
   * Rooms add their routes before `start`. `request.body` is the raw stream (undefined where there is no body); its size
   * and its type are each route's business. Errors that a route throws become problem+json.
   */
  app: FastifyInstance
  /**
   * Requests for this path and all below it go to `handler` and never reach Fastify, whose hooks, log line and id cost more
   * than a decision does. It must answer each, also while the service is stopping, and never throw.
   */
  direct: (path: string, handler: DirectHandler) => void
  /** @throws {Error} when the address cannot be listened on, with the way out */
  start: () => Promise<{ url: string }>
  /** Not ready, no new connections, requests in flight end or are cut at the deadline. */
  stop: () => Promise<void>
}

/** A whole request of 10 MiB over 1 Mbit/s takes 84 s. */
const REQUEST_TIMEOUT_MS = 120_000
const HEADERS_TIMEOUT_MS = 15_000
/** Longer than the 60 s of the usual proxies in front: the side that sends must be the one that hangs up. */
const KEEP_ALIVE_MS = 75_000
/** A connection on which nothing moves in either direction, such as a reader that stopped reading. */
const SILENCE_MS = 300_000
/** After an early answer (401, 413) the client has this long to end its upload and read it, before the connection is cut. */
const LINGER_MS = 3_000

const SECURITY_HEADERS: Record<string, string> = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
}

const urlOf = (host: string, port: number): string => {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`
}

const listenError = (error: Error & { code?: string }, host: string, port: number): Error => {
  const reasons: Record<string, string> = {
    EADDRINUSE: 'another program listens there; stop it, or set PORT to a free one',
    EACCES: 'ports below 1024 need rights; set PORT to a higher one',
    EADDRNOTAVAIL: 'this machine has no such address; set HOST to one of its own',
    ENOTFOUND: 'the name is not known; set HOST to an address of this machine',
  }
  const reason = reasons[error.code ?? '']
  return reason ? new Error(`cannot listen on ${host}:${port}: ${reason}`, { cause: error }) : error
}

/** Every answer's headers, one line in the log for each request, and nothing new while stopping. */
const addHooks = (app: FastifyInstance, isStopping: () => boolean): void => {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(SECURITY_HEADERS).header('x-request-id', request.id)
    if (isStopping() && request.routeOptions.url !== '/healthz' && request.routeOptions.url !== '/readyz')
      throw problem(503, { detail: 'The service is stopping.', headers: { 'retry-after': '5', connection: 'close' } })
  })
  app.addHook('onResponse', async (request, reply) => {
    const { raw } = request
    if (!raw.complete && !raw.destroyed) {
      const cut = setTimeout(() => raw.destroy(), LINGER_MS).unref()
      raw.once('end', () => clearTimeout(cut)).once('close', () => clearTimeout(cut))
    }
    const well = reply.statusCode < 400
    request.log[well && request.routeOptions.config.quiet ? 'debug' : 'info'](
      {
        method: request.method,
        path: pathOf(request.url),
        status: reply.statusCode,
        durationMs: Math.round(reply.elapsedTime * 10) / 10,
        ip: request.ip,
        keyId: request.principal?.keyId,
      },
      'request',
    )
  })
}

/** As Fastify makes its own, with a way past it. */
const serverWith = (
  direct: (url: string) => DirectHandler | undefined,
  otherwise: DirectHandler,
  options: ServerOptions,
): Server => {
  const server = createServer(options, (request, response) =>
    (direct(request.url ?? '/') ?? otherwise)(request, response),
  )
  server.keepAliveTimeout = KEEP_ALIVE_MS
  server.requestTimeout = REQUEST_TIMEOUT_MS
  server.setTimeout(SILENCE_MS)
  return server
}

/** Whether the URL is the path, with or without a query, or below it. */
const isAt = (url: string, path: string): boolean => {
  if (!url.startsWith(path)) return false
  const next = url[path.length]
  return next === undefined || next === '?' || next === '/'
}

export const createHttpServer = (options: HttpServerOptions): HttpServer => {
  const { host, port, log, trustedProxies, authenticate, health, metrics, stopDeadlineMs = 10_000 } = options
  const { onRefusedKey = () => {}, countFailedKey } = options
  let stopping = false
  const directs: { path: string; handler: DirectHandler }[] = []
  const directFor = (url: string): DirectHandler | undefined => directs.find(({ path }) => isAt(url, path))?.handler

  const logger: FastifyBaseLogger = log
  const app = fastify({
    loggerInstance: logger,
    // Our own line for each request leaves queries and headers out.
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    trustProxy: trustedProxies.length > 0 ? [...trustedProxies] : false,
    genReqId: ({ headers }) => {
      const given = headers['x-request-id']
      return typeof given === 'string' && /^[\w.:/+=-]{8,128}$/.test(given) ? given : randomUUID()
    },
    serverFactory: (handler) =>
      serverWith(directFor, handler, { headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: 5_000 }),
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 500 },
    frameworkErrors: (error, request, reply) => answerError(error, request, reply),
    clientErrorHandler: answerBrokenHttp,
  })

  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
  app.decorate('authenticate', authenticate)
  app.decorate('onRefusedKey', onRefusedKey)
  app.decorateRequest('principal', undefined)
  app.setErrorHandler<FastifyError>(async (error, request, reply) => {
    const answer = error instanceof RefusedKey ? await answerForRefused(error, request, countFailedKey) : error
    return answerError(answer, request, reply)
  })
  answerUnknownRoutes(app)
  addHooks(app, () => stopping)
  metrics.routes(app)
  health.routes(app)

  const start = async (): Promise<{ url: string }> => {
    try {
      await app.listen({ host, port })
    } catch (error) {
      throw listenError(error as Error, host, port)
    }
    return { url: urlOf(host, (app.server.address() as AddressInfo).port) }
  }

  const stop = async (): Promise<void> => {
    stopping = true
    health.stopping()
    // A connection that was busy when the server closed becomes idle only later.
    const idle = setInterval(() => app.server.closeIdleConnections(), 50)
    const deadline = setTimeout(() => {
      log.warn(`requests still in flight after ${stopDeadlineMs} ms are cut`)
      app.server.closeAllConnections()
    }, stopDeadlineMs)
    try {
      await app.close()
    } finally {
      clearInterval(idle)
      clearTimeout(deadline)
    }
  }

  return { app, direct: (path, handler) => void directs.push({ path, handler }), start, stop }
}
