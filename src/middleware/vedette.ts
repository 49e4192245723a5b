import type { IncomingMessage, ServerResponse } from 'node:http'

import { createClientAddress } from './client-address.ts'
import { createDecide, type DecisionCounts } from './decide.ts'
import { createExchanges } from './exchange.ts'
import { type ExpressHandler, expressHandler } from './express.ts'
import { type FastifyPlugin, fastifyPlugin } from './fastify.ts'
import { createGate } from './gate.ts'
import { createHooks } from './hooks.ts'
import { httpListener, type RequestListener } from './http.ts'
import { readOptions, type VedetteOptions } from './options.ts'
import { createPost } from './post.ts'
import { createRows } from './rows.ts'
import { createSender } from './sender.ts'
import { createWarnings } from './warnings.ts'

const CLOSE_MS = 5000
/** Beyond it, questions wait for each other and most come too late. */
const MOST_QUESTIONS = 128

/** Rows: every request that was not skipped is in exactly one of queued, sent, rejected and dropped. */
export interface Stats {
  /** In memory now, not yet taken. */
  queued: number
  /** Memory they hold, about. */
  queuedBytes: number
  /** Taken by Vedette: on its disk. */
  sent: number
  /** Refused by Vedette one by one, with a warning that has the first reason. */
  rejected: number
  /** Given up: no room, a key that was refused, closed too early. */
  dropped: number
  /** POSTs that were sent again. */
  retried: number
  /** Hooks of the service that threw, and faults of this module. */
  faults: number
  decisions: DecisionCounts
}

export interface Vedette {
  /** `app.use(vedette.express())`, before everything that is to be logged. */
  express: () => ExpressHandler
  /** `await app.register(vedette.fastify())`, before the routes. */
  fastify: () => FastifyPlugin
  /** `createServer(vedette.http(handler))`. */
  http: (handler: RequestListener) => (request: IncomingMessage, response: ServerResponse) => void
  stats: () => Stats
  /** Sends what is there now. @returns whether Vedette took all of it within the deadline, default 5000 ms; the rest is kept */
  flush: (options?: { deadlineMs?: number }) => Promise<boolean>
  /** Sends what is there; what Vedette has not taken by the deadline, default 5000 ms, is dropped and counted. Never rejects. */
  close: (options?: { deadlineMs?: number }) => Promise<void>
}

/**
 * Logs every request of a service to Vedette and, where wished, asks it first whether the request may pass. It never throws into the
 * service and never waits for Vedette beyond `decide.timeoutMs`.
 * @throws {TypeError} naming the option, what was given and what is allowed
 */
export const createVedette = <R = IncomingMessage>(options: VedetteOptions<R>): Vedette => {
  const settings = readOptions(options)
  const { url, key, service, batch, buffer } = settings
  const warnings = createWarnings(settings)
  const addresses = createClientAddress(settings.trustedProxies)
  let isClosed = false

  const logPost = createPost({ url, key, maxSockets: 1 })
  const sender = createSender({
    post: logPost,
    service,
    compress: settings.gzip,
    warnings,
    recycle: (sent) => rows.recycle(sent),
  })
  const rows = createRows({ ...batch, onBatch: sender.push })
  const hasRoom = (): boolean => {
    if (isClosed) warnings.drop(1, 'vedette.close() was called before the server had ended')
    else if (rows.rows() + sender.rows() < buffer.maxRows && rows.bytes() + sender.bytes() < buffer.maxBytes)
      return true
    else warnings.drop(1, 'Vedette is away or too slow and the buffer is full; see buffer.maxRows and buffer.maxBytes')
    return false
  }
  const hooks = createHooks(settings, warnings)
  const exchanges = createExchanges({ hooks, addresses, rows, hasRoom, warnings })

  const decidePost = settings.decide && createPost({ url, key, maxSockets: MOST_QUESTIONS })
  const decide = decidePost && createDecide({ post: decidePost, service, settings: settings.decide!, warnings })
  const gate = decide && createGate({ decide, onError: settings.decide!.onError, exchanges, hooks, warnings })

  const flush = async ({ deadlineMs = CLOSE_MS } = {}): Promise<boolean> => {
    rows.seal()
    // Not unref'd: while somebody waits for this, the process lives.
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(resolve, deadlineMs, false)
    })
    const done = await Promise.race([sender.drain().then(() => true), late])
    clearTimeout(timer)
    return done
  }

  return {
    express: () => expressHandler(exchanges, gate),
    fastify: () => fastifyPlugin(exchanges, gate, flush),
    http: (handler) => httpListener(exchanges, gate, handler),
    stats: () => ({
      queued: rows.rows() + sender.rows(),
      queuedBytes: rows.bytes() + sender.bytes(),
      ...sender.counts,
      ...warnings.counts,
      decisions: { ...(decide?.counts ?? { allowed: 0, limited: 0, blocked: 0, remembered: 0, none: 0 }) },
    }),
    flush,
    close: async ({ deadlineMs = CLOSE_MS } = {}) => {
      isClosed = true
      sender.hurry()
      if (!(await flush({ deadlineMs }))) sender.abandon(`vedette.close() waited ${deadlineMs} ms for Vedette in vain`)
      warnings.tell()
      logPost.close()
      decidePost?.close()
    },
  }
}
