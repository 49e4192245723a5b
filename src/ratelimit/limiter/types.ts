import type { RateLimitAlgorithm } from '../policies/types.ts'

/** The numbers that a limiter holds a key to. */
export interface Rule {
  /** Begins the keys of its counts: letters, digits, `_`, `-`, `.`, `:`. Another rule with the same id shares them. */
  id: string
  limit: number
  windowSeconds: number
  algorithm: RateLimitAlgorithm
  /** How long a key that went over the limit stays denied; 0: until the window lets it pass again. */
  blockSeconds: number
}

export interface Verdict {
  allowed: boolean
  limit: number
  /** What is left now; 0 when denied. */
  remaining: number
  /** Milliseconds until the window begins anew (FIXED_WINDOW) or the next places become free (SLIDING_WINDOW). */
  resetMs: number
  /** Milliseconds until it may pass again; 0 when allowed. */
  retryAfterMs: number
  /** Redis is configured, but away or slow: counted by this process alone. */
  degraded: boolean
}

export interface Limiter {
  /**
   * Counts a request of `key` against the rule. Known from memory (no Redis, or a key that is over its limit already) at
   * once, else within the deadline of 50 ms. Never throws, never rejects: a store's error is not a verdict.
   * @param points what it costs. Default 1.
   */
  consume: (rule: Rule, key: string, points?: number) => Verdict | Promise<Verdict>
}
