import { type Readable, Transform } from 'node:stream'

import { parseAnswer } from './errors.ts'

const CARRIAGE_RETURN = 0x0d

/** `\r\n__exception__\r\nTAG\r\nCode: 395. …\nLENGTH TAG\r\n__exception__\r\n` → the error it tells of. */
const errorOf = (block: readonly Buffer[]): Error =>
  parseAnswer(
    Buffer.concat(block)
      .toString()
      .replace(/^\s*__exception__\s+\S+\s+/, '')
      .replace(/\n\d+ \S+\s+__exception__\s*$/, ''),
  )

/**
 * The rows of a response in a JSON line format. ClickHouse tells of an error half-way in the body itself, behind a carriage
 * return, which JSON text never holds: from there on it is an error and no row.
 */
export const rowStream = (source: Readable, toError: (error: unknown) => Promise<Error>): Readable => {
  const block: Buffer[] = []
  const rows = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      const at = block.length > 0 ? 0 : chunk.indexOf(CARRIAGE_RETURN)
      if (at === -1) return done(null, chunk)
      block.push(chunk.subarray(at))
      return done(null, chunk.subarray(0, at))
    },
    flush: () => {
      if (block.length > 0) void fail(errorOf(block))
      else rows.push(null)
    },
  })
  const fail = async (error: unknown): Promise<void> => {
    rows.destroy(await toError(error))
  }
  // The error waits in the stream for whoever reads it; without a listener it would end the process before that.
  rows.on('error', () => {})
  source.once('error', (error) => void fail(block.length > 0 ? errorOf(block) : error))
  rows.once('close', () => source.destroy())
  return source.pipe(rows)
}
