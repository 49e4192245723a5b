/** Things by the time at which they end, soonest first: a binary heap. */
export interface Expiries<T> {
  readonly size: number
  /** Epoch ms; undefined: there is none. */
  next: () => number | undefined
  add: (at: number, item: T) => void
  /** Takes out the first one if its time has come. */
  due: (now: number) => T | undefined
  clear: () => void
}

export const createExpiries = <T>(): Expiries<T> => {
  const heap: { at: number; item: T }[] = []

  const swap = (a: number, b: number): void => {
    const item = heap[a]!
    heap[a] = heap[b]!
    heap[b] = item
  }
  const up = (from: number): void => {
    for (let at = from; at > 0;) {
      const parent = (at - 1) >>> 1
      if (heap[parent]!.at <= heap[at]!.at) return
      swap(parent, at)
      at = parent
    }
  }
  const down = (): void => {
    for (let at = 0; ;) {
      let least = at
      for (const child of [2 * at + 1, 2 * at + 2])
        if (child < heap.length && heap[child]!.at < heap[least]!.at) least = child
      if (least === at) return
      swap(least, at)
      at = least
    }
  }

  return {
    get size() {
      return heap.length
    },
    next: () => heap[0]?.at,
    add: (at, item) => {
      heap.push({ at, item })
      up(heap.length - 1)
    },
    due: (now) => {
      if (heap.length === 0 || heap[0]!.at > now) return undefined
      const { item } = heap[0]!
      const last = heap.pop()!
      if (heap.length > 0) {
        heap[0] = last
        down()
      }
      return item
    },
    clear: () => {
      heap.length = 0
    },
  }
}
