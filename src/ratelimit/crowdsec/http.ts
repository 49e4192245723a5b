import { Readable } from 'node:stream'

import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'

import { authorise, noteRefusedKey, Problem, problem, principalOf, readText, RefusedKey } from '../../http/index.ts'
import { parseAddress } from '../address.ts'
import type { Bouncer } from './bouncers.ts'
import { type Decision, decisionJson } from './decision.ts'

/** What an answer on CrowdSec's routes carries in place of problem+json: its clients print `message`. */
interface Message {
  message: string
}

const JSON_TYPE = 'application/json; charset=utf-8'
/** Far above what a report needs: 10,000 numbers of 100 bytes. */
const MOST_BODY_BYTES = 1024 * 1024
/** Turned into text in one go; about 3 ms. More than these go out as a stream, so that others' requests get their turn. */
const BATCH = 1_000

/** An `onRequest` hook. Unknown key, none, or one without DECIDE: CrowdSec makes no difference. */
export const requireBouncer = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | void> => {
  try {
    request.principal = authorise(request.server.authenticate, request.headers, 'DECIDE')
  } catch (error) {
    if (!(error instanceof RefusedKey)) throw error
    noteRefusedKey(request, error.reason)
    return reply.code(403).send({ message: 'access forbidden' } satisfies Message)
  }
}

export const answerWithMessage = (
  error: FastifyError | Problem,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply => {
  if (error instanceof Problem)
    return reply
      .code(error.status)
      .headers(error.headers)
      .send({ message: error.detail ?? error.title } satisfies Message)
  const status = error.statusCode ?? 500
  if (status >= 400 && status < 500) return reply.code(status).send({ message: error.message } satisfies Message)
  request.log.error({ err: error }, error.message)
  return reply
    .code(500)
    .send({ message: `a fault of the service; its log says more under requestId ${request.id}` } satisfies Message)
}

const LONGEST_PRODUCT = 100

export const bouncerOf = (request: FastifyRequest): Bouncer => {
  const { keyId, name } = principalOf(request)
  const [product = ''] = (request.headers['user-agent'] ?? '').split('/', 1)
  return {
    keyId,
    keyName: name,
    ip: parseAddress(request.ip)?.text ?? request.ip,
    product: product.trim().slice(0, LONGEST_PRODUCT),
  }
}

/** @throws {Problem} 400, 413 */
export const readBody = async (request: FastifyRequest): Promise<string> => {
  const body = request.body as AsyncIterable<Buffer> | undefined
  if (!body) throw problem(400, { detail: 'The body is empty; it takes JSON.' })
  return readText(body, MOST_BODY_BYTES)
}

interface DecisionList {
  decisions: readonly Decision[]
  inForce: boolean
}

/** Pieces of a JSON list; `null` where it is empty, as Go writes one that was never filled. */
const piecesOf = function* ({ decisions, inForce }: DecisionList): Generator<string> {
  if (decisions.length === 0) {
    yield 'null'
    return
  }
  const now = Date.now()
  for (let start = 0; start < decisions.length; start += BATCH) {
    const batch = decisions.slice(start, start + BATCH).map((decision) => decisionJson(decision, { inForce, now }))
    yield `${start === 0 ? '[' : ','}${JSON.stringify(batch).slice(1, -1)}`
  }
  yield ']'
}

const streamPieces = function* (ended: DecisionList, fresh: DecisionList): Generator<string> {
  yield '{"deleted":'
  yield* piecesOf(ended)
  yield ',"new":'
  yield* piecesOf(fresh)
  yield '}'
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const send = (reply: FastifyReply, pieces: Generator<string>, count: number): FastifyReply => {
  reply.type(JSON_TYPE)
  if (count <= BATCH) return reply.send([...pieces].join(''))
  const inTurns = async function* (): AsyncGenerator<string> {
    for (const piece of pieces) {
      yield piece
      await nextTurn()
    }
  }
  return reply.send(Readable.from(inTurns()))
}

export const sendDecisions = (reply: FastifyReply, decisions: readonly Decision[]): FastifyReply =>
  send(reply, piecesOf({ decisions, inForce: true }), decisions.length)

export const sendStream = (
  reply: FastifyReply,
  { fresh, ended }: { fresh: readonly Decision[]; ended: readonly Decision[] },
): FastifyReply =>
  send(
    reply,
    streamPieces({ decisions: ended, inForce: false }, { decisions: fresh, inForce: true }),
    fresh.length + ended.length,
  )
