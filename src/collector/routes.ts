import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'

import { principalOf, problem, requireScope } from '../http/index.ts'
import { type Mark, type Spool, SpoolFullError } from '../spool/index.ts'
import type { Accept, Acceptance } from './accept.ts'
import type { createBodies } from './body.ts'
import { accessLog } from './formats/access-log.ts'
import { type Format, NotJsonError } from './formats/format.ts'
import { json } from './formats/json.ts'
import { ndjson } from './formats/ndjson.ts'
import { type Idempotency, receiptKey } from './idempotency.ts'
import { type Imports, markOf } from './imports.ts'
import type { CollectorMetrics } from './metrics.ts'

/** `?wait=stored` answers with `"stored": false` after this. */
const LONGEST_WAIT_MS = 30_000

const REQUEST_TYPES: Record<string, Format> = {
  'application/json': json,
  'application/x-ndjson': ndjson,
  'application/ndjson': ndjson,
  'application/jsonl': ndjson,
}
/** curl says urlencoded for `--data-binary @access.log` when nobody tells it otherwise. */
const LOG_TYPES: Record<string, Format> = {
  'text/plain': accessLog,
  'application/x-ndjson': accessLog,
  'application/octet-stream': accessLog,
}

interface Query {
  service?: string
  wait?: string
}

const formatOf = (request: FastifyRequest, types: Record<string, Format>): Format => {
  const given = request.headers['content-type'] ?? ''
  const format = types[given.split(';', 1)[0]!.trim().toLowerCase()]
  if (format) return format
  throw problem(415, {
    detail: `Content-Type is ${given === '' ? 'missing' : JSON.stringify(given)}; allowed is ${Object.keys(types).join(', ')}.`,
    headers: { accept: Object.keys(types).join(', ') },
  })
}

const idempotencyKeyOf = (request: FastifyRequest): string | undefined => {
  const given = request.headers['idempotency-key']
  if (given === undefined) return undefined
  // The IETF draft writes it as a quoted string; most clients leave the quotes out. Both are the same key.
  const key = String(given).replace(/^"(.*)"$/, '$1')
  if (/^[\x20-\x7e]{1,255}$/.test(key)) return key
  throw problem(400, {
    detail: `Idempotency-Key has ${key.length} characters; allowed are 1 to 255 printable ASCII characters.`,
  })
}

const waitsForStored = ({ wait }: Query): boolean => {
  if (wait === undefined || wait === 'stored') return wait === 'stored'
  throw problem(400, { detail: `wait is ${JSON.stringify(wait)}; allowed is stored, or nothing.` })
}

const within = async (done: Promise<void>, ms: number): Promise<boolean> => {
  const timer = Promise.withResolvers<boolean>()
  const timeout = setTimeout(() => timer.resolve(false), ms)
  try {
    return await Promise.race([done.then(() => true), timer.promise])
  } finally {
    clearTimeout(timeout)
  }
}

const inWords = (error: unknown): unknown => {
  if (error instanceof NotJsonError) return problem(400, { detail: error.message })
  if (error instanceof SpoolFullError) {
    return problem(503, {
      detail: `Nothing was taken: ${error.message}.`,
      headers: { 'retry-after': String(error.retryAfter) },
    })
  }
  return error
}

export const addRoutes = (
  app: FastifyInstance,
  {
    accept,
    bodies,
    idempotency,
    imports,
    metrics,
    limit,
    replay,
  }: {
    accept: Accept
    bodies: ReturnType<typeof createBodies>
    idempotency: Idempotency
    imports: Imports
    metrics: CollectorMetrics
    /** Holds each key to its number of POSTs. */
    limit: onRequestAsyncHookHandler
    replay: Spool['replay']
  },
): void => {
  const take = async (
    request: FastifyRequest,
    { format, mark, urgent }: { format: Format; mark: Mark | undefined; urgent: boolean },
  ): Promise<Acceptance> => {
    const query = request.query as Query
    const principal = principalOf(request)
    const idempotencyKey = idempotencyKeyOf(request)
    const body = await bodies.read(request.raw, {
      encoding: (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase(),
      length: request.headers['content-length'] === undefined ? undefined : Number(request.headers['content-length']),
      fingerprint: idempotencyKey !== undefined,
    })
    try {
      metrics.receivedBytes.inc(body.bytes.length)
      const input = { body: body.bytes, format, principal, service: query.service, mark, urgent }
      if (idempotencyKey === undefined) return await accept(input)
      const key = receiptKey(principal.keyId, idempotencyKey)
      const fingerprint = `${format.name}:${query.service ?? ''}:${body.fingerprint}`
      const { acceptance, replayed } = await idempotency.run(key, fingerprint, () =>
        accept({ ...input, receipt: { key, fingerprint } }),
      )
      if (replayed) metrics.requests.inc({ outcome: 'replayed' })
      return acceptance
    } finally {
      body.release()
    }
  }

  const answer = async (
    request: FastifyRequest,
    reply: FastifyReply,
    types: Record<string, Format>,
  ): Promise<FastifyReply> => {
    const wait = waitsForStored(request.query as Query)
    const format = formatOf(request, types)
    const mark = markOf(request)
    try {
      const { answer: result, stored } = mark
        ? await imports.inOrder(mark, () => take(request, { format, mark: mark.after, urgent: wait }))
        : await take(request, { format, mark: undefined, urgent: wait })
      if (result.accepted === 0 && !mark) {
        throw problem(422, {
          detail:
            result.rejected === 0
              ? 'The body has no rows.'
              : `Every row was refused (${result.rejected}); the first: ${result.errors[0]!.message}.`,
          extensions: { accepted: 0, rejected: result.rejected, errors: result.errors },
        })
      }
      metrics.requests.inc({ outcome: 'accepted' })
      reply.code(202).type('application/json; charset=utf-8')
      return reply.send(JSON.stringify(wait ? { ...result, stored: await within(stored, LONGEST_WAIT_MS) } : result))
    } catch (error) {
      metrics.requests.inc({ outcome: error instanceof SpoolFullError ? 'full' : 'refused' })
      throw inWords(error)
    }
  }

  const options = { onRequest: [requireScope('COLLECT'), limit], config: { quiet: true } }
  app.post('/v1/requests', options, (request, reply) => answer(request, reply, REQUEST_TYPES))
  app.post('/v1/access-log', options, (request, reply) => answer(request, reply, LOG_TYPES))
  app.get('/v1/imports', { onRequest: requireScope('COLLECT') }, (request) => ({
    imports: imports.of(principalOf(request), (request.query as Query).service ?? ''),
  }))

  app.post('/v1/spool/replay/:id', { onRequest: requireScope('ADMIN') }, async (request, reply) => {
    const { id } = request.params as { id: string }
    if (!(await replay(id)))
      throw problem(404, {
        detail: `No segment ${JSON.stringify(id)} is in quarantine; vedette spool quarantine lists them.`,
      })
    return reply.code(202).send({ id })
  })
}
