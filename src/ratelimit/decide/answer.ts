import type { ServerResponse } from 'node:http'

import type { Dialect } from './ask.ts'
import type { Decision } from './decide.ts'

/** How long to stay away where a block has no end, s: a day. */
const UNENDING_SECONDS = 86_400
/** What is asked to wait when nothing is known about the client, s. */
const UNKNOWN_SECONDS = 1

const STATUS = { allowed: 200, limited: 429, blocked: 403 } as const

const PROBLEMS = {
  403: '{"type":"about:blank","title":"Forbidden","status":403}',
  429: '{"type":"about:blank","title":"Too Many Requests","status":429}',
} as const

const seconds = (ms: number): number => Math.max(1, Math.ceil(ms / 1000))

const retryAfterOf = ({ outcome, verdict, entry }: Decision): number | undefined => {
  if (outcome === 'allowed') return undefined
  if (outcome === 'limited') return verdict ? seconds(verdict.retryAfterMs) : UNKNOWN_SECONDS
  return entry?.expiresAt ? seconds(entry.expiresAt.getTime() - Date.now()) : UNENDING_SECONDS
}

/** What is left, and seconds until there is more. */
const standing = ({ outcome, verdict, limit, policy }: Decision, retryAfter: number | undefined) =>
  verdict
    ? { remaining: verdict.remaining, reset: seconds(verdict.resetMs) }
    : { remaining: outcome === 'allowed' ? limit! : 0, reset: retryAfter ?? policy!.windowSeconds }

/** nginx's `auth_request` knows 2xx, 401 and 403, and makes a 500 of everything else. */
const statusFor = (outcome: Decision['outcome'], dialect: Dialect): 200 | 403 | 429 =>
  dialect === 'nginx' && outcome === 'limited' ? 403 : STATUS[outcome]

/**
 * Names and values by turns, as `writeHead` takes them fastest. RateLimit and RateLimit-Policy as in the IETF's draft 11;
 * X-RateLimit-Reset in seconds since 1970, as the services that made the name popular have it.
 */
const headersOf = (decision: Decision, retryAfter: number | undefined): string[] => {
  const { outcome, policy, limit, degraded } = decision
  const headers = ['x-vedette-decision', outcome]
  if (policy && limit !== undefined) {
    const { remaining, reset } = standing(decision, retryAfter)
    headers.push(
      'x-vedette-policy',
      policy.id,
      'ratelimit',
      `"${policy.id}";r=${remaining};t=${reset}`,
      'ratelimit-policy',
      `"${policy.id}";q=${limit};w=${policy.windowSeconds}`,
      'x-ratelimit-limit',
      String(limit),
      'x-ratelimit-remaining',
      String(remaining),
      'x-ratelimit-reset',
      String(Math.floor(Date.now() / 1000) + reset),
    )
  }
  if (retryAfter !== undefined) headers.push('retry-after', String(retryAfter))
  if (degraded !== undefined) headers.push('x-vedette-degraded', degraded)
  return headers
}

const bodyOf = (decision: Decision, client: string, retryAfter: number | undefined): string => {
  const { outcome, policy, verdict, limit, entry, degraded } = decision
  return JSON.stringify({
    decision: outcome,
    client,
    policyId: policy?.id ?? null,
    limit: limit ?? null,
    remaining: verdict?.remaining ?? null,
    retryAfterSeconds: retryAfter ?? null,
    reason: entry?.reason ?? null,
    degraded: degraded ?? null,
  })
}

/** Writes the decision in the caller's dialect. */
export const answerDecision = (
  response: ServerResponse,
  { decision, dialect, client }: { decision: Decision; dialect: Dialect; client: string },
): void => {
  const retryAfter = retryAfterOf(decision)
  const status = statusFor(decision.outcome, dialect)
  const headers = headersOf(decision, retryAfter)
  if (dialect === 'json') {
    const body = bodyOf(decision, client, retryAfter)
    headers.push(
      // A service that is no trusted proxy asks for itself alone; this tells it so.
      'x-vedette-client',
      client,
      'content-type',
      'application/json; charset=utf-8',
      'content-length',
      String(Buffer.byteLength(body)),
    )
    response.writeHead(status, headers)
    response.end(body)
  } else if (status === 200 || dialect === 'nginx') {
    headers.push('content-length', '0')
    response.writeHead(status, headers)
    response.end()
  } else {
    // Traefik and Envoy hand this on to the visitor.
    const body = PROBLEMS[status]
    headers.push('content-type', 'application/problem+json; charset=utf-8', 'content-length', String(body.length))
    response.writeHead(status, headers)
    response.end(body)
  }
}
