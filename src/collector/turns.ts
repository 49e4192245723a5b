/** Longest stretch of decoding before others get the event loop. */
const SLICE_MS = 2

export interface Turns {
  /** Resolves at once while the slice lasts, else when it is this caller's turn again. */
  yield: () => Promise<void> | undefined
}

/**
 * Lets bodies be decoded in slices, one slice a round of the event loop however many bodies there are: with an immediate
 * for each, 64 slices would run in one round and hold up everyone for 64 times as long.
 */
export const createTurns = (): Turns => {
  const waiting: (() => void)[] = []
  let scheduled = false
  let sliceEnds = 0

  const next = (): void => {
    scheduled = false
    const resume = waiting.shift()
    if (waiting.length > 0) schedule()
    sliceEnds = performance.now() + SLICE_MS
    resume?.()
  }
  const schedule = (): void => {
    if (scheduled) return
    scheduled = true
    setImmediate(next)
  }

  return {
    yield: () => {
      if (performance.now() < sliceEnds) return undefined
      return new Promise((resolve) => {
        waiting.push(resolve)
        schedule()
      })
    },
  }
}
