import type { Asked, Decision } from './decision.ts'

const MOST_REMEMBERED = 10_000

interface Remembered {
  decision: Decision
  /** Of `performance.now()`. */
  until: number
  /** When it may pass again; the `Retry-After` counts down to it. */
  retryAt: number
}

const pathOf = (path: string): string => path.split('?', 1)[0]!

const targetKey = ({ ip, userId, apiKey, method, path }: Asked): string =>
  JSON.stringify([ip, userId, apiKey, method, pathOf(path)])

/** A refusal with the seconds until it may be tried again. */
export const withRetryAfter = (decision: Decision, seconds: number): Decision =>
  decision.outcome === 'allowed' || seconds <= 0
    ? decision
    : { ...decision, headers: [...decision.headers, ['Retry-After', String(Math.ceil(seconds))]] }

/**
 * Remembers refusals for a moment, so that who is refused does not cost a question each time. A block holds for an address
 * whatever it asks for; a limit only for what was asked, since another path may be under another policy.
 */
export const createRemembered = ({ cacheMs, cacheAllowedMs }: { cacheMs: number; cacheAllowedMs: number }) => {
  const known = new Map<string, Remembered>()

  const look = (key: string, now: number): Decision | undefined => {
    const found = known.get(key)
    if (!found) return undefined
    if (now < found.until) return withRetryAfter(found.decision, (found.retryAt - now) / 1000)
    known.delete(key)
    return undefined
  }

  return {
    recall: (asked: Asked): Decision | undefined => {
      if (known.size === 0) return undefined
      const now = performance.now()
      return look(asked.ip, now) ?? look(targetKey(asked), now)
    },
    /** @param seconds of `Retry-After`; 0: none was given */
    remember: (asked: Asked, decision: Decision, seconds: number): void => {
      const { outcome } = decision
      const longest = outcome === 'allowed' ? cacheAllowedMs : cacheMs
      const ms = seconds > 0 && outcome !== 'allowed' ? Math.min(longest, seconds * 1000) : longest
      if (ms === 0) return
      const now = performance.now()
      const key = outcome === 'blocked' ? asked.ip : targetKey(asked)
      // The oldest goes first: it is the nearest to its end anyway.
      if (known.size >= MOST_REMEMBERED) known.delete(known.keys().next().value!)
      known.delete(key)
      known.set(key, { decision, until: now + ms, retryAt: now + seconds * 1000 })
    },
  }
}
