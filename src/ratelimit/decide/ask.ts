import type { IncomingMessage } from 'node:http'

import { type Principal, problem } from '../../http/index.ts'
import { parseAddress } from '../address.ts'
import type { Client, ClientOf } from './client-address.ts'
import type { DecideRequest } from './decide.ts'

export const DIALECTS = ['nginx', 'traefik', 'envoy', 'json'] as const
/** Whose way of asking, and of being answered. */
export type Dialect = (typeof DIALECTS)[number]

export const DECIDE_PATH = '/v1/decide'

/** What a caller asks, in whichever dialect. */
export interface Asked {
  dialect: Dialect
  request: DecideRequest
}

/** As OpenTelemetry names a service that gives no name; the collector's rows have it too. */
const UNKNOWN_SERVICE = 'unknown_service'
const LONGEST_SERVICE = 200
const LONGEST_USER = 1024

/** What the caller's own configuration says, in the URL. */
interface Called {
  dialect: Dialect | undefined
  service: string
  /** Envoy puts the visitor's path behind ours; empty: it did not. */
  rest: string
}

const one = (header: string | string[] | undefined): string =>
  header === undefined ? '' : typeof header === 'string' ? header : (header[0] ?? '')

const isDialect = (given: string): given is Dialect => DIALECTS.includes(given as Dialect)

const readUrl = (url: string): Called => {
  const question = url.indexOf('?')
  const path = question < 0 ? url : url.slice(0, question)
  if (path.length > DECIDE_PATH.length) return { dialect: 'envoy', service: '', rest: url.slice(DECIDE_PATH.length) }
  const query = new URLSearchParams(question < 0 ? '' : url.slice(question))
  const dialect = query.get('dialect')
  if (dialect !== null && !isDialect(dialect))
    throw problem(400, { detail: `dialect is ${JSON.stringify(dialect)}; allowed is ${DIALECTS.join(', ')}.` })
  return { dialect: dialect ?? undefined, service: query.get('service') ?? '', rest: '' }
}

/** Callers are configured once, so their URLs are few; Envoy's are the visitors' and are read each time. */
const createUrlReader = () => {
  const known = new Map<string, Called>()
  return (url: string): Called => {
    let called = known.get(url)
    if (!called) {
      called = readUrl(url)
      if (called.rest === '' && known.size < 1_000) known.set(url, called)
    }
    return called
  }
}

/** Without the query; an absolute URL's path. */
const pathOf = (target: string): string => {
  const question = target.indexOf('?')
  const bare = question < 0 ? target : target.slice(0, question)
  if (bare.startsWith('/')) return bare
  const scheme = bare.indexOf('://')
  const slash = scheme < 0 ? -1 : bare.indexOf('/', scheme + 3)
  return slash < 0 ? '/' : bare.slice(slash)
}

const serviceOf = (given: string, principal: Principal): string => {
  const { services } = principal
  const service = given || (services?.length === 1 ? services[0]! : UNKNOWN_SERVICE)
  if (service.length > LONGEST_SERVICE)
    throw problem(400, { detail: `service has ${service.length} characters; allowed are ${LONGEST_SERVICE}.` })
  if (services !== null && !services.includes(service))
    throw problem(403, {
      detail: `service is ${JSON.stringify(service)}; the key "${principal.name}" asks only for ${services.join(', ')}.`,
    })
  return service
}

/** The dialect that the headers speak: an nginx that is answered as another would show its visitors a 500. */
const spoken = ({ headers, method }: IncomingMessage): Dialect => {
  if (headers['x-original-uri'] !== undefined || headers['x-original-url'] !== undefined) return 'nginx'
  if (headers['x-forwarded-uri'] !== undefined || headers['x-forwarded-method'] !== undefined) return 'traefik'
  if (method === 'POST' || (method === 'GET' && headers['x-envoy-internal'] === undefined)) return 'json'
  return 'envoy'
}

/**
 * Each dialect reads its own headers only: a proxy passes on what the visitor sent in the others'.
 */
