import { sql } from '../clickhouse/index.ts'
import type { Asker, Run } from './run.ts'
import { rowsOf, widening } from './scope.ts'

/** How far the store has got. */
export interface Freshness {
  /** Timestamp of the newest request stored; null: none yet. */
  ingestedThrough: Date | null
  /** Nothing that arrived before is still on its way to the store. */
  completeThrough: Date
  /** Seconds that the oldest row not yet stored has waited; 0 when all are. */
  lagSeconds: number
  /** End of the newest hour whose roll-ups are made, and those of the hours before it; null: none within seven days. */
  rollupThrough: Date | null
}

/** The collector's side of it: when the oldest row arrived that is not yet stored; undefined when all are. */
export type OldestPending = () => Date | undefined | Promise<Date | undefined>

/** One second of grace: what was answered with 202 in this very moment is not yet in any list. */
const GRACE_MS = 1_000

export const pendingFreshness = async (oldestPending: OldestPending, now: number) => {
  const oldest = (await oldestPending())?.getTime()
  return {
    completeThrough: new Date(Math.min(oldest ?? now, now) - (oldest === undefined ? GRACE_MS : 0)),
    lagSeconds: oldest === undefined ? 0 : Math.max(0, now - oldest) / 1_000,
  }
}

/** From the parts' own records for one who sees all; else searched from now backwards. */
export const newestTimestamp = async (asker: Asker, run: Run, now: number): Promise<Date | null> => {
  if (!asker.services) {
    const [row] = await run<{ newest: string; rows: string }>(
      sql`SELECT toUnixTimestamp64Milli(max(timestamp)) AS newest, count() AS rows FROM request_logs`,
    )
    return Number(row!.rows) > 0 ? new Date(Number(row!.newest)) : null
  }
  // An hour ahead is the latest that the collector takes.
  for (const piece of widening({ from: 0, to: now + 3_600_000 }, 'newest')) {
    const [row] = await run<{ newest: string; rows: string }>(
      sql`SELECT toUnixTimestamp64Milli(max(timestamp)) AS newest, count() AS rows FROM request_logs WHERE ${rowsOf(piece, asker, sql`true`)}`,
    )
    if (Number(row!.rows) > 0) return new Date(Number(row!.newest))
  }
  return null
}
