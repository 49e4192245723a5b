import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

import type { Logger } from 'pino'
import type { Registry } from 'prom-client'

import {
  answerDirectly,
  type Authenticate,
  authorise,
  type DirectHandler,
  type OnRefusedKey,
  type Principal,
  readText,
  RefusedKey,
} from '../../http/index.ts'
import { answerDecision } from './answer.ts'
import { createAsk, DECIDE_PATH } from './ask.ts'
import { createClientOf } from './client-address.ts'
import { createDecide, type DecideDependencies } from './decide.ts'
import { createDurations } from './durations.ts'

/** Far above what the fields need. */
const MOST_BODY_BYTES = 65_536

/**
 * A key that was found good is taken as it is for this long on the same connection, which saves hashing it (3 % of a decision's profile).
 * It is compared with what this very peer has shown before, so how long that takes tells nobody anything new.
 */
const REMEMBERED_MS = 250

interface Remembered {
  own: string | string[] | undefined
  authorization: string | undefined
  principal: Principal
  /** On the clock of performance.now(). */
  until: number
}

export interface DecideRouteDependencies extends DecideDependencies {
  /** CIDRs whose forwarding headers and bodies are believed. */
  trustedProxies: readonly string[]
  authenticate: Authenticate
  /** For the security log. */
  onRefusedKey?: OnRefusedKey
  registry: Registry
  log: Logger
}

/**
 * `GET|POST /v1/decide`, scope DECIDE. Only an answer with X-Vedette-Decision is a decision; what this throws is answered
 * as problem+json without it.
 */
export const createDecideRoute = (dependencies: DecideRouteDependencies): { path: string; handle: DirectHandler } => {
  const { trustedProxies, authenticate, onRefusedKey, registry, log } = dependencies
  const ask = createAsk(createClientOf(trustedProxies))
  const decide = createDecide(dependencies)
  const took = createDurations(registry, {
    name: 'vedette_decide_duration_seconds',
    help: 'From the whole request to the decision',
  })

  const remembered = new WeakMap<Socket, Remembered>()
  /** @throws {Problem} 401, 403 */
  const authorised = ({ socket, headers }: IncomingMessage, now: number): Principal => {
    const { 'x-api-key': own, authorization } = headers
    const last = remembered.get(socket)
    if (last && last.own === own && last.authorization === authorization && now < last.until) return last.principal
    const principal = authorise(authenticate, headers, 'DECIDE')
    remembered.set(socket, { own, authorization, principal, until: now + REMEMBERED_MS })
    return principal
  }

  const answer = (incoming: IncomingMessage, response: ServerResponse, body: string | undefined): void => {
    const startedAt = performance.now()
    const principal = authorised(incoming, startedAt)
    const { dialect, request } = ask.read(incoming, principal, body)
    const client = request.address?.text ?? 'unknown'
    const decision = decide(request)
    if (decision instanceof Promise) {
      decision
        .then((later) => {
          answerDecision(response, { decision: later, dialect, client })
          took.observe((performance.now() - startedAt) / 1000)
        })
        .catch((error: unknown) => fail(incoming, response, error))
      return
    }
    answerDecision(response, { decision, dialect, client })
    took.observe((performance.now() - startedAt) / 1000)
  }

  const fail = (incoming: IncomingMessage, response: ServerResponse, error: unknown): void => {
    const answer = answerDirectly(response, error as Error & { code: string; name: string })
    if (answer.status >= 500) log.error({ err: error }, 'a decision failed')
    if (answer instanceof RefusedKey)
      onRefusedKey?.({
        ip: incoming.socket.remoteAddress ?? '',
        method: incoming.method ?? '',
        path: DECIDE_PATH,
        reason: answer.reason,
      })
  }

  return {
    path: DECIDE_PATH,
    handle: (incoming, response) => {
      try {
        // What is left unread, Node throws away once the answer is out.
        if (!ask.takesBody(incoming)) return answer(incoming, response, undefined)
        // The key first: strangers' bodies are not read.
        authorised(incoming, performance.now())
        readText(incoming, MOST_BODY_BYTES)
          .then((body) => answer(incoming, response, body))
          .catch((error: unknown) => fail(incoming, response, error))
      } catch (error) {
        fail(incoming, response, error)
      }
    },
  }
}
