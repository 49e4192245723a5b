import type { Cluster, Redis as Connection } from 'ioredis'
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'

import { newLog, SCRIPT, slide, type SlidingLog } from './sliding-window.ts'
import type { Rule } from './types.ts'

/** What a store says about a key. */
export interface Count {
  allowed: boolean
  remaining: number
  resetMs: number
  retryAfterMs: number
}

/** Counts by one rule in one store. */
export interface Counter {
  /** @throws what the store throws; never for a denial */
  consume: (key: string, points: number) => Promise<Count>
}

/**
 * Keys held in memory by one rule: 200 to 400 bytes each. Past it the oldest is forgotten, which forgives it what it has
 * used: better than a process that strangers can fill up.
 */
const MOST_KEYS = 500_000

export type RedisConnection = Connection | Cluster

/** By the library: the window begins with a key's first request. */
const fixedOptions = ({ id, limit, windowSeconds, blockSeconds }: Rule, prefix: string) => ({
  keyPrefix: `${prefix}rl:${id}:f${windowSeconds}`,
  points: limit,
  duration: windowSeconds,
  blockDuration: blockSeconds,
})

const countOf = (allowed: boolean, { msBeforeNext, remainingPoints }: RateLimiterRes): Count => {
  const resetMs = Math.max(0, msBeforeNext)
  return { allowed, remaining: allowed ? remainingPoints : 0, resetMs, retryAfterMs: allowed ? 0 : resetMs }
}

const passed = (result: RateLimiterRes): Count => countOf(true, result)

/** The library rejects with a result where the key is over its limit, with an error where the store failed. */
const stopped = (reason: unknown): Count => {
  if (reason instanceof RateLimiterRes) return countOf(false, reason)
  throw reason
}

const fixedInRedis = (rule: Rule, client: RedisConnection, prefix: string): Counter => {
  const limiter = new RateLimiterRedis({
    ...fixedOptions(rule, prefix),
    storeClient: client,
    rejectIfRedisNotReady: true,
  })
  return { consume: (key, points) => limiter.consume(key, points).then(passed, stopped) }
}

const fixedInMemory = (rule: Rule): Counter => {
  const limiter = new RateLimiterMemory(fixedOptions(rule, ''))
  /** In the order in which their windows began. */
  const keys = new Set<string>()
  const remember = (key: string): void => {
    keys.delete(key)
    keys.add(key)
    if (keys.size <= MOST_KEYS) return
    const oldest = keys.values().next().value!
    keys.delete(oldest)
    void limiter.delete(oldest)
  }
  return {
    consume: (key, points) =>
      limiter.consume(key, points).then((result) => {
        if (result.isFirstInDuration) remember(key)
        return passed(result)
      }, stopped),
  }
}

const slidingRule = ({ limit, windowSeconds, blockSeconds }: Rule) => ({
  limit,
  windowMs: windowSeconds * 1000,
  blockMs: blockSeconds * 1000,
})

type Scripted = RedisConnection & {
  vedetteSlide: (
    key: string,
    limit: number,
    windowMs: number,
    points: number,
    blockMs: number,
  ) => Promise<[number, number, number, number]>
}

const slidingInRedis = (rule: Rule, client: RedisConnection, prefix: string): Counter => {
  if (!('vedetteSlide' in client)) client.defineCommand('vedetteSlide', { numberOfKeys: 1, lua: SCRIPT })
  const scripted = client as Scripted
  const { limit, windowMs, blockMs } = slidingRule(rule)
  const before = `${prefix}rl:${rule.id}:s${rule.windowSeconds}:`
  return {
    consume: async (key, points) => {
      const [allowed, remaining, resetMs, retryAfterMs] = await scripted.vedetteSlide(
        before + key,
        limit,
        windowMs,
        points,
        blockMs,
      )
      return { allowed: allowed === 1, remaining, resetMs, retryAfterMs }
    },
  }
}

const slidingInMemory = (rule: Rule): Counter => {
  const sliding = slidingRule(rule)
  const logs = new Map<string, SlidingLog>()
  return {
    consume: async (key, points) => {
      let log = logs.get(key)
      if (log) logs.delete(key)
      else {
        log = newLog()
        if (logs.size >= MOST_KEYS) logs.delete(logs.keys().next().value!)
      }
      // The one used last goes last, so that what is forgotten first has been silent for longest.
      logs.set(key, log)
      return slide(log, sliding, points, Date.now())
    },
  }
}

export const inMemory = (rule: Rule): Counter =>
  rule.algorithm === 'FIXED_WINDOW' ? fixedInMemory(rule) : slidingInMemory(rule)

export const inRedis = (rule: Rule, client: RedisConnection, prefix: string): Counter =>
  rule.algorithm === 'FIXED_WINDOW' ? fixedInRedis(rule, client, prefix) : slidingInRedis(rule, client, prefix)
