import { isAscii } from 'node:buffer'

/** A syntax error that spoils the whole body: there is no telling where its rows are. */
export class NotJsonError extends Error {
  override name = 'NotJsonError'
}

/**
 * How rows are read from a body. `rows` hands them out in pieces of some hundred, so that the event loop is not held up;
 * what cannot be read as a row is a Fault in its place.
 */
export interface Format {
  name: string
  /** @throws {NotJsonError} */
  rows: (body: Buffer) => Iterable<readonly unknown[]>
}

/** Bytes decoded at once: about 100 rows, which take 0.5 ms. */
export const PIECE_BYTES = 32_768

/** Most logs are plain ASCII, which needs no decoding: 0.1 µs a row instead of 0.5. */
export const decodeText = (body: Buffer, start: number, end: number): string =>
  body.toString(isAscii(body.subarray(start, end)) ? 'latin1' : 'utf8', start, end)

/** Whole lines of a text, some at a time, with what they begin at (bytes). Blank ones too: the number of a line counts. */
export function* linePieces(body: Buffer): Iterable<string[]> {
  let start = 0
  while (start < body.length) {
    let end = body.length
    if (end - start > PIECE_BYTES) {
      const newline = body.indexOf(0x0a, start + PIECE_BYTES)
      if (newline >= 0) end = newline + 1
    }
    const lines = decodeText(body, start, end).split('\n')
    if (lines.at(-1) === '') lines.pop()
    yield lines
    start = end
  }
}
