/**
 * Keys that are over their limit, until when: asking the store again would only hear the same, and whoever floods would
 * be the one who costs the most. Of one rule.
 */
export interface Denied {
  /** Milliseconds that the key stays denied; 0: not known to be. */
  leftMs: (key: string) => number
  add: (key: string, leftMs: number) => void
}

/** Some 150 bytes each. Past it the oldest goes, and the store is asked about it again. */
const MOST = 100_000

export const createDenied = (): Denied => {
  /** On the clock of performance.now(). */
  const until = new Map<string, number>()
  return {
    leftMs: (key) => {
      const end = until.get(key)
      if (end === undefined) return 0
      const left = end - performance.now()
      if (left > 0) return left
      until.delete(key)
      return 0
    },
    add: (key, leftMs) => {
      until.delete(key)
      until.set(key, performance.now() + leftMs)
      if (until.size > MOST) until.delete(until.keys().next().value!)
    },
  }
}
