/** The numbers of a limit, as a policy has them. */
export interface LimitNumbers {
  /** Requests per window. */
  limit: number
  windowMs: number
  /** FIXED_WINDOW begins with a client's first request; SLIDING_WINDOW ends with each request. */
  algorithm: 'FIXED_WINDOW' | 'SLIDING_WINDOW'
  /** How long a client that went over the limit stays denied; 0: until the window lets it pass again. */
  blockMs: number
}

/** What a limit would have done to one client. */
export interface Simulation {
  /** A request, ms since any beginning, not before the last one. */
  request: (at: number) => void
  readonly requests: number
  readonly limited: number
  /** Most requests within any one window's length. */
  readonly peak: number
}

/** Instants of the last window, oldest first. */
const newQueue = () => {
  let items: number[] = []
  let head = 0
  return {
    get length() {
      return items.length - head
    },
    push: (at: number) => items.push(at),
    /** Lets go what was at `end` or before. */
    dropThrough: (end: number): void => {
      while (head < items.length && items[head]! <= end) head++
      // Half of it is gone: close the gap, so that it stays as large as a window.
      if (head > 1_000 && head > items.length / 2) {
        items = items.slice(head)
        head = 0
      }
    },
  }
}

/**
 * A window that begins with the first request after the last one's end. Going over the limit begins a block instead; after
 * it comes a new window.
 */
const fixedWindow = ({ limit, windowMs, blockMs }: LimitNumbers): ((at: number) => boolean) => {
  let end = Number.NEGATIVE_INFINITY
  let used = 0
  return (at) => {
    if (at >= end) {
      end = at + windowMs
      used = 0
    }
    used++
    if (used === limit + 1 && blockMs > 0) end = at + blockMs
    return used > limit
  }
}

/** The log of what passed, request by request: none passes while `limit` did within the window before it. */
const slidingWindow = ({ limit, windowMs, blockMs }: LimitNumbers): ((at: number) => boolean) => {
  const passed = newQueue()
  let blockedUntil = Number.NEGATIVE_INFINITY
  return (at) => {
    if (at < blockedUntil) return true
    passed.dropThrough(at - windowMs)
    if (passed.length < limit) {
      passed.push(at)
      return false
    }
    blockedUntil = at + blockMs
    return true
  }
}

/** A limit on one client's requests, exactly as the limiter counts them, but SLIDING_WINDOW without its tolerance of 1/8. */
export const createSimulation = (numbers: LimitNumbers): Simulation => {
  const isOver = numbers.algorithm === 'FIXED_WINDOW' ? fixedWindow(numbers) : slidingWindow(numbers)
  const recent = newQueue()
  let requests = 0
  let limited = 0
  let peak = 0
  return {
    request: (at) => {
      requests++
      if (isOver(at)) limited++
      recent.dropThrough(at - numbers.windowMs)
      recent.push(at)
      if (recent.length > peak) peak = recent.length
    },
    get requests() {
      return requests
    },
    get limited() {
      return limited
    },
    get peak() {
      return peak
    },
  }
}
