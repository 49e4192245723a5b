import type { Logger } from 'pino'

export interface Loop {
  /** Soon, instead of when it is time; once more, where it is at work. */
  wake: () => void
  /** Once it has ended. */
  done: Promise<void>
}

/** Does something at once, every `ms` and whenever woken, one at a time, until the signal; what fails is tried again. */
export const createLoop = (
  round: () => Promise<void>,
  { ms, signal, log }: { ms: number; signal: AbortSignal; log: Logger },
): Loop => {
  let waker = Promise.withResolvers<void>()
  signal.addEventListener('abort', () => waker.resolve(), { once: true })

  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      // What comes while it is at work is seen by the next round.
      waker = Promise.withResolvers<void>()
      await round().catch((error: unknown) => {
        if (!signal.aborted) log.warn({ err: error }, 'incidents cannot be told of yet; trying again')
      })
      if (signal.aborted) return
      const timer = setTimeout(waker.resolve, ms)
      await waker.promise
      clearTimeout(timer)
    }
  }
  return { wake: () => waker.resolve(), done: run() }
}
