import type { Counted, Principal } from '../http/index.ts'
import { parseAddress } from './address.ts'
import type { Limiter, Rule, Verdict } from './limiter/types.ts'

/** Refused API keys of one address in a minute. */
const FAILED_KEYS: Rule = {
  id: 'failed-keys',
  limit: 20,
  windowSeconds: 60,
  algorithm: 'FIXED_WINDOW',
  blockSeconds: 0,
}

/**
 * Of a key's limit taken at once for this process: one POST in so many asks the limiter, and what a process has taken and
 * not used by the end of the window is at most this part of the limit.
 */
const LEASE_PART = 1 / 1000

/** One limiter object for each number, as they are few. */
const createRules = (id: string, windowSeconds: number) => {
  const rules = new Map<number, Rule>()
  return (limit: number): Rule => {
    let rule = rules.get(limit)
    if (!rule) rules.set(limit, (rule = { id, limit, windowSeconds, algorithm: 'FIXED_WINDOW', blockSeconds: 0 }))
    return rule
  }
}

interface Lease {
  rule: Rule
  /** Undefined: never asked. */
  verdict: Verdict | undefined
  /** What may still pass without asking. */
  left: number
  /** On the clock of performance.now(): when the verdict no longer holds. */
  endsAt: number
  /** Those who wait for the next verdict, first come first served. */
  waiting: ((counted: Counted) => void)[]
}

/** What is known without asking; undefined: nothing. Takes a point of the lease where there is one. */
const takeFrom = (lease: Lease): Counted | undefined => {
  const { verdict, left } = lease
  const leftMs = lease.endsAt - performance.now()
  if (!verdict || leftMs <= 0) return undefined
  if (!verdict.allowed) return { ...verdict, resetMs: leftMs, retryAfterMs: leftMs }
  if (left === 0) return undefined
  lease.left--
  return verdict
}

/**
 * Counts points by taking many at once: what passes in a window is never more than the limit, over all processes, and
 * most of it is known from memory.
 */
const createLeases = (limiter: Limiter) => {
  const leases = new Map<string, Lease>()

  const renew = async (lease: Lease, key: string, points: number): Promise<void> => {
    const verdict = await limiter.consume(lease.rule, key, points)
    lease.verdict = verdict
    lease.left = verdict.allowed ? points : 0
    lease.endsAt = performance.now() + (verdict.allowed ? verdict.resetMs : verdict.retryAfterMs)
  }

  const serve = async (lease: Lease, key: string, points: number): Promise<void> => {
    while (lease.waiting.length > 0) {
      await renew(lease, key, points)
      let served = 0
      for (const answer of lease.waiting) {
        const counted = takeFrom(lease)
        if (!counted) break
        answer(counted)
        served++
      }
      lease.waiting.splice(0, served)
    }
  }

  return (rule: Rule, key: string): Counted | Promise<Counted> => {
    const points = Math.floor(rule.limit * LEASE_PART)
    if (points <= 1) return limiter.consume(rule, key)
    let lease = leases.get(key)
    if (!lease) leases.set(key, (lease = { rule, verdict: undefined, left: 0, endsAt: 0, waiting: [] }))
    const counted = lease.waiting.length === 0 ? takeFrom(lease) : undefined
    if (counted) return counted
    const { promise, resolve } = Promise.withResolvers<Counted>()
    if (lease.waiting.push(resolve) === 1) void serve(lease, key, points)
    return promise
  }
}

/** The limits that guard Vedette itself, to be handed to the rooms that are guarded. None of them stands before a decision. */
export interface Guards {
  /** 20 refused API keys a minute and address; IPv6 by /64. */
  countFailedKey: (ip: string) => Counted | Promise<Counted>
  /** `postsPerMinute` of an API key. */
  countPost: (principal: Principal) => Counted | Promise<Counted>
  /** `pointsPerHour` of an API key. */
  spendPoints: (principal: Principal, points: number) => Counted | Promise<Counted>
}

export const createGuards = (limiter: Limiter): Guards => {
  const postRule = createRules('posts', 60)
  const pointRule = createRules('points', 3600)
  const countPost = createLeases(limiter)
  return {
    countFailedKey: (ip) => limiter.consume(FAILED_KEYS, parseAddress(ip)?.counted ?? ip),
    countPost: ({ keyId, postsPerMinute }) => countPost(postRule(postsPerMinute), keyId),
    spendPoints: ({ keyId, pointsPerHour }, points) => limiter.consume(pointRule(pointsPerHour), keyId, points),
  }
}
