export const RATE_LIMIT_KEYS = ['IP', 'USER', 'API_KEY', 'IP_AND_PATH'] as const
/** What is counted. Where a user or an API key is not known, the address stands in for it. */
export type RateLimitKey = (typeof RATE_LIMIT_KEYS)[number]

export const RATE_LIMIT_ALGORITHMS = ['FIXED_WINDOW', 'SLIDING_WINDOW'] as const
/**
 * FIXED_WINDOW starts at a key's first request and can let twice the limit through across two windows; SLIDING_WINDOW at
 * most limit + 1/8 in any window of the policy's length.
 */
export type RateLimitAlgorithm = (typeof RATE_LIMIT_ALGORITHMS)[number]

export const RATE_LIMIT_MODES = ['OFF', 'SHADOW', 'ENFORCE'] as const
/** OFF: neither counted nor limited. SHADOW: counted and logged, never denied. */
export type RateLimitMode = (typeof RATE_LIMIT_MODES)[number]

export const RATE_LIMIT_ON_ERROR = ['ALLOW', 'DENY'] as const
/** The answer when nothing can be known, such as a proxy that names no address. */
export type RateLimitOnError = (typeof RATE_LIMIT_ON_ERROR)[number]

/** Where a policy comes from: BUILT_IN until it is changed, FILE (`POLICY_FILE`) wins over STORE (GraphQL). */
export type PolicySource = 'BUILT_IN' | 'FILE' | 'STORE'

/** A policy as it is stored and as the declarative file names it. */
export interface PolicyValues {
  name: string
  /** Exact, or with `*` for any text: `shop`, `shop-*`, `*`. */
  service: string
  /** `/login`, `/users/:id`, `/api/*`: see pattern.ts. */
  pathPattern: string
  /** Upper case; empty: all. */
  methods: readonly string[]
  key: RateLimitKey
  /** Requests per window and key. */
  limit: number
  /** Where the user is known; then the user is what is counted. Null: `limit` for everybody. */
  authenticatedLimit: number | null
  windowSeconds: number
  algorithm: RateLimitAlgorithm
  /** How long a key that went over the limit stays denied; 0: until the window lets it pass again. */
  blockSeconds: number
  mode: RateLimitMode
  onError: RateLimitOnError
}

export interface Policy extends PolicyValues {
  /** `default` is the built-in one. */
  id: string
  source: PolicySource
  /** 0 for BUILT_IN and FILE. */
  version: number
}

/** What a request asks for, as far as it decides which policy applies. */
export interface Target {
  service: string
  /** Upper case. */
  method: string
  /** Without the query, as sent. */
  path: string
}

export interface ChangeOptions {
  /** API key id, "cli" or "system". */
  by: string
  /** Called with the service that the policy held for and the one it shall hold for; what it throws refuses the change. */
  checkService?: ((service: string) => void) | undefined
}

export interface Policies {
  /** Loads the store and `POLICY_FILE`. @throws {ConfigError} the file cannot be read or does not fit, naming the field */
  start: () => Promise<void>
  stop: () => Promise<void>
  /** Most specific first. */
  list: () => Policy[]
  get: (id: string) => Policy | undefined
  /** The most specific one that fits the target; undefined: none does. From memory, about a microsecond. */
  match: (target: Target) => Policy | undefined
  /**
   * Creates (no `id`) or changes. In force at once here and within 2 s elsewhere.
   * @throws {StoreError} INVALID with the field, NOT_FOUND, CONFLICT (`expectedVersion`), UNAVAILABLE; INVALID for one of the file
   */
  save: (
    policy: Partial<PolicyValues> & { id?: string | undefined; expectedVersion?: number | undefined },
    options: ChangeOptions,
  ) => Promise<Policy>
  /**
   * A changed `default` becomes the built-in one again.
   * @returns it as it was
   * @throws {StoreError} NOT_FOUND, INVALID (built-in or of the file), UNAVAILABLE
   */
  remove: (id: string, options: ChangeOptions) => Promise<Policy>
  /** Called after each change of what `list` says. @returns stops it */
  onChange: (listener: () => void) => () => void
}
