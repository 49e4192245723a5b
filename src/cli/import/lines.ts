import { createReadStream } from 'node:fs'
import { createGunzip } from 'node:zlib'

/** Bytes of whole lines, and where in the file (unpacked) they stand. */
export interface Piece {
  bytes: Buffer
  from: number
  to: number
}

const PIECE_BYTES = 2 ** 20
const NEWLINE = 0x0a

/** Bytes of a file, or of what is in it if it is a .gz, from an offset. */
const bytesFrom = async function* (path: string, offset: number): AsyncIterable<Buffer> {
  if (!path.endsWith('.gz')) {
    yield* createReadStream(path, { start: offset, highWaterMark: PIECE_BYTES }) as AsyncIterable<Buffer>
    return
  }
  let skip = offset
  for await (const chunk of createReadStream(path).pipe(createGunzip()) as AsyncIterable<Buffer>) {
    if (skip >= chunk.length) skip -= chunk.length
    else {
      yield chunk.subarray(skip)
      skip = 0
    }
  }
}

/** Whole lines in pieces of about 1 MiB, as the bytes come; what has no line end yet comes last, marked so. */
export async function* wholeLines(
  bytes: AsyncIterable<Buffer>,
  offset: number,
): AsyncIterable<Piece & { unfinished: boolean }> {
  let rest: Buffer[] = []
  let held = 0
  let from = offset
  const take = (all: Buffer, length: number, unfinished: boolean): Piece & { unfinished: boolean } => {
    const piece = { bytes: all.subarray(0, length), from, to: from + length, unfinished }
    from += length
    rest = length < all.length ? [all.subarray(length)] : []
    held = all.length - length
    return piece
  }
  for await (const chunk of bytes) {
    rest.push(chunk)
    held += chunk.length
    if (held < PIECE_BYTES || !chunk.includes(NEWLINE)) continue
    const all = Buffer.concat(rest)
    yield take(all, all.lastIndexOf(NEWLINE) + 1, false)
  }
  const all = Buffer.concat(rest)
  const end = all.lastIndexOf(NEWLINE) + 1
  if (end > 0) yield take(all, end, false)
  if (end < all.length) yield take(all.subarray(end), all.length - end, true)
}

export const linesOfFile = (path: string, offset: number): AsyncIterable<Piece & { unfinished: boolean }> =>
  wholeLines(bytesFrom(path, offset), offset)

/** The first `length` bytes (unpacked), or fewer where there are no more. */
export const beginning = async (path: string, length: number): Promise<Buffer> => {
  const chunks: Buffer[] = []
  let held = 0
  for await (const chunk of bytesFrom(path, 0)) {
    chunks.push(chunk)
    held += chunk.length
    if (held >= length) break
  }
  return Buffer.concat(chunks).subarray(0, length)
}
