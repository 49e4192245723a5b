import { LRUCache } from 'lru-cache'
import type { Logger } from 'pino'
import { Counter as Metric, type Registry } from 'prom-client'

import type { Redis } from '../../redis/index.ts'
import { type Count, type Counter, inMemory, inRedis } from './counter.ts'
import { createDenied, type Denied } from './denied.ts'
import { createGather } from './gather.ts'
import { createRemote } from './remote.ts'
import type { Limiter, Rule, Verdict } from './types.ts'

export interface LimiterDependencies {
  redis: Redis
  log: Logger
  registry: Registry
  /** In front of every key in Redis. Default `vedette:`. */
  prefix?: string
}

/** Rules in use at once; those of policies that were changed go by themselves. */
const MOST_RULES = 2_000

/** All that is kept for one rule: one limiter object each, made once. */
interface Kept {
  rule: Rule
  denied: Denied
  memory: Counter
  remote: Counter | undefined
}

const sameNumbers = ({ id, limit, windowSeconds, algorithm, blockSeconds }: Rule): string =>
  `${id} ${limit} ${windowSeconds} ${algorithm} ${blockSeconds}`

const verdictOf = ({ limit }: Rule, count: Count, degraded: boolean): Verdict => ({
  allowed: count.allowed,
  limit,
  remaining: count.remaining,
  resetMs: count.resetMs,
  retryAfterMs: count.retryAfterMs,
  degraded,
})

/** Counts in Redis, where several processes share one count, or in this process where there is none or it does not answer. */
export const createLimiter = ({ redis, log, registry, prefix = 'vedette:' }: LimiterDependencies): Limiter => {
  const connection = redis.connection('limits')
  const gather = connection && createGather(connection)
  const failures = new Metric({
    name: 'vedette_limiter_redis_failures_total',
    help: 'Counts that Redis did not give within the deadline; this process counted instead',
    registers: [registry],
  })
  const degradedCounts = new Metric({
    name: 'vedette_limiter_degraded_total',
    help: 'Requests counted by this process alone, although a Redis is configured',
    registers: [registry],
  })
  const remote = createRemote({ log, onFailure: () => failures.inc() })
  const byNumbers = new LRUCache<string, Kept>({ max: MOST_RULES })
  const byRule = new WeakMap<Rule, Kept>()

  const make = (rule: Rule): Kept => ({
    rule,
    denied: createDenied(),
    memory: inMemory(rule),
    remote: connection && inRedis(rule, connection, prefix),
  })
  const keptFor = (rule: Rule): Kept => {
    const known = byRule.get(rule)
    if (known) return known
    const numbers = sameNumbers(rule)
    const kept = byNumbers.get(numbers) ?? make(rule)
    byNumbers.set(numbers, kept)
    byRule.set(rule, kept)
    return kept
  }

  const conclude = ({ rule, denied }: Kept, key: string, points: number, found: Count, degraded: boolean): Verdict => {
    // A single one that was denied: so is every other until then. What this process counted for itself may be wrong.
    if (!found.allowed && points === 1 && !degraded) denied.add(key, found.retryAfterMs)
    return verdictOf(rule, found, degraded)
  }

  const countHere = async (kept: Kept, key: string, points: number): Promise<Verdict> => {
    const degraded = kept.remote !== undefined
    if (degraded) degradedCounts.inc()
    return conclude(kept, key, points, await kept.memory.consume(key, points), degraded)
  }

  const count = (kept: Kept, key: string, points: number): Promise<Verdict> => {
    if (!kept.remote || !remote.willing()) return countHere(kept, key, points)
    gather?.()
    return remote
      .within(kept.remote.consume(key, points))
      .then((found) => (found ? conclude(kept, key, points, found, false) : countHere(kept, key, points)))
  }

  return {
    consume: (rule, key, points = 1) => {
      const kept = keptFor(rule)
      const leftMs = kept.denied.leftMs(key)
      if (leftMs > 0)
        return {
          allowed: false,
          limit: rule.limit,
          remaining: 0,
          resetMs: leftMs,
          retryAfterMs: leftMs,
          degraded: false,
        }
      return count(kept, key, points)
    },
  }
}