const targetOf = (incoming: IncomingMessage, dialect: Dialect, rest: string): { method: string; path: string } => {
  const { headers, method = 'GET' } = incoming
  switch (dialect) {
    case 'nginx':
      return target(one(headers['x-original-method']), one(headers['x-original-uri']) || one(headers['x-original-url']))
    case 'traefik':
      return target(one(headers['x-forwarded-method']), one(headers['x-forwarded-uri']))
    case 'envoy':
      return target(method, rest || one(headers['x-envoy-original-path']))
    case 'json':
      return target('', '')
    default:
      return dialect satisfies never
  }
}

const target = (method: string, uri: string) => ({ method: method.toUpperCase() || 'GET', path: pathOf(uri || '/') })

/** The visitor's own credentials for the service: Authorization, where the caller's key came as X-Api-Key. */
const visitorsKey = ({ headers }: IncomingMessage): string =>
  one(headers['x-vedette-api-key']) || (headers['x-api-key'] === undefined ? '' : one(headers.authorization))

const NOBODY = { user: '', apiKey: '', method: 'GET', path: '/' }

const fromHeaders = (incoming: IncomingMessage, called: Called, dialect: Dialect, client: Client) => {
  if (!client.trusted) return { ...NOBODY, address: client.address }
  return {
    ...targetOf(incoming, dialect, called.rest),
    address: client.address,
    user: one(incoming.headers['x-vedette-user']).slice(0, LONGEST_USER),
    apiKey: visitorsKey(incoming),
  }
}

const text = (body: Record<string, unknown>, names: readonly string[]): string => {
  for (const name of names) {
    const value = body[name]
    if (value === undefined || value === null) continue
    if (typeof value === 'string') return value
    throw problem(400, { detail: `${name} is ${JSON.stringify(value)}; allowed is a string.` })
  }
  return ''
}

const parseBody = (body: string): Record<string, unknown> => {
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch (error) {
    throw problem(400, { detail: `The body is not JSON: ${(error as Error).message}.` })
  }
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed as Record<string, unknown>
  throw problem(400, {
    detail: 'The body is no JSON object; allowed is {"ip", "method", "path", "service", "userId"}.',
  })
}

const fromBody = (json: Record<string, unknown>, client: Client) => {
  const ip = text(json, ['ip', 'ipAddress', 'ip_address'])
  const address = ip === '' ? client.address : parseAddress(ip)
  if (!address && ip !== '')
    throw problem(400, {
      detail: `ip is ${JSON.stringify(ip)}; allowed is an IPv4 or IPv6 address without port or zone.`,
    })
  if (!client.trusted) return { ...NOBODY, address: client.address }
  return {
    address,
    method: (text(json, ['method']) || 'GET').toUpperCase(),
    path: pathOf(text(json, ['path']) || '/'),
    user: text(json, ['userId', 'user_id', 'user']).slice(0, LONGEST_USER),
    apiKey: text(json, ['apiKey', 'api_key']),
  }
}

/**
 * Reads what is asked. Whoever is no trusted proxy asks for himself alone: what his headers and his body say about
 * others is not believed.
 */
export const createAsk = (clientOf: ClientOf) => {
  const urlOf = createUrlReader()
  return {
    /** Whether a body belongs to the question. @throws {Problem} 400 */
    takesBody: (incoming: IncomingMessage): boolean =>
      incoming.method === 'POST' && (urlOf(incoming.url!).dialect ?? spoken(incoming)) === 'json',
    /**
     * @param body undefined where none belongs to the question
     * @throws {Problem} 400; 403 for a service that the key is not bound to
     */
    read: (incoming: IncomingMessage, principal: Principal, body: string | undefined): Asked => {
      const called = urlOf(incoming.url!)
      const dialect = called.dialect ?? spoken(incoming)
      const client = clientOf(incoming.socket.remoteAddress, incoming.headers)
      const json = body === undefined || body === '' ? undefined : parseBody(body)
      const service =
        called.service || (json ? text(json, ['service']) : '') || one(incoming.headers['x-vedette-service'])
      const request = json ? fromBody(json, client) : fromHeaders(incoming, called, dialect, client)
      return { dialect, request: { ...request, service: serviceOf(service, principal) } }
    },
  }
}
