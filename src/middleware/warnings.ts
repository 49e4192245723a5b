import type { Drop, VedetteLogger } from './options.ts'

const QUIET_MS = 60_000
const TELL_AFTER_MS = 1000

export interface Counts {
  /** Rows that never reached Vedette, by any reason. */
  dropped: number
  /** Of the service's own hooks, and of this module. */
  faults: number
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** What the service's people should know, never more often than they can read, and never as an error in the service. */
export const createWarnings = ({
  logger,
  onDrop,
}: {
  logger?: VedetteLogger | undefined
  onDrop?: ((drop: Drop) => void) | undefined
}) => {
  const counts: Counts = { dropped: 0, faults: 0 }
  const lastSaid = new Map<string, number>()
  const untold = new Map<string, number>()
  let timer: NodeJS.Timeout | undefined

  const say = (message: string): void => {
    try {
      if (logger) logger.warn(`vedette: ${message}`)
      else process.emitWarning(message, { type: 'VedetteWarning' })
    } catch {
      // A logger that throws is no reason to fail a request, and there is nobody left to tell.
    }
  }

  /** @param topic the same topic comes once a minute at most */
  const warn = (topic: string, message: string): void => {
    const now = performance.now()
    const last = lastSaid.get(topic)
    if (last !== undefined && now - last < QUIET_MS) return
    lastSaid.set(topic, now)
    say(message)
  }

  /** A hook of the service threw, or this module has a fault: neither is the request's. */
  const fault = (where: string, error: unknown): void => {
    counts.faults++
    warn(where, `${where}: ${textOf(error)}`)
  }

  const tell = (): void => {
    clearTimeout(timer)
    timer = undefined
    for (const [reason, rows] of untold) {
      warn(reason, `${rows} request logs dropped: ${reason}`)
      try {
        onDrop?.({ rows, reason })
      } catch (error) {
        fault('onDrop threw', error)
      }
    }
    untold.clear()
  }

  const drop = (rows: number, reason: string): void => {
    counts.dropped += rows
    untold.set(reason, (untold.get(reason) ?? 0) + rows)
    timer ??= setTimeout(tell, TELL_AFTER_MS).unref()
  }

  return { counts, warn, fault, drop, tell }
}

export type Warnings = ReturnType<typeof createWarnings>
