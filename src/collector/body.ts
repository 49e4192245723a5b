import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw, createZstdDecompress } from 'node:zlib'

import { problem } from '../http/index.ts'
import type { Growing } from './buffers.ts'

export const MAX_SENT_BYTES = 10 * 2 ** 20
export const MAX_UNPACKED_BYTES = 64 * 2 ** 20
/** Bodies in memory at once, unpacked. Past it: 503, since memory is what everyone shares. */
const MAX_IN_FLIGHT_BYTES = 192 * 2 ** 20

export const ENCODINGS = ['gzip', 'deflate', 'br', 'zstd'] as const

export interface Body {
  bytes: Buffer
  /** SHA-256 of the unpacked bytes; only where `fingerprint` was asked for. */
  fingerprint: string
  /** Give it back when the body is done with. */
  release: () => void
}

const tooLarge = (what: string, limit: number): Error =>
  problem(413, {
    detail: `The body is larger than ${limit / 2 ** 20} MiB ${what}; send it in several requests.`,
    headers: { connection: 'close' },
  })

/** `deflate` means zlib (RFC 9110), but some send it bare: the first byte tells. */
async function* inflateEither(source: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  const iterator = source[Symbol.asyncIterator]()
  const { value: first, done } = await iterator.next()
  if (done) return
  const bare = (first[0]! & 0x0f) !== 8
  const inflate = bare ? createInflateRaw() : createInflate()
  const rest = async function* (): AsyncIterable<Buffer> {
    yield first
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value
  }
  const feeding = pipeline(rest, inflate).catch((error: unknown) => inflate.destroy(error as Error))
  yield* inflate
  await feeding
}

export const createBodies = (growing: () => Growing) => {
  let inFlight = 0

  const reserve = (bytes: number): void => {
    if (inFlight + bytes > MAX_IN_FLIGHT_BYTES) {
      throw problem(503, {
        detail: `The collector works on ${inFlight} bytes of bodies at the moment; at most ${MAX_IN_FLIGHT_BYTES}. Nothing was taken.`,
        headers: { 'retry-after': '1' },
      })
    }
    inFlight += bytes
  }

  /**
   * Reads and unpacks a body. Both sizes are limited while it flows, so that a bomb of 10 MB never becomes more than 64.
   * @throws {Problem} 400, 413, 415, 503
   */
  const read = async (
    source: Readable,
    { encoding, length, fingerprint }: { encoding: string; length: number | undefined; fingerprint: boolean },
  ): Promise<Body> => {
    if (length !== undefined && length > MAX_SENT_BYTES) throw tooLarge('as sent', MAX_SENT_BYTES)
    const hash = fingerprint ? createHash('sha256') : undefined
    const body = growing()
    let sent = 0
    const release = (): void => {
      inFlight -= body.length
      body.release()
    }

    const countSent = async function* (packed: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
      for await (const chunk of packed) {
        sent += chunk.length
        if (sent > MAX_SENT_BYTES) throw tooLarge('as sent', MAX_SENT_BYTES)
        yield chunk
      }
    }
    const collect = async (plain: AsyncIterable<Buffer>): Promise<void> => {
      for await (const chunk of plain) {
        if (body.length + chunk.length > MAX_UNPACKED_BYTES) throw tooLarge('unpacked', MAX_UNPACKED_BYTES)
        reserve(chunk.length)
        hash?.update(chunk)
        body.append(chunk)
      }
    }

    // The request itself is left alone, or an early refusal would cut the connection before its answer.
    const bytes = source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>
    try {
      switch (encoding) {
        case 'identity':
          await pipeline(bytes, countSent, collect)
          break
        case 'gzip':
          await pipeline(bytes, countSent, createGunzip(), collect)
          break
        case 'deflate':
          await pipeline(bytes, countSent, inflateEither, collect)
          break
        case 'br':
          await pipeline(bytes, countSent, createBrotliDecompress(), collect)
          break
        case 'zstd':
          await pipeline(bytes, countSent, createZstdDecompress(), collect)
          break
        default:
          throw problem(415, {
            detail: `Content-Encoding is ${JSON.stringify(encoding)}; allowed is ${ENCODINGS.join(', ')}.`,
            headers: { 'accept-encoding': ENCODINGS.join(', ') },
          })
      }
      return { bytes: body.bytes(), fingerprint: hash?.digest('base64url') ?? '', release }
    } catch (error) {
      release()
      const { code } = error as NodeJS.ErrnoException
      if (code?.startsWith('Z_') || code?.startsWith('ERR_') || code?.startsWith('ZSTD_')) {
        throw problem(400, {
          detail: `The body is not ${encoding} as Content-Encoding says: ${(error as Error).message}.`,
          cause: error,
        })
      }
      throw error
    }
  }

  return { read, inFlight: () => inFlight }
}
