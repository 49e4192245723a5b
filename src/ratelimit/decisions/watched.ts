/** How long what a client may do is counted for it by itself after it was last limited, in seconds. */
const WATCHED_SECONDS = 3600
/** About 100 bytes each. Past it the one that was limited longest ago goes. */
const MOST_WATCHED = 100_000

/** Clients that were over a limit within the last hour. */
export interface Watched {
  has: (counted: string) => boolean
  add: (counted: string, second: number) => void
  /** Lets go those whose hour is over. */
  prune: (second: number) => void
}

export const createWatched = (): Watched => {
  /** Until which second, the soonest first. */
  const until = new Map<string, number>()
  return {
    has: (counted) => until.has(counted),
    add: (counted, second) => {
      if (counted === '') return
      until.delete(counted)
      until.set(counted, second + WATCHED_SECONDS)
      if (until.size > MOST_WATCHED) until.delete(until.keys().next().value!)
    },
    prune: (second) => {
      for (const [counted, end] of until) {
        if (end > second) return
        until.delete(counted)
      }
    },
  }
}
