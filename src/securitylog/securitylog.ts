import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'

import type { Logger } from 'pino'
import { Counter, type Registry } from 'prom-client'

import { createRotatedFile, namesOf } from './file.ts'
import { lineOf } from './line.ts'
import type { SecurityEvent, SecurityLog } from './types.ts'

export interface SecurityLogDependencies {
  dataDir: string
  log: Logger
  registry?: Registry
  /** A file that would grow past it is rotated. Default 100 MiB. */
  maxBytes?: number
  /** How many rotated files are kept. Default 5. */
  keep?: number
}

export const SECURITY_LOG = 'security.log'
const MAX_BYTES = 100 * 2 ** 20
export const KEEP = 5

/** The files of a data folder's security log, newest first; not all of them need be there. */
export const securityLogFiles = (dataDir: string): string[] => namesOf(join(dataDir, SECURITY_LOG), KEEP)

const FLUSH_MS = 250
/** After a failure, such as a full disk. */
const RETRY_MS = 1_000
/**
 * Held while the disk does not take them; past it new ones are counted and gone. Decisions alone can bring 20,000 at once,
 * one for each client of a second.
 */
const MOST_PENDING = 50_000
/** Lines made and written at once: 1 to 2 ms of the event loop, and a chunk is small beside `maxBytes`. */
const SLICE = 500

interface Pending {
  time: number
  event: SecurityEvent
}

const countLines = (bytes: Buffer): number => {
  let lines = 0
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) lines++
  return lines
}

/** `DATA_DIR/security.log`: takes events into memory and writes them within a quarter of a second. */
export const createSecurityLog = ({
  dataDir,
  log,
  registry,
  maxBytes = MAX_BYTES,
  keep = KEEP,
}: SecurityLogDependencies): SecurityLog => {
  const path = join(dataDir, SECURITY_LOG)
  const file = createRotatedFile({ path, maxBytes, keep })
  const registers = registry ? [registry] : []
  const written = new Counter({
    name: 'vedette_security_log_lines_total',
    help: 'Lines written to the security log, by event',
    labelNames: ['event'],
    registers,
  })
  const lost = new Counter({
    name: 'vedette_security_log_lost_total',
    help: 'Lines that the security log could not take, because its disk did not for long',
    registers,
  })
  const pending: Pending[] = []
  let timer: NodeJS.Timeout | undefined
  let flushing: Promise<void> | undefined
  let failing = false
  let stopped = false

  const lose = (lines: number): void => lost.inc(lines)

  const writeSlice = async (): Promise<void> => {
    const slice = pending.slice(0, SLICE)
    const lines = Buffer.from(slice.map(({ time, event }) => lineOf(time, event)).join(''))
    const bytes = await file.append(lines)
    // Of a line that was cut off the rest is missing: it is written again, whole.
    const whole = countLines(lines.subarray(0, bytes))
    for (const { event } of pending.splice(0, whole)) written.inc({ event: event.event })
    if (whole < slice.length) throw new Error(`only ${bytes} of ${lines.length} bytes could be written`)
  }

  const flush = async (): Promise<void> => {
    try {
      while (pending.length > 0) {
        await writeSlice()
        await turn()
      }
      if (failing) log.info({ path }, 'the security log is written again')
      failing = false
    } catch (error) {
      // Opened anew next time: the folder may have been mended.
      await file.close().catch(() => {})
      if (!failing) log.warn({ err: error, path }, 'the security log cannot be written; what is to be in it waits')
      failing = true
    }
  }

  const schedule = (ms: number): void => {
    timer ??= setTimeout(() => {
      timer = undefined
      flushing = flush().finally(() => {
        flushing = undefined
        if (pending.length > 0 && !stopped) schedule(failing ? RETRY_MS : FLUSH_MS)
      })
    }, ms).unref()
  }

  return {
    write: (event) => {
      if (stopped || pending.length >= MOST_PENDING) return lose(1)
      pending.push({ time: Date.now(), event })
      if (!flushing) schedule(FLUSH_MS)
    },
    stop: async () => {
      if (stopped) return
      stopped = true
      clearTimeout(timer)
      await flushing
      await flush()
      lose(pending.length)
      await file.close()
    },
  }
}
