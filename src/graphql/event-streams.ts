import { problem } from '../http/index.ts'

/** Each holds a connection and a listener. Those who need more ask another process. */
const MOST = 200
/** Events that wait for a reader; one that is further behind is cut off and may ask again. */
const MOST_WAITING = 1_000

export const EVENT_STREAM = 'text/event-stream'

export interface EventStreams {
  /**
   * One more answer that stays open.
   * @returns aborted when the service stops. `leave` when the connection is closed.
   * @throws {Problem} 503 where there are too many
   */
  enter: () => { signal: AbortSignal; leave: () => void }
  /** All of them end: the service stops. */
  end: () => void
}

export const createEventStreams = (most = MOST): EventStreams => {
  const stopping = new AbortController()
  let open = 0
  return {
    enter: () => {
      if (open >= most)
        throw problem(503, {
          detail: `This process has ${most} event streams open, which is all it takes; try again later, or ask another one.`,
          headers: { 'retry-after': '30' },
        })
      open++
      return { signal: stopping.signal, leave: () => void open-- }
    },
    end: () => stopping.abort(),
  }
}

/**
 * What a listener hears, one by one, until `signal` is aborted.
 * @param listen hands a listener to the source. @returns stops it
 */
export async function* eventsOf<T>(
  listen: (listener: (event: T) => void) => () => void,
  signal: AbortSignal,
): AsyncGenerator<T> {
  const waiting: T[] = []
  let wake = Promise.withResolvers<void>()
  const onAbort = (): void => wake.resolve()
  signal.addEventListener('abort', onAbort, { once: true })
  const stop = listen((event) => {
    waiting.push(event)
    wake.resolve()
  })
  try {
    while (!signal.aborted && waiting.length < MOST_WAITING) {
      const event = waiting.shift()
      if (event !== undefined) yield event
      else {
        await wake.promise
        wake = Promise.withResolvers<void>()
        if (signal.aborted) return
      }
    }
  } finally {
    stop()
    signal.removeEventListener('abort', onAbort)
  }
}
