import { setTimeout as wait } from 'node:timers/promises'

import { CliError } from '../errors.ts'
import type { CollectorClient, Refusal } from './collector.ts'
import { fileState, type Identity, identify } from './identity.ts'
import { linesOfFile, type Piece, wholeLines } from './lines.ts'

const LOOK_EVERY_MS = 500
/** A last line without an end, in a file that changed just now, is most likely being written. */
const STILL_WRITTEN_MS = 10_000
const REFUSALS_SHOWN = 5

export interface Refused {
  /** Number of the line since the beginning of this run's part of the file, from 1. */
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

const emptySummary = (): Summary => ({ accepted: 0, rejected: 0, skippedBytes: 0, bytes: 0, leftBytes: 0, refused: [] })

/** Places of refused rows count only lines that are not blank. */
const lineNumbers = (piece: Buffer, errors: readonly Refusal[]): number[] => {
  if (errors.length === 0) return []
  const numbers: number[] = []
  const lines = piece.toString('latin1').split('\n')
  for (const [place, line] of lines.entries()) if (/\S/.test(line)) numbers.push(place + 1)
  return errors.map(({ index }) => numbers[index] ?? 0)
}

export const createImport = (client: CollectorClient, { onProgress, onRefused }: Progress, stopping: AbortSignal) => {
  const summary = emptySummary()
  let linesBefore = 0

  /** @returns where to go on reading, or undefined to take the next piece */
  const send = async (piece: Piece, identity: string | undefined): Promise<number | undefined> => {
    for (;;) {
      const sent = await client.send(piece, identity)
      if ('offset' in sent) {
        // Somebody else was faster, or the answer to this very piece got lost.
        if (sent.offset === piece.from) await wait(200)
        else return sent.offset
        continue
      }
      summary.accepted += sent.accepted
      summary.rejected += sent.rejected
      summary.bytes += piece.bytes.length
      const numbers = lineNumbers(piece.bytes, sent.errors)
      for (const [place, { message }] of sent.errors.entries()) {
        if (summary.refused.length >= REFUSALS_SHOWN) break
        const refused = { line: linesBefore + numbers[place]!, message }
        summary.refused.push(refused)
        onRefused(refused)
      }
      for (const byte of piece.bytes) if (byte === 0x0a) linesBefore++
      return undefined
    }
  }

  /** Reads a file up to its present end. */
  const readOn = async (path: string, identity: Identity, following: boolean): Promise<void> => {
    for (let again = true; again && !stopping.aborted;) {
      again = false
      const state = await fileState(path)
      for await (const { unfinished, ...piece } of linesOfFile(path, identity.offset)) {
        if (stopping.aborted) return
        if (unfinished && (following || (state && state.changedMsAgo < STILL_WRITTEN_MS))) {
          summary.leftBytes = piece.bytes.length
          return
        }
        const elsewhere = await send(piece, identity.name)
        identity.offset = elsewhere ?? piece.to
        onProgress(identity.offset, path.endsWith('.gz') ? undefined : state?.size)
        if (elsewhere !== undefined && elsewhere !== piece.to) {
          again = true
          break
        }
      }
    }
    summary.leftBytes = 0
  }

  const file = async (path: string): Promise<Summary> => {
    if (!(await fileState(path))) throw new CliError(`there is no file ${path}`, 2)
    const identity = await identify(path, await client.known())
    if (!identity) return summary
    summary.skippedBytes = identity.offset
    await readOn(path, identity, false)
    return summary
  }

  /** Reads on as the file grows, and from the beginning of the next one when it is rotated. */
  const follow = async (path: string): Promise<Summary> => {
    let identity: Identity | undefined
    let inode: number | undefined
    while (!stopping.aborted) {
      const state = await fileState(path)
      if (state && (state.inode !== inode || (identity && state.size < identity.offset))) {
        identity = await identify(path, await client.known())
        // An empty file is known by nothing yet: look again when it has its first line.
        inode = identity ? state.inode : undefined
        if (identity && inode !== undefined) summary.skippedBytes ||= identity.offset
      }
      if (state && identity && state.size > identity.offset) await readOn(path, identity, true)
      await wait(LOOK_EVERY_MS, undefined, { signal: stopping }).catch(() => {})
    }
    return summary
  }

  const stream = async (bytes: AsyncIterable<Buffer>): Promise<Summary> => {
    for await (const piece of wholeLines(bytes, 0)) {
      if (stopping.aborted) break
      await send(piece, undefined)
      onProgress(piece.to, undefined)
    }
    return summary
  }

  return { file, follow, stream }
}
