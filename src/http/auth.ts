import type { IncomingHttpHeaders } from 'node:http'

import type { FastifyRequest, onRequestAsyncHookHandler } from 'fastify'

import { holds, type Principal, type Scope } from '../principal.ts'
import { RefusedKey } from './refused-key.ts'

export type Authenticate = (secret: string) => Principal | undefined

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by `requireScope`; undefined on routes without it. */
    principal: Principal | undefined
  }
  interface FastifyInstance {
    authenticate: Authenticate
  }
}

/** `reason`: the refusal in a few words, for the security log. */
type Credentials = { secret: string } | { refusal: string; reason: string }

const NO_KEY = 'This needs an API key: send it as Authorization: Bearer KEY, as the password of Basic, or as X-Api-Key.'

/**
 * X-Api-Key is ours alone and so goes first: in a subrequest of nginx `auth_request` the Authorization header is the
 * visitor's own, meant for the service behind.
 */
const credentials = (headers: IncomingHttpHeaders): Credentials => {
  const own = headers['x-api-key']
  if (typeof own === 'string' && own !== '') return { secret: own.trim() }
  const [, scheme, value] = /^\s*(\w+) +(\S+)\s*$/.exec(headers.authorization ?? '') ?? []
  switch (scheme?.toLowerCase()) {
    case 'bearer':
    case 'token':
      return { secret: value! }
    case 'basic': {
      // A browser sends stored Basic credentials along with whatever another site makes it ask for.
      if (headers['sec-fetch-site'] === 'cross-site')
        return {
          refusal: 'Basic credentials are not taken from a page of another site; use Authorization: Bearer KEY.',
          reason: 'Basic credentials for a page of another site',
        }
      const pair = Buffer.from(value!, 'base64').toString()
      const colon = pair.indexOf(':')
      return colon < 0
        ? {
            refusal: 'Basic credentials are base64 of user:password; the password is the API key, any user will do.',
            reason: 'Basic credentials without a colon',
          }
        : { secret: pair.slice(colon + 1) }
    }
    default:
      return { refusal: NO_KEY, reason: 'no key' }
  }
}

/** Browsers answer a Basic challenge with a dialog of their own, so a page's `fetch` gets only Bearer. */
const challenge = (headers: IncomingHttpHeaders, bearer: string): string => {
  const mode = headers['sec-fetch-mode']
  const basic = mode === undefined || mode === 'navigate'
  return basic ? `${bearer}, Basic realm="vedette", charset="UTF-8"` : bearer
}

/** By their prefix, as lists of keys show it, the operator finds out which key is still in use somewhere. */
const refusedKey = (secret: string): string => {
  const prefix = /^(vdt_\w{6})\w{26}$/.exec(secret)?.[1]
  return `unknown, expired or revoked key${prefix ? ` ${prefix}…` : ''}`
}

/**
 * Whose API key these headers carry.
 * @param limited whether a key that is none counts against its address
 * @throws {RefusedKey} 401 with WWW-Authenticate
 */
export const identifyBy = (authenticate: Authenticate, headers: IncomingHttpHeaders, limited: boolean): Principal => {
  const given = credentials(headers)
  if ('refusal' in given)
    throw new RefusedKey(401, {
      reason: given.reason,
      isGuess: false,
      detail: given.refusal,
      headers: { 'www-authenticate': challenge(headers, 'Bearer realm="vedette"') },
    })
  const principal = authenticate(given.secret)
  if (!principal)
    throw new RefusedKey(401, {
      reason: refusedKey(given.secret),
      isGuess: limited,
      detail: 'This API key is unknown, expired or revoked.',
      headers: { 'www-authenticate': challenge(headers, 'Bearer realm="vedette", error="invalid_token"') },
    })
  return principal
}

/**
 * Whose API key this request carries.
 * @throws {RefusedKey} 401 with WWW-Authenticate
 */
export const identify = (request: FastifyRequest): Principal =>
  identifyBy(request.server.authenticate, request.headers, true)

/** What answers for real services is never limited, not even to those who try keys. */
const isLimited = (anyOf: readonly Scope[]): boolean => !anyOf.includes('DECIDE')

/** @throws {RefusedKey} 403 where none of the scopes is held */
const requireOneOf = (principal: Principal, anyOf: readonly [Scope, ...Scope[]]): Principal => {
  if (holds(principal, ...anyOf)) return principal
  throw new RefusedKey(403, {
    reason: `key ${principal.keyId} has no scope ${anyOf.join(' or ')}`,
    isGuess: false,
    detail: `This needs an API key with scope ${anyOf.join(' or ')}; the key "${principal.name}" has ${[...principal.scopes].join(', ')}.`,
    headers: {
      'www-authenticate': `Bearer realm="vedette", error="insufficient_scope", scope="${anyOf.join(' ')}"`,
    },
  })
}

/** For routes that do without Fastify; they say `onRefusedKey` themselves. @throws {RefusedKey} 401, 403 */
export const authorise = (
  authenticate: Authenticate,
  headers: IncomingHttpHeaders,
  ...anyOf: readonly [Scope, ...Scope[]]
): Principal => requireOneOf(identifyBy(authenticate, headers, isLimited(anyOf)), anyOf)

/**
 * An `onRequest` hook: refuses before a byte of the body is read, else sets `request.principal`. One of the scopes is enough.
 * @throws {RefusedKey} 401, 403
 */
export const requireScope =
  (...anyOf: readonly [Scope, ...Scope[]]): onRequestAsyncHookHandler =>
  async (request) => {
    request.principal = authorise(request.server.authenticate, request.headers, ...anyOf)
  }

/** The principal of a route behind `requireScope`. */
export const principalOf = (request: FastifyRequest): Principal => {
  if (!request.principal) throw new TypeError('this route asks for its principal, but has no requireScope')
  return request.principal
}
