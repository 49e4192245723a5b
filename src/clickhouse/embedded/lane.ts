import { EngineError } from './error.ts'

/** How many statements of each way run at once. Inserts have their own places: a long roll-up or report must not hold up the collector. */
export const PLACES = { reads: 4, inserts: 2, commands: 2 } as const
/** Calls in flight each hold a libuv thread; five more for KILL, ping, compression and the file system. */
export const THREADS = PLACES.reads + PLACES.inserts + PLACES.commands + 5

/** Lets a limited number of calls run at once; the others wait in order. */
export interface Lane {
  readonly running: number
  /** Resolves with the function that gives the place back. @throws what `signal` was aborted with, or code 202 when the queue is full */
  enter: (signal: AbortSignal) => Promise<() => void>
}

export const createLane = (places: number, queueLimit: number): Lane => {
  let running = 0
  const queue = new Set<() => void>()

  const leave = (): void => {
    const [next] = queue
    if (!next) {
      running -= 1
      return
    }
    queue.delete(next)
    next()
  }
  const ticket = (): (() => void) => {
    let left = false
    return () => {
      if (left) return
      left = true
      leave()
    }
  }

  return {
    get running() {
      return running
    },
    enter: async (signal) => {
      signal.throwIfAborted()
      if (running < places) {
        running += 1
        return ticket()
      }
      if (queue.size >= queueLimit) {
        throw new EngineError(
          202,
          'TOO_MANY_SIMULTANEOUS_QUERIES',
          `Too many simultaneous queries: ${places} run and ${queueLimit} wait`,
        )
      }
      return new Promise((resolve, reject) => {
        const admit = (): void => {
          signal.removeEventListener('abort', abandon)
          resolve(ticket())
        }
        const abandon = (): void => {
          queue.delete(admit)
          reject(signal.reason as Error)
        }
        queue.add(admit)
        signal.addEventListener('abort', abandon, { once: true })
      })
    },
  }
}
