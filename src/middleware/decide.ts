import type { IncomingHttpHeaders } from 'node:http'

import { canonical } from './client-address.ts'
import type { Settings } from './options.ts'
import type { Answer, Post } from './post.ts'
import { type Asked, type Decided, type Decision, type Outcome, OUTCOMES } from './decision.ts'
import { createRemembered, withRetryAfter } from './remembered.ts'
import type { Warnings } from './warnings.ts'

const PASSED_ON = ['RateLimit', 'RateLimit-Policy', 'X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset']

/** So many failures one after the other, and Vedette is taken to be away: then one request in a while is asked about. */
const FAILURES_UNTIL_AWAY = 5
const AWAY_MS = 1000

const textOf = (headers: IncomingHttpHeaders, name: string): string => {
  const value = headers[name]
  return typeof value === 'string' ? value : (value?.join(', ') ?? '')
}

const outcomeOf = (headers: IncomingHttpHeaders): Outcome | undefined =>
  OUTCOMES.find((outcome) => outcome === headers['x-vedette-decision'])

const secondsOf = (headers: IncomingHttpHeaders): number => {
  const seconds = Number(textOf(headers, 'retry-after'))
  return seconds > 0 ? seconds : 0
}

export interface DecisionCounts {
  allowed: number
  limited: number
  blocked: number
  /** Of these three, from memory. */
  remembered: number
  /** Late, unreachable or no decision: `onError` held. */
  none: number
}

const misjudged = (asked: string, judged: string): boolean => judged !== asked && canonical(judged) !== canonical(asked)

/** Asks `/v1/decide` whether a request may pass, within a deadline. */
export const createDecide = ({
  post,
  service,
  settings: { timeoutMs, cacheMs, cacheAllowedMs },
  warnings,
}: {
  post: Post
  service: string
  settings: NonNullable<Settings<never>['decide']>
  warnings: Warnings
}) => {
  const counts: DecisionCounts = { allowed: 0, limited: 0, blocked: 0, remembered: 0, none: 0 }
  const remembered = createRemembered({ cacheMs, cacheAllowedMs })
  let failures = 0
  let nextTryAt = 0

  /** Undefined: the answer is no decision, and why was said. */
  const read = ({ status, headers }: Answer, asked: Asked): Decision | undefined => {
    const outcome = outcomeOf(headers)
    if (!outcome) {
      const remedy =
        status === 401 || status === 403
          ? '; give a key with the scope DECIDE'
          : status === 404
            ? '; give as url the address at which Vedette itself answers'
            : ''
      warnings.warn('no decision', `Vedette answered ${status} without a decision${remedy}`)
      return undefined
    }
    const judged = textOf(headers, 'x-vedette-client')
    if (misjudged(asked.ip, judged)) {
      warnings.warn(
        'misjudged',
        `asked about ${asked.ip}, Vedette judged ${judged || 'nobody'}: it does not believe this service. Add this service's address to TRUSTED_PROXIES of Vedette; until then there are no decisions`,
      )
      return undefined
    }
    const decision: Decision = { outcome, policyId: textOf(headers, 'x-vedette-policy'), headers: [] }
    for (const name of PASSED_ON) {
      const value = textOf(headers, name.toLowerCase())
      if (value !== '') decision.headers.push([name, value])
    }
    remembered.remember(asked, decision, secondsOf(headers))
    return withRetryAfter(decision, secondsOf(headers))
  }

  return {
    counts,
    /** @param done called once, perhaps at once; what it throws is thrown on. */
    ask: (asked: Asked, done: Decided): void => {
      const known = remembered.recall(asked)
      if (known) {
        counts[known.outcome]++
        counts.remembered++
        done(known)
        return
      }
      if (failures >= FAILURES_UNTIL_AWAY) {
        const now = performance.now()
        if (now < nextTryAt) {
          counts.none++
          done(undefined)
          return
        }
        nextTryAt = now + AWAY_MS
      }
      post.send({
        path: '/v1/decide?dialect=json',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          ...asked,
          service,
          userId: asked.userId || undefined,
          apiKey: asked.apiKey || undefined,
        }),
        deadlineMs: timeoutMs,
        withBody: false,
        done: (error, answer) => {
          if (error) warnings.warn('no answer', `no decision: ${error.message}`)
          const decision = answer && read(answer, asked)
          if (decision) {
            failures = 0
            counts[decision.outcome]++
          } else {
            failures++
            counts.none++
          }
          done(decision)
        },
      })
    },
  }
}

export type Decide = ReturnType<typeof createDecide>
