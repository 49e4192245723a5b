import type { Logger } from 'pino'

import type { Count } from './counter.ts'

/** How long a decision waits for Redis, in ms. A slow Redis is worse than a dead one. */
export const DEADLINE_MS = 50
/** After a failure everybody goes to memory at once, and one in this time tries Redis again. */
const RETRY_MS = 250
/** How often deadlines are looked at, ms: one timer for all instead of one a decision. */
const LOOK_MS = 5

/** Asks Redis within the deadline. */
export interface Remote {
  /** Whether to ask at all now. Where it has failed, true for one caller in each quarter of a second. */
  willing: () => boolean
  /** What Redis answers, or undefined where it failed or gave no answer in time. */
  within: (answer: Promise<Count>) => Promise<Count | undefined>
}

/** Somebody waits; they stand in the order in which their time is over. */
interface Waiting {
  /** On the clock of performance.now(). */
  until: number
  settle: ((count: Count | undefined) => void) | undefined
}

export const createRemote = ({ log, onFailure }: { log: Logger; onFailure: () => void }): Remote => {
  let failing = false
  let retryAt = 0
  let waiting: Waiting[] = []
  let timer: NodeJS.Timeout | undefined

  const fail = (reason: string): void => {
    onFailure()
    retryAt = performance.now() + RETRY_MS
    if (!failing) log.warn({ reason }, 'limits are counted by this process alone until Redis answers again')
    failing = true
  }
  const succeed = (): void => {
    if (!failing) return
    log.info('limits are counted in Redis again')
    failing = false
  }

  const look = (now: number): void => {
    timer = undefined
    let first = 0
    for (; first < waiting.length; first++) {
      const { until, settle } = waiting[first]!
      if (!settle) continue
      if (until > now) break
      waiting[first]!.settle = undefined
      fail(`no answer within ${DEADLINE_MS} ms`)
      settle(undefined)
    }
    waiting = first === waiting.length ? [] : waiting.slice(first)
    lookLater()
  }
  const lookLater = (): void => {
    if (timer || waiting.length === 0) return
    timer = setTimeout(() => {
      // That the time is over says at first only that this process was busy: what came meanwhile is read in the same turn
      // of the event loop, before `setImmediate`, and is in time.
      const now = performance.now()
      setImmediate(look, now)
    }, LOOK_MS)
  }

  return {
    willing: () => {
      if (!failing) return true
      const now = performance.now()
      if (now < retryAt) return false
      retryAt = now + RETRY_MS
      return true
    },
    within: (answer) =>
      new Promise((resolve) => {
        const own: Waiting = { until: performance.now() + DEADLINE_MS, settle: resolve }
        waiting.push(own)
        lookLater()
        answer.then(
          (count) => {
            if (!own.settle) return
            own.settle = undefined
            succeed()
            resolve(count)
          },
          (error: unknown) => {
            if (!own.settle) return
            own.settle = undefined
            fail(error instanceof Error ? error.message : String(error))
            resolve(undefined)
          },
        )
      }),
  }
}
