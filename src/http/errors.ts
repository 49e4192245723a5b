import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'

import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

import { pathOf } from './path.ts'
import { Problem, problem, problemBody, PROBLEM_TYPE } from './problem.ts'

const sendProblem = (reply: FastifyReply, from: Problem): FastifyReply =>
  reply
    .code(from.status)
    .headers(from.headers)
    .header('content-type', PROBLEM_TYPE)
    .header('cache-control', 'no-store')
    .send(problemBody(from, reply.request.id))

/** Fastify's own refusals say what they mean in words fit for strangers; anything else stays inside. */
const asProblem = (error: FastifyError | Problem): Problem => {
  if (error instanceof Problem) return error
  const status = error.statusCode ?? 500
  return status >= 400 && status < 500 && (error.code?.startsWith('FST_ERR_') || error.validation)
    ? problem(status, { detail: error.message, cause: error })
    : problem(500, {
        detail: 'This is a fault of the service, not of the request. Its log says more under this requestId.',
        cause: error,
      })
}

/** Answers outside Fastify, in the same words. @returns what was answered */
export const answerDirectly = (response: ServerResponse, error: FastifyError | Problem): Problem => {
  const answer = asProblem(error)
  const body = problemBody(answer)
  if (response.headersSent) response.destroy()
  else
    response
      .writeHead(answer.status, {
        'content-type': PROBLEM_TYPE,
        'content-length': Buffer.byteLength(body),
        'cache-control': 'no-store',
        ...answer.headers,
      })
      .end(body)
  return answer
}

export const answerError = (error: FastifyError | Problem, request: FastifyRequest, reply: FastifyReply): unknown => {
  const answer = asProblem(error)
  // What a hung-up client makes an end of throws so.
  const isCutOff = error.name === 'AbortError' && reply.raw.destroyed
  if ((request.raw.destroyed && !request.raw.complete) || isCutOff) {
    // The client went away: nobody reads the answer, and it is no fault of ours.
    request.log.debug({ err: error }, 'the client left before its request was answered')
    return sendProblem(reply, problem(400, { detail: 'The request ended early.' }))
  }
  // A refusal that a route meant (spool full, stopping) has its line as a request; this is for what nobody meant.
  if (answer.status >= 500 && answer.cause !== undefined)
    request.log.error({ err: answer.cause, method: request.method, path: pathOf(request.url) }, answer.message)
  return sendProblem(reply, answer)
}

const patternOf = (url: string): RegExp =>
  new RegExp(
    `^${url
      .split(/(:\w+(?:\([^)]*\))?\??|\*)/)
      .map((part, index) =>
        index % 2 === 0 ? part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`) : part === '*' ? '.*' : '[^/]+',
      )
      .join('')}$`,
  )

/** 404, or 405 with `Allow` where the path exists for other methods. */
export const answerUnknownRoutes = (app: FastifyInstance): void => {
  const routes = new Map<string, { pattern: RegExp; methods: Set<string> }>()
  app.addHook('onRoute', ({ url, method }) => {
    const route = routes.get(url) ?? { pattern: patternOf(url), methods: new Set() }
    for (const name of [method].flat()) route.methods.add(name)
    routes.set(url, route)
  })
  app.setNotFoundHandler((request, reply) => {
    const path = pathOf(request.url)
    const allowed = new Set(
      [...routes.values()].flatMap(({ pattern, methods }) => (pattern.test(path) ? [...methods] : [])),
    )
    if (allowed.size === 0)
      return sendProblem(reply, problem(404, { detail: `There is nothing at ${path.slice(0, 200)}.` }))
    const allow = [...allowed].toSorted().join(', ')
    return sendProblem(
      reply,
      problem(405, { detail: `${path} takes ${allow}, not ${request.method}.`, headers: { allow } }),
    )
  })
}

const CLIENT_ERRORS: Record<string, [status: number, detail: string]> = {
  HPE_HEADER_OVERFLOW: [431, 'The headers are longer than 16 KiB together.'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request did not arrive in time.'],
}

/** What never became a request: broken HTTP, headers too long, sent too slowly. */
export const answerBrokenHttp = (error: Error & { code?: string }, socket: Socket): void => {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const [status, detail] = CLIENT_ERRORS[error.code ?? ''] ?? [400, 'This is not HTTP/1.1 as this server reads it.']
  const body = problemBody(problem(status, { detail }))
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: ${PROBLEM_TYPE}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  )
}
