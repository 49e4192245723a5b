import type { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'

/** A thousand small objects are made or written in a millisecond or two. */
const SLICE = 1_000

/** The same in parts, with a turn of the event loop after each: a hundred thousand at once would stop it for a second. */
export async function* inSlices<T>(all: Iterable<T>): AsyncGenerator<T[]> {
  let slice: T[] = []
  for (const item of all) {
    if (slice.push(item) < SLICE) continue
    yield slice
    await setImmediate()
    slice = []
  }
  if (slice.length > 0) yield slice
}

/** The lines of a stream of text, as many at a time as came at once. */
export async function* lines(stream: Readable): AsyncGenerator<string[]> {
  let rest = ''
  for await (const chunk of stream.setEncoding('utf8') as AsyncIterable<string>) {
    const some = (rest + chunk).split('\n')
    rest = some.pop()!
    yield some
    await setImmediate()
  }
  if (rest !== '') yield [rest]
}
