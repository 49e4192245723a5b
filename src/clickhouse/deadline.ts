import type { Readable } from 'node:stream'

/** The time one call has, together with its caller's wish to cancel it. */
export interface Deadline {
  readonly seconds: number
  readonly signal: AbortSignal
  /** The time is up. */
  readonly passed: boolean
  /** The caller cancelled. */
  readonly cancelled: boolean
  /** Ties a response to the deadline: @clickhouse/client lets go of its signal once the headers are in. */
  tie: (stream: Readable) => Readable
  clear: () => void
}

export const createDeadline = (seconds: number, caller?: AbortSignal): Deadline => {
  const controller = new AbortController()
  let passed = false
  const timer = setTimeout(() => {
    passed = true
    controller.abort()
  }, seconds * 1000).unref()
  const onAbort = (): void => controller.abort()
  if (caller?.aborted) onAbort()
  else caller?.addEventListener('abort', onAbort, { once: true })
  return {
    seconds,
    signal: controller.signal,
    get passed() {
      return passed
    },
    get cancelled() {
      return !passed && controller.signal.aborted
    },
    tie: (stream) => {
      const destroy = (): void => void stream.destroy(new Error('The call was given up'))
      if (controller.signal.aborted) destroy()
      else controller.signal.addEventListener('abort', destroy, { once: true })
      return stream
    },
    clear: () => {
      clearTimeout(timer)
      caller?.removeEventListener('abort', onAbort)
    },
  }
}
