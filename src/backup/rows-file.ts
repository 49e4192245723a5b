import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { type Readable, Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib'

const NEWLINE = 0x0a
/** Of one INSERT: few large parts are what merges like. */
const BATCH_BYTES = 16 * 2 ** 20
/** Level 3 takes 0.3 µs a row, less than the engine takes to write it. */
const LEVEL = 3

const countIn = (chunk: Buffer): number => {
  let lines = 0
  for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, at + 1)) lines++
  return lines
}

/** Passes on what it looks at. */
const looking = (look: (chunk: Buffer) => void): Transform =>
  new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      look(chunk)
      done(null, chunk)
    },
  })

/** Writes lines as they come to a new file (0600), which is on the disk when it resolves. */
export const writeRows = async (
  path: string,
  lines: Readable,
  signal: AbortSignal | undefined,
): Promise<{ rows: number; bytes: number; sha256: string }> => {
  const hash = createHash('sha256')
  let rows = 0
  let bytes = 0
  await pipeline(
    lines,
    looking((chunk) => {
      rows += countIn(chunk)
    }),
    createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: LEVEL } }),
    looking((chunk) => {
      bytes += chunk.length
      hash.update(chunk)
    }),
    createWriteStream(path, { flags: 'wx', mode: 0o600, flush: true }),
    { signal },
  )
  return { rows, bytes, sha256: hash.digest('hex') }
}

export const sha256Of = async (path: string, signal?: AbortSignal): Promise<string> => {
  const hash = createHash('sha256')
  await pipeline(
    createReadStream(path),
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        hash.update(chunk)
        done()
      },
    }),
    { signal },
  )
  return hash.digest('hex')
}

/** The lines of a file that `writeRows` wrote, some megabytes of whole ones at a time. */
export async function* readRows(path: string, signal?: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
  const source = createReadStream(path, { signal })
  const unpacked = createZstdDecompress()
  source.once('error', (error) => unpacked.destroy(error))
  source.pipe(unpacked)
  let held: Buffer[] = []
  let size = 0
  for await (const chunk of unpacked as AsyncIterable<Buffer>) {
    const end = chunk.lastIndexOf(NEWLINE) + 1
    size += chunk.length
    if (size < BATCH_BYTES || end === 0) {
      held.push(chunk)
      continue
    }
    yield Buffer.concat([...held, chunk.subarray(0, end)])
    held = [chunk.subarray(end)]
    size = chunk.length - end
  }
  if (size > 0) yield Buffer.concat(held)
}
