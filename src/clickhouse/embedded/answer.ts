import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Transform, Writable } from 'node:stream'
import { createBrotliCompress, createDeflate, createGzip, createZstdCompress } from 'node:zlib'

import { type EngineError, statusOf } from './error.ts'

const ENCODERS = {
  gzip: () => createGzip({ level: 3 }),
  zstd: () => createZstdCompress(),
  br: () => createBrotliCompress(),
  deflate: () => createDeflate({ level: 3 }),
}

export interface Answer {
  /** Writes a piece, after the headers if it is the first; waits while the client is slow. @throws when the client has gone */
  write: (bytes: Buffer) => Promise<void>
  /** Ends the answer; figures count only where nothing was written before. */
  end: (figures?: Record<string, number>, bytes?: Buffer) => void
  /** Before the first piece: status and text. After it: the exception block in the body, and then a cut connection. */
  fail: (error: EngineError) => void
}

const summary = (figures: Record<string, number>): string => {
  const all = { read_rows: 0, read_bytes: 0, written_rows: 0, written_bytes: 0, ...figures }
  return JSON.stringify(Object.fromEntries(Object.entries(all).map(([name, value]) => [name, String(value)])))
}

/** One answer as ClickHouse gives it: headers, compression, errors. */
export const createAnswer = (
  request: IncomingMessage,
  response: ServerResponse,
  options: { queryId: string; format: string; compress: boolean },
): Answer => {
  const accepted = (request.headers['accept-encoding'] ?? '').split(/[\s,;]+/)
  const encoding = options.compress
    ? (Object.keys(ENCODERS) as (keyof typeof ENCODERS)[]).find((name) => accepted.includes(name))
    : undefined
  const tag = randomBytes(8).toString('hex')
  let body: Writable | undefined
  let encoder: Transform | undefined

  const open = (status: number, headers: Record<string, string | number>): Writable => {
    response.writeHead(status, {
      'Content-Type': 'text/plain; charset=UTF-8',
      'X-ClickHouse-Query-Id': options.queryId,
      'X-ClickHouse-Format': options.format,
      'X-ClickHouse-Exception-Tag': tag,
      ...(encoding ? { 'Content-Encoding': encoding } : {}),
      ...headers,
    })
    if (!encoding) return response
    const packing = ENCODERS[encoding]()
    packing.pipe(response)
    // The reader hung up: the front sees it too and cancels the statement.
    response.once('close', () => packing.destroy())
    encoder = packing
    return packing
  }

  return {
    write: async (bytes) => {
      body ??= open(200, { 'X-ClickHouse-Summary': summary({}) })
      if (response.destroyed) throw new Error('the client has gone')
      if (body.write(bytes)) return
      const gone = new AbortController()
      const onClose = (): void => gone.abort()
      response.once('close', onClose)
      try {
        await once(body, 'drain', { signal: gone.signal })
      } finally {
        response.removeListener('close', onClose)
      }
    },
    end: (figures = {}, bytes) => {
      body ??= open(200, { 'X-ClickHouse-Summary': summary(figures) })
      body.end(bytes)
    },
    fail: (error) => {
      if (response.destroyed) return
      if (!body) {
        open(statusOf(error), { 'X-ClickHouse-Exception-Code': error.code }).end(error.body)
        return
      }
      const text = error.body
      const block = `\r\n__exception__\r\n${tag}\r\n${text}${Buffer.byteLength(text)} ${tag}\r\n__exception__\r\n`
      // The last chunk of the transfer is never sent: even a client that knows no exception blocks sees a broken answer.
      const cut = (): void => response.socket?.destroySoon()
      if (!encoder) {
        response.write(block, cut)
        return
      }
      encoder.unpipe(response)
      encoder.pipe(response, { end: false })
      encoder.once('end', cut)
      encoder.end(block)
    },
  }
}
