/** What a limit says about one request. */
export interface Counted {
  allowed: boolean
  limit: number
  /** What is left now; 0 when not allowed. */
  remaining: number
  /** Milliseconds until the limit's window begins anew. */
  resetMs: number
  /** Milliseconds until it may pass again; 0 when allowed. */
  retryAfterMs: number
}

/** Whole seconds as headers give them, 1 at least. */
export const secondsOf = (ms: number): number => Math.max(1, Math.ceil(ms / 1000))

/** RateLimit and RateLimit-Policy as in the IETF's draft 11, and Retry-After where it is not allowed. */
export const rateLimitHeaders = (
  { name, windowSeconds }: { name: string; windowSeconds: number },
  { allowed, limit, remaining, resetMs, retryAfterMs }: Counted,
): Record<string, string> => ({
  ratelimit: `"${name}";r=${remaining};t=${secondsOf(resetMs)}`,
  'ratelimit-policy': `"${name}";q=${limit};w=${windowSeconds}`,
  ...(!allowed && { 'retry-after': String(secondsOf(retryAfterMs)) }),
})
