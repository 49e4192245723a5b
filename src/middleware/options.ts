import type { IncomingMessage } from 'node:http'

/** Flat, at most 128 entries: what else is worth knowing of a request. */
export type Attributes = Record<string, string | number | boolean>

/** Rows that never reached Vedette. */
export interface Drop {
  rows: number
  /** In words, with the way out. */
  reason: string
}

/** `console`, pino and winston fit. */
export interface VedetteLogger {
  warn: (message: string) => void
}

export interface DecideOptions<R> {
  /** Milliseconds an answer is waited for; later there is no decision. Default 50. */
  timeoutMs?: number
  /** What becomes of a request when there is no decision: it passes, or is answered 503. Default `allow`. */
  onError?: 'allow' | 'deny'
  /**
   * Milliseconds, at most, that a refusal is kept: blocked for its address, limited for its address, user, method and path.
   * It is how long somebody who was unblocked still waits. 0 keeps none. Default 2000.
   */
  cacheMs?: number
  /** Milliseconds that a permission is kept. What is answered from memory is not counted by Vedette's limits. Default 0: none. */
  cacheAllowedMs?: number
  /** The visitor's own API key for this service, for policies that count by it. */
  apiKey?: (request: R) => string | undefined
}

/**
 * `R` is the request as the hooks get it: Express' or Fastify's, node:http's for `http()`. A hook that throws is counted and
 * warned of; the request goes on without what it would have given.
 */
export interface VedetteOptions<R = IncomingMessage> {
  /** Where Vedette answers, such as `http://127.0.0.1:8080`. */
  url: string
  /** An API key of Vedette with the scope COLLECT, and DECIDE where `decide` is given. */
  key: string
  /** What this service is called in every row. */
  service: string
  /** Ask Vedette before each request whether it may pass. Vedette must have this service in its TRUSTED_PROXIES. Default false. */
  decide?: false | DecideOptions<R>
  /**
   * CIDRs of proxies whose `X-Forwarded-For` is believed, read from the right; `unix` for one that comes by a Unix socket.
   * Default none: the client is whoever connected.
   */
  trustedProxies?: readonly string[]
  /** The client's address, where it stands somewhere else; undefined: as without it. */
  clientAddress?: (request: R) => string | undefined
  /** Who is logged in. Asked before the decision, and again when the request was answered if it was not known then. */
  user?: (request: R) => string | undefined
  /** The route's pattern, where the framework's own will not do. Asked when the request was answered. */
  route?: (request: R) => string | undefined
  /** Asked when the request was answered. */
  attributes?: (request: R) => Attributes | undefined
  /** True: neither asked about nor logged, such as health checks. */
  skip?: (request: R) => boolean
  batch?: {
    /** Rows of one POST at most. Default 5000; a batch is also full at 1 MiB. */
    maxRows?: number
    /** Milliseconds a row waits for others. Default 1000. */
    maxDelayMs?: number
  }
  /** What is kept while Vedette is away or slow. Past either, the newest rows are dropped and counted. */
  buffer?: {
    /** Default 100,000. */
    maxRows?: number
    /** Default 32 MiB. */
    maxBytes?: number
  }
  /** Compress batches: about a tenth of the bytes for a little CPU on another thread. Default false. */
  gzip?: boolean
  /** Told at most once a second of what was dropped since. */
  onDrop?: (drop: Drop) => void
  /** Default: `process.emitWarning`. The same warning comes once a minute at most. */
  logger?: VedetteLogger
}

export interface Settings<R> extends Pick<
  VedetteOptions<R>,
  'clientAddress' | 'user' | 'route' | 'attributes' | 'skip' | 'onDrop' | 'logger'
> {
  url: URL
  key: string
  service: string
  trustedProxies: readonly string[]
  decide: (Required<Omit<DecideOptions<R>, 'apiKey'>> & Pick<DecideOptions<R>, 'apiKey'>) | undefined
  batch: { maxRows: number; maxDelayMs: number }
  buffer: { maxRows: number; maxBytes: number }
  gzip: boolean
}

const reject = (field: string, shown: string, allowed: string): never => {
  throw new TypeError(`createVedette: ${field} is ${shown}; allowed is ${allowed}`)
}

const refuse = (field: string, given: unknown, allowed: string): never =>
  reject(field, given === undefined ? 'missing' : (JSON.stringify(given) ?? typeof given), allowed)

const whole = (field: string, given: unknown, fallback: number, least: number, most: number): number => {
  if (given === undefined) return fallback
  if (Number.isInteger(given) && (given as number) >= least && (given as number) <= most) return given as number
  return refuse(field, given, `a whole number from ${least} to ${most}`)
}

