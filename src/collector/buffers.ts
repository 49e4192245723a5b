/** The smallest size; each further one is twice the one before. */
const SMALLEST = 64 * 1024
/** Bytes kept for reuse. */
const MOST_KEPT = 64 * 2 ** 20

/** Bytes that grow at their end and go back to the pool when they are done with. */
export interface Growing {
  readonly length: number
  append: (bytes: Uint8Array) => void
  appendText: (text: string) => void
  /** Valid until `release`. */
  bytes: () => Buffer
  release: () => void
}

/**
 * Buffers used again and again. Fresh ones live outside the heap, where V8 counts them and answers with a full collection for
 * every 60 MB or so: at full speed one every 0.4 s, which held up the event loop for 8 to 50 ms each.
 */
export const createBuffers = (): (() => Growing) => {
  const kept = new Map<number, Buffer[]>()
  let keptBytes = 0

  const take = (bytes: number): Buffer => {
    const size = Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(bytes)))
    const buffer = kept.get(size)?.pop()
    if (!buffer) return Buffer.allocUnsafeSlow(size)
    keptBytes -= size
    return buffer
  }

  const give = (buffer: Buffer): void => {
    if (keptBytes + buffer.length > MOST_KEPT) return
    keptBytes += buffer.length
    const same = kept.get(buffer.length)
    if (same) same.push(buffer)
    else kept.set(buffer.length, [buffer])
  }

  return () => {
    let buffer = take(SMALLEST)
    let length = 0
    const room = (bytes: number): void => {
      if (length + bytes <= buffer.length) return
      const larger = take(length + bytes)
      buffer.copy(larger, 0, 0, length)
      give(buffer)
      buffer = larger
    }
    return {
      get length() {
        return length
      },
      append: (bytes) => {
        room(bytes.length)
        buffer.set(bytes, length)
        length += bytes.length
      },
      appendText: (text) => {
        room(Buffer.byteLength(text))
        length += buffer.write(text, length)
      },
      bytes: () => buffer.subarray(0, length),
      release: () => {
        give(buffer)
        buffer = Buffer.alloc(0)
        length = 0
      },
    }
  }
}
