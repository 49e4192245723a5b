import { type FileHandle, open } from 'node:fs/promises'
import { pipeline, Readable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { createGunzip } from 'node:zlib'

import { CliError } from '../errors.ts'

/** Bytes of whole lines, and where in the file (unpacked) they stand. */
export interface Piece {
  bytes: Buffer
  from: number
  to: number
}

/** What has no line end yet stands in a piece of its own, marked so. */
export type LinePiece = Piece & { unfinished: boolean }

const PIECE_BYTES = 2 ** 20
/** The collector takes at most 10 MiB at once. */
const LONGEST_LINE_BYTES = 8 * 2 ** 20
const NEWLINE = 0x0a
const CLOSED_GZIP = Buffer.from([0x1f, 0x8b])

/** Held open, it stays the same file when its name goes to another one. */
export interface LogFile {
  handle: FileHandle
  path: string
  /** Told by its first bytes: rotated files are often packed without saying so in their name. */
  packed: boolean
}

export const openLog = async (path: string): Promise<LogFile> => {
  const handle = await open(path, 'r')
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(2), 0, 2, 0)
  return { handle, path, packed: bytesRead === 2 && buffer.equals(CLOSED_GZIP) }
}

async function* rawBytes(handle: FileHandle, offset: number): AsyncGenerator<Buffer> {
  for (let at = offset; ;) {
    const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(PIECE_BYTES), 0, PIECE_BYTES, at)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
    at += bytesRead
  }
}

/** Bytes from an offset, unpacked, up to the present end. */
async function* bytesFrom({ handle, path, packed }: LogFile, offset: number): AsyncGenerator<Buffer> {
  if (!packed) return yield* rawBytes(handle, offset)
  const unpacked = pipeline(Readable.from(rawBytes(handle, 0)), createGunzip(), () => {})
  let skip = offset
  try {
    for await (const chunk of unpacked as AsyncIterable<Buffer>) {
      if (skip < chunk.length) yield chunk.subarray(skip)
      skip = Math.max(0, skip - chunk.length)
    }
  } catch (error) {
    throw new CliError(
      `${path} is no whole .gz (${(error as Error).message}); get it again, then import again: it goes on where it stopped`,
      1,
      error,
    )
  }
}

/** The same bytes, and `undefined` whenever none came for `ms`. */
export async function* withPauses(bytes: AsyncIterable<Buffer>, ms: number): AsyncGenerator<Buffer | undefined> {
  const source = bytes[Symbol.asyncIterator]()
  for (let next = source.next(); ;) {
    const over = new AbortController()
    const timer = wait(ms, undefined, { signal: over.signal }).catch(() => undefined)
    const got = await Promise.race([next, timer])
    over.abort()
    if (got?.done) return
    yield got?.value
    if (got) next = source.next()
  }
}

/** Whole lines in pieces of about 1 MiB, or what there is of them when a pause comes; what has no line end comes last. */
export async function* wholeLines(bytes: AsyncIterable<Buffer | undefined>, offset: number): AsyncGenerator<LinePiece> {
  let rest: Buffer[] = []
  let held = 0
  let from = offset
  const take = (all: Buffer, length: number, unfinished: boolean): LinePiece => {
    const piece = { bytes: all.subarray(0, length), from, to: from + length, unfinished }
    from += length
    rest = length < all.length ? [all.subarray(length)] : []
    held = all.length - length
    return piece
  }
  for await (const chunk of bytes) {
    if (chunk) rest.push(chunk)
    held += chunk?.length ?? 0
    if (chunk && (held < PIECE_BYTES || !chunk.includes(NEWLINE))) {
      if (held <= LONGEST_LINE_BYTES) continue
      throw new CliError(`no line end in the ${held} bytes from byte ${from} on; is this a log, one line a request?`)
    }
    const all = Buffer.concat(rest)
    const end = all.lastIndexOf(NEWLINE) + 1
    if (end > 0) yield take(all, end, false)
  }
  const all = Buffer.concat(rest)
  const end = all.lastIndexOf(NEWLINE) + 1
  if (end > 0) yield take(all, end, false)
  if (end < all.length) yield take(all.subarray(end), all.length - end, true)
}

export const linesOf = (log: LogFile, offset: number): AsyncGenerator<LinePiece> =>
  wholeLines(bytesFrom(log, offset), offset)

/** The first `length` bytes, unpacked, or fewer where there are no more. */
export const beginning = async (log: LogFile, length: number): Promise<Buffer> => {
  const chunks: Buffer[] = []
  let held = 0
  for await (const chunk of bytesFrom(log, 0)) {
    chunks.push(chunk)
    held += chunk.length
    if (held >= length) break
  }
  return Buffer.concat(chunks).subarray(0, length)
}

export const countLines = (bytes: Buffer): number => {
  let lines = 0
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) lines++
  return lines
}

/** Says how many lines stand before an offset. Each byte is looked at once, and none if nobody asks. */
export const createLineCounter = (log: LogFile): ((offset: number) => Promise<number>) => {
  let counted = 0
  let lines = 0
  return async (offset) => {
    if (offset < counted) counted = lines = 0
    if (offset === counted) return lines
    for await (const chunk of bytesFrom(log, counted)) {
      const part = chunk.subarray(0, offset - counted)
      lines += countLines(part)
      counted += part.length
      if (counted >= offset) break
    }
    return lines
  }
}
