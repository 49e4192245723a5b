import type { FastifyRequest } from 'fastify'

import { pathOf } from './path.ts'
import { Problem, problem, type ProblemOptions } from './problem.ts'
import { type Counted, secondsOf } from './rate-limit.ts'

export interface RefusedKeyInfo {
  ip: string
  method: string
  /** Without the query. */
  path: string
  /** Never the key itself: its id, or the prefix that lists of keys show. */
  reason: string
}

export type OnRefusedKey = (info: RefusedKeyInfo) => void
/** Counts a refused key of an address. */
export type CountFailedKey = (
  ip: string,
) => Pick<Counted, 'allowed' | 'retryAfterMs'> | Promise<Pick<Counted, 'allowed' | 'retryAfterMs'>>

declare module 'fastify' {
  interface FastifyInstance {
    onRefusedKey: OnRefusedKey
  }
}

/** 401 for a key that is none, 403 for one that lacks the scope. */
export class RefusedKey extends Problem {
  override name = 'RefusedKey'
  /** For the security log. */
  readonly reason: string
  /**
   * Whether it counts as a guess against its address: a key was given that is none. Not where none was given, since
   * clients commonly ask without one first, nor on routes of scope DECIDE, which are never limited: a proxy in front of
   * real services asks them for all its visitors.
   */
  readonly isGuess: boolean

  constructor(status: 401 | 403, options: ProblemOptions & { reason: string; isGuess: boolean }) {
    super(status, options)
    this.reason = options.reason
    this.isGuess = options.isGuess
  }
}

/** For routes that answer a refused key in words of their own. */
export const noteRefusedKey = (request: FastifyRequest, reason: string): void =>
  request.server.onRefusedKey({ ip: request.ip, method: request.method, path: pathOf(request.url), reason })

/** What to answer to a refused key: it, or 429 where its address has sent too many. A valid key from there is not asked about. */
export const answerForRefused = async (
  refused: RefusedKey,
  request: FastifyRequest,
  countFailedKey: CountFailedKey | undefined,
): Promise<Problem> => {
  const counted = refused.isGuess ? await countFailedKey?.(request.ip) : undefined
  if (!counted || counted.allowed) {
    noteRefusedKey(request, refused.reason)
    return refused
  }
  noteRefusedKey(request, `${refused.reason}, one of too many`)
  const seconds = secondsOf(counted.retryAfterMs)
  return problem(429, {
    detail: `Too many API keys from ${request.ip} were refused; wait ${seconds} s, or send a key that is valid: it is taken at once.`,
    headers: { 'retry-after': String(seconds) },
  })
}
