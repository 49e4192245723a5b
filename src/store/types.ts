import type { Principal, Scope } from '../principal.ts'

/** One state of a small thing that people change. */
export interface Version<T> {
  id: string
  /** 1, 2, … */
  version: number
  /** Undefined: removed. */
  value: T | undefined
  changedAt: Date
  /** API key id, "cli" or "system". */
  changedBy: string
}

export interface WriteOptions {
  /** API key id, "cli" or "system". */
  by: string
  /** The version that was read before the change, 0 for "not there yet"; another one by now: CONFLICT. */
  expectedVersion?: number
}

/** Things of one kind, every version kept, the newest in memory. */
export interface Versions<T> {
  /** Loads what there is. With ClickHouse away: the last snapshot, and a line in the log. */
  start: () => Promise<void>
  stop: () => Promise<void>
  /** False: neither ClickHouse nor a snapshot has said yet what there is, so that "none" means nothing. */
  readonly loaded: boolean
  /** From memory: at most 2 s behind other processes. Removed ones are left out. */
  get: (id: string) => Version<T> | undefined
  list: () => Version<T>[]
  /** @throws {StoreError} CONFLICT, UNAVAILABLE */
  write: (id: string, value: T | undefined, options: WriteOptions) => Promise<Version<T>>
  /**
   * Reads the newest and writes what `change` makes of it, under one lease. `change` may throw, or
   * return what it was given, to leave it as it is; it may be called again with what somebody else wrote meanwhile.
   * @throws {StoreError} UNAVAILABLE
   */
  update: (
    id: string,
    change: (current: Version<T> | undefined) => T | undefined,
    options: { by: string },
  ) => Promise<Version<T>>
  /**
   * As `update` for many things, each `id` once, in one statement for every 100,000: a hundred thousand in some seconds.
   * - All or none up to 100,000: what `change` throws, or ClickHouse being away, leaves everything as it was. Of more, the
   *   first hundred thousands may be there when a later one fails; the same again brings the rest.
   * - UNAVAILABLE after the rows were sent (no answer in time) leaves open whether they were taken.
   * - It is for things where the last word counts. Of two changes of one thing in the same instant both `update`s hold; here
   *   the other's may be passed over where no lease keeps the two apart (Redis away, or two processes without one).
   * @throws {StoreError} UNAVAILABLE
   */
  writeMany: (changes: readonly Change<T>[], options: { by: string }) => Promise<Version<T>[]>
  /** From ClickHouse, newest first: of one thing, or of all of this kind. @throws {StoreError} UNAVAILABLE */
  history: (filter?: { id?: string; limit?: number }) => Promise<Version<T>[]>
  /** Takes over now what ClickHouse has. @throws {StoreError} UNAVAILABLE */
  refresh: () => Promise<void>
  /**
   * Called after each change of what is in memory with what changed, some thousands at a time where it is many. Removed ones
   * have no value. @returns stops it
   */
  onChange: (listener: (changed: readonly Version<T>[]) => void) => () => void
}

export interface Change<T> {
  id: string
  /** As in `update`. */
  change: (current: Version<T> | undefined) => T | undefined
}

/** Stable codes: INVALID (what was asked cannot be), NOT_FOUND, CONFLICT (changed since it was read), UNAVAILABLE (ClickHouse or Redis is away; try again). */
export type StoreErrorCode = 'INVALID' | 'NOT_FOUND' | 'CONFLICT' | 'UNAVAILABLE'

export class StoreError extends Error {
  override name = 'StoreError'
  readonly code: StoreErrorCode
  /** The field that INVALID speaks of. */
  readonly field: string | undefined

  constructor(code: StoreErrorCode, message: string, details: { field?: string; cause?: unknown } = {}) {
    super(message, { cause: details.cause })
    this.code = code
    this.field = details.field
  }
}

/** An API key as people may see it; the secret itself is nowhere. */
export interface ApiKey {
  id: string
  name: string
  /** The first characters of the secret, to know it again by. */
  prefix: string
  scopes: readonly Scope[]
  /** The only services that it writes and reads; null: all. */
  services: readonly string[] | null
  /** What its GraphQL queries may cost in an hour. */
  pointsPerHour: number
  /** How many POSTs the collector takes from it in a minute. */
  postsPerMinute: number
  createdAt: Date
  createdBy: string
  expiresAt: Date | null
  revokedAt: Date | null
  revokedBy: string | null
  /** The day of its last use (UTC midnight); null: never. */
  lastUsedAt: Date | null
}

export interface NewApiKey {
  name: string
  scopes: readonly Scope[]
  services?: readonly string[] | null
  expiresAt?: Date | null
  /** 1 to 1,000,000,000. Default 100,000. */
  pointsPerHour?: number
  /** 1 to 10,000,000. Default 300,000. */
  postsPerMinute?: number
  /** Who makes it: API key id, "cli" or "system". */
  by: string
}

export interface ApiKeys {
  /**
   * Loads the keys and sees to it that there is a first one with ADMIN.
   * @returns the secret of a first key made just now, to be shown once
   */
  start: () => Promise<{ firstAdminKey: string | undefined }>
  stop: () => Promise<void>
  /** Takes over now what ClickHouse has. @throws {StoreError} UNAVAILABLE */
  refresh: () => Promise<void>
  /** A look into memory, some µs: unknown, revoked and expired keys give undefined. */
  authenticate: (secret: string) => Principal | undefined
  /** The secret is in this answer and never again. @throws {StoreError} INVALID, UNAVAILABLE */
  create: (key: NewApiKey) => Promise<{ apiKey: ApiKey; secret: string }>
  /** In force at once here and within 2 s in other processes; once more: no change. @throws {StoreError} NOT_FOUND, UNAVAILABLE */
  revoke: (id: string, options: { by: string }) => Promise<ApiKey>
  get: (id: string) => ApiKey | undefined
  /** Oldest first, revoked and expired ones included. */
  list: () => ApiKey[]
  /** Who changed which key when, newest first. @throws {StoreError} UNAVAILABLE */
  audit: (filter?: { id?: string; limit?: number }) => Promise<KeyChange[]>
}

export interface KeyChange {
  keyId: string
  name: string
  action: 'created' | 'revoked' | 'changed'
  at: Date
  by: string
}
