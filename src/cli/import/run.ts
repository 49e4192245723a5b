import { setTimeout as wait } from 'node:timers/promises'

import type { CollectorClient, Refusal } from './collector.ts'
import { type Identity, identify } from './identity.ts'
import {
  countLines,
  createLineCounter,
  linesOf,
  type LogFile,
  openLog,
  type Piece,
  wholeLines,
  withPauses,
} from './lines.ts'

/** A last line without an end, in a file that changed just now, is most likely being written. */
const STILL_WRITTEN_MS = 10_000
/** A stream that pauses brings what it has. */
const STREAM_PAUSE_MS = 1000
/** Another run sends the same piece, or an earlier one of ours is still being taken. */
const ASK_AGAIN_MS = 200
const REFUSALS_SHOWN = 5

export interface Refused {
  /** Number of the line in the file or stream, from 1. */
  line: number
  message: string
}

export interface Summary {
  accepted: number
  rejected: number
  /** Bytes that were in before. */
  skippedBytes: number
  bytes: number
  /** Of an unfinished last line, left for the next run. */
  leftBytes: number
  refused: Refused[]
}

export interface Progress {
  /** `size` is what the file has now; undefined for a stream and a .gz. */
  onProgress: (bytes: number, size: number | undefined) => void
  onRefused: (refused: Refused) => void
}

/** A file that is being read. */
export interface Reading {
  log: LogFile
  /** Undefined: it has no whole line yet. */
  identity: Identity | undefined
  linesBefore: (offset: number) => Promise<number>
}

export const begin = async (path: string): Promise<Reading> => {
  const log = await openLog(path)
  return { log, identity: undefined, linesBefore: createLineCounter(log) }
}

/** Places of refused rows count only lines that are not blank. */
const lineNumbers = (piece: Buffer, errors: readonly Refusal[]): number[] => {
  const numbers: number[] = []
  for (const [place, line] of piece.toString().split('\n').entries()) if (/\S/.test(line)) numbers.push(place + 1)
  return errors.map(({ index }) => numbers[index] ?? 0)
}

export const createImport = (client: CollectorClient, { onProgress, onRefused }: Progress, stopping: AbortSignal) => {
  const summary: Summary = { accepted: 0, rejected: 0, skippedBytes: 0, bytes: 0, leftBytes: 0, refused: [] }

  const show = async (
    { bytes, from }: Piece,
    errors: readonly Refusal[],
    linesBefore: (offset: number) => Promise<number>,
  ): Promise<void> => {
    const shown = errors.slice(0, REFUSALS_SHOWN - summary.refused.length)
    if (shown.length === 0) return
    const before = await linesBefore(from)
    for (const [place, line] of lineNumbers(bytes, shown).entries()) {
      const refused = { line: before + line, message: shown[place]!.message }
      summary.refused.push(refused)
      onRefused(refused)
    }
  }

  /** @returns how far the file is in now, where that is not the end of this piece */
  const send = async (
    piece: Piece,
    identity: string | undefined,
    linesBefore: Reading['linesBefore'],
  ): Promise<number | undefined> => {
    for (;;) {
      const sent = await client.send(piece, identity)
      if (!('offset' in sent)) {
        summary.accepted += sent.accepted
        summary.rejected += sent.rejected
        summary.bytes += piece.bytes.length
        await show(piece, sent.errors, linesBefore)
        return undefined
      }
      // Somebody else was faster, or the answer to this very piece got lost.
      if (sent.offset !== piece.from) return sent.offset === piece.to ? undefined : sent.offset
      await wait(ASK_AGAIN_MS)
    }
  }

  /** Reads up to the present end. `growing`: what has no line end yet is left for later. */
  const readOn = async ({ log, identity, linesBefore }: Reading, growing: boolean): Promise<void> => {
    if (!identity) return
    for (let again = true; again && !stopping.aborted;) {
      again = false
      summary.leftBytes = 0
      const { size } = await log.handle.stat()
      for await (const { unfinished, ...piece } of linesOf(log, identity.offset)) {
        if (unfinished && growing) summary.leftBytes = piece.bytes.length
        if (stopping.aborted || (unfinished && growing)) return
        const elsewhere = await send(piece, identity.name, linesBefore)
        identity.offset = elsewhere ?? piece.to
        onProgress(identity.offset, log.packed ? undefined : size)
        again = elsewhere !== undefined
        if (again) break
      }
    }
  }

  /** Whether it is known, and how far it was read. */
  const recognise = async (reading: Reading, growing: boolean): Promise<void> => {
    reading.identity = await identify(reading.log, await client.known(), growing)
    summary.skippedBytes += reading.identity?.offset ?? 0
  }

  const file = async (path: string): Promise<Summary> => {
    const reading = await begin(path)
    try {
      const { size, mtimeMs } = await reading.log.handle.stat()
      const growing = Date.now() - mtimeMs < STILL_WRITTEN_MS
      await recognise(reading, growing)
      if (!reading.identity) summary.leftBytes = size
      await readOn(reading, growing)
      return summary
    } finally {
      await reading.log.handle.close()
    }
  }

  const stream = async (bytes: AsyncIterable<Buffer>): Promise<Summary> => {
    let lines = 0
    for await (const piece of wholeLines(withPauses(bytes, STREAM_PAUSE_MS), 0)) {
      await send(piece, undefined, async () => lines)
      lines += countLines(piece.bytes)
      onProgress(piece.to, undefined)
    }
    return summary
  }

  return { recognise, readOn, file, stream, summary }
}

export type Import = ReturnType<typeof createImport>