const flag = (field: string, given: unknown): boolean => {
  if (given === undefined || typeof given === 'boolean') return given ?? false
  return refuse(field, given, 'true or false')
}

const group = (field: string, given: unknown): Record<string, unknown> => {
  if (given === undefined) return {}
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) return given as Record<string, unknown>
  return refuse(field, given, 'an object')
}

const hooks = (path: string, given: object, names: readonly string[]): void => {
  for (const name of names) {
    const hook = (given as Record<string, unknown>)[name]
    if (hook !== undefined && typeof hook !== 'function') refuse(`${path}${name}`, hook, 'a function')
  }
}

/** A slip in a name would otherwise leave its default in force in silence. */
const known = (path: string, given: object, names: readonly string[]): void => {
  for (const name of Object.keys(given))
    if (!names.includes(name)) reject(`${path}${name}`, 'not known', `one of ${names.join(', ')}`)
}

const urlOf = (given: unknown): URL => {
  const url = typeof given === 'string' && URL.canParse(given) ? new URL(given) : undefined
  if (url && (url.protocol === 'http:' || url.protocol === 'https:') && url.username === '' && url.search === '')
    return url
  return refuse('url', given, 'where Vedette answers, such as http://127.0.0.1:8080, without user, password or query')
}

const decideOf = <R>(given: unknown): Settings<R>['decide'] => {
  if (given === undefined || given === false) return undefined
  if (typeof given !== 'object' || given === null) return refuse('decide', given, 'false or an object, such as {}')
  const { onError = 'allow', ...rest } = given as DecideOptions<R>
  known('decide.', rest, ['timeoutMs', 'cacheMs', 'cacheAllowedMs', 'apiKey'])
  hooks('decide.', rest, ['apiKey'])
  if (onError !== 'allow' && onError !== 'deny') refuse('decide.onError', onError, 'allow or deny')
  return {
    onError,
    timeoutMs: whole('decide.timeoutMs', rest.timeoutMs, 50, 1, 60_000),
    cacheMs: whole('decide.cacheMs', rest.cacheMs, 2000, 0, 60_000),
    cacheAllowedMs: whole('decide.cacheAllowedMs', rest.cacheAllowedMs, 0, 0, 60_000),
    apiKey: rest.apiKey,
  }
}

const HOOKS = ['clientAddress', 'user', 'route', 'attributes', 'skip', 'onDrop']
const NAMES = ['url', 'key', 'service', 'decide', 'trustedProxies', 'batch', 'buffer', 'gzip', 'logger', ...HOOKS]

/** @throws {TypeError} naming the option, what was given and what is allowed */
export const readOptions = <R>(options: VedetteOptions<R>): Settings<R> => {
  if (typeof options !== 'object' || options === null) refuse('the options', options, '{ url, key, service, … }')
  known('', options, NAMES)
  hooks('', options, HOOKS)
  const { key, service, trustedProxies = [], logger } = options
  // A key is never shown.
  if (typeof key !== 'string' || !/^[\x21-\x7e]+$/.test(key))
    reject('key', key === undefined ? 'missing' : 'not one', 'an API key as `vedette keys create` printed it')
  if (typeof service !== 'string' || service === '' || service.length > 1024)
    refuse('service', service, 'a name of 1 to 1024 characters')
  if (!Array.isArray(trustedProxies)) refuse('trustedProxies', trustedProxies, 'a list of CIDRs')
  if (logger !== undefined && typeof (logger as Partial<VedetteLogger> | null)?.warn !== 'function')
    refuse('logger', logger, 'an object with warn(message), such as console')
  const batch = group('batch', options.batch)
  const buffer = group('buffer', options.buffer)
  known('batch.', batch, ['maxRows', 'maxDelayMs'])
  known('buffer.', buffer, ['maxRows', 'maxBytes'])
  return {
    ...options,
    url: urlOf(options.url),
    trustedProxies,
    decide: decideOf<R>(options.decide),
    batch: {
      maxRows: whole('batch.maxRows', batch['maxRows'], 5000, 1, 50_000),
      maxDelayMs: whole('batch.maxDelayMs', batch['maxDelayMs'], 1000, 1, 60_000),
    },
    buffer: {
      maxRows: whole('buffer.maxRows', buffer['maxRows'], 100_000, 1, 10_000_000),
      maxBytes: whole('buffer.maxBytes', buffer['maxBytes'], 32 * 2 ** 20, 2 ** 21, 2 ** 30),
    },
    gzip: flag('gzip', options.gzip),
  }
}
