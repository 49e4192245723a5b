import type { IncomingHttpHeaders } from 'node:http'

import type { FastifyRequest, onRequestAsyncHookHandler } from 'fastify'

import { holds, type Principal, type Scope } from '../principal.ts'
import { problem } from './problem.ts'

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

type Credentials = { secret: string } | { refusal: string }

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
        }
      const pair = Buffer.from(value!, 'base64').toString()
      const colon = pair.indexOf(':')
      return colon < 0
        ? { refusal: 'Basic credentials are base64 of user:password; the password is the API key, any user will do.' }
        : { secret: pair.slice(colon + 1) }
    }
    default:
      return { refusal: NO_KEY }
  }
}

/** Browsers answer a Basic challenge with a dialog of their own, so a page's `fetch` gets only Bearer. */
const challenge = (headers: IncomingHttpHeaders, bearer: string): string => {
  const mode = headers['sec-fetch-mode']
  const basic = mode === undefined || mode === 'navigate'
  return basic ? `${bearer}, Basic realm="vedette", charset="UTF-8"` : bearer
}

/**
 * Whose API key this request carries.
 * @throws {Problem} 401 with WWW-Authenticate
 */
export const identify = (request: FastifyRequest): Principal => {
  const { headers } = request
  const given = credentials(headers)
  if ('refusal' in given)
    throw problem(401, {
      detail: given.refusal,
      headers: { 'www-authenticate': challenge(headers, 'Bearer realm="vedette"') },
    })
  const principal = request.server.authenticate(given.secret)
  if (!principal)
    throw problem(401, {
      detail: 'This API key is unknown, expired or revoked.',
      headers: { 'www-authenticate': challenge(headers, 'Bearer realm="vedette", error="invalid_token"') },
    })
  return principal
}

/**
 * An `onRequest` hook: refuses before a byte of the body is read, else sets `request.principal`. One of the scopes is enough.
 * @throws {Problem} 401, 403
 */
export const requireScope = (...anyOf: readonly [Scope, ...Scope[]]): onRequestAsyncHookHandler => {
  const wanted = anyOf.join(' or ')
  return async (request) => {
    const principal = identify(request)
    if (!holds(principal, ...anyOf))
      throw problem(403, {
        detail: `This needs an API key with scope ${wanted}; the key "${principal.name}" has ${[...principal.scopes].join(', ')}.`,
        headers: {
          'www-authenticate': `Bearer realm="vedette", error="insufficient_scope", scope="${anyOf.join(' ')}"`,
        },
      })
    request.principal = principal
  }
}

/** The principal of a route behind `requireScope`. */
export const principalOf = (request: FastifyRequest): Principal => {
  if (!request.principal) throw new TypeError('this route asks for its principal, but has no requireScope')
  return request.principal
}
