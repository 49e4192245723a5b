import type { Cluster, Redis as Connection } from 'ioredis'

/**
 * What Vedette asks of Redis, or of the stand-in within this process where there is none. Each call ends within the
 * deadline (500 ms): a slow Redis is worse than a dead one.
 */
export interface Redis {
  /** True: other processes see the same; false: the stand-in, which only this process sees. */
  readonly shared: boolean
  /** Connects in the background; Redis may be away then and later. */
  start: () => Promise<void>
  stop: () => Promise<void>
  /** @throws {RedisError} */
  ping: () => Promise<void>

  /** @throws {RedisError} */
  get: (key: string) => Promise<string | undefined>
  /** Replaces what is there. @throws {RedisError} */
  set: (key: string, value: string, ttlMs: number) => Promise<void>
  /** True: written; false: the key was there and stays as it was. @throws {RedisError} */
  setIfAbsent: (key: string, value: string, ttlMs: number) => Promise<boolean>
  /** @throws {RedisError} */
  delete: (key: string) => Promise<void>

  /** A small JSON message to every subscriber, this process included; at most once. @throws {RedisError} */
  publish: (channel: string, message: unknown) => Promise<void>
  /**
   * Listens from now on and again after each reconnect; what is said while Redis is away is missed, so poll as well.
   * @returns stops listening
   */
  subscribe: (channel: string, listener: (message: unknown) => void) => () => void

  /**
   * A connection of its own, for callers with scripts and deadlines of their own; connected and ended with the others.
   * Undefined: there is no Redis. `use` names it in the log.
   */
  connection: (use: string) => Connection | Cluster | undefined

  /** Undefined: somebody else holds it. @throws {RedisError} */
  acquire: (name: string, options?: LeaseOptions) => Promise<Lease | undefined>
}

export interface LeaseOptions {
  /** How long it outlives a holder that died; extended every third of it while held. Default 10,000. */
  ttlMs?: number
  /** How long to wait for another holder. Default 0. */
  waitMs?: number
}

export interface Lease {
  /** Aborted as soon as the lease is lost or can no longer be told to be ours; not by `release`. */
  readonly signal: AbortSignal
  /** False once released, lost, or past its time by our own clock, even if no timer could run since. */
  held: () => boolean
  /** Gives it back at once; without effect when it was lost. Never throws: it runs out by itself. */
  release: () => Promise<void>
}

/**
 * - `unavailable`: no connection; the command was not sent
 * - `timeout`: no answer within the deadline; whether it ran is unknown
 * - `refused`: Redis answered with an error (out of memory, read-only replica, no permission)
 */
export type RedisErrorKind = 'unavailable' | 'timeout' | 'refused'

export class RedisError extends Error {
  override name = 'RedisError'
  readonly kind: RedisErrorKind

  constructor(kind: RedisErrorKind, message: string, cause?: unknown) {
    super(message, { cause })
    this.kind = kind
  }
}
