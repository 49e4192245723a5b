import { randomUUID } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import type { Logger } from 'pino'
import type { Registry } from 'prom-client'

import type { ClickHouse } from '../clickhouse/index.ts'
import type { Table } from './inserter.ts'
import { createJournal, type Journal } from './journal.ts'
import { type Append, createLane, type Lane } from './lane.ts'
import { lockFolder } from './lock.ts'
import { createSpoolMetrics } from './metrics.ts'
import { type Quarantined, quarantineOf } from './quarantine.ts'
import { createSpace } from './space.ts'

export type { Table } from './inserter.ts'
export { RECEIPT_HOURS } from './journal.ts'
export type { Append } from './lane.ts'
export type { Quarantined } from './quarantine.ts'
export type { Mark, Receipt, RecordMeta } from './record.ts'
export { SpoolFullError } from './space.ts'

export interface SpoolState {
  bytes: number
  maxBytes: number
  rows: number
  /** Sealed segments that wait for ClickHouse. */
  segments: number
  /** 0: none waits. */
  oldestAgeSeconds: number
  receipts: number
  receiptsEvicted: number
  /** Why nothing goes through at the moment; undefined while it does. */
  obstacle: string | undefined
}

/** Durable batches on disk on their way into ClickHouse. */
export interface Spool {
  /** Names the folder, in this life and the next. */
  readonly id: string
  /**
   * The rows are on disk when this resolves; `stored` resolves when they can be queried.
   * @throws {SpoolFullError} nothing was taken
   */
  append: (table: string, record: Append) => Promise<{ stored: Promise<void> }>
  /** What is remembered for whoever sends the same again: receipts for a day, marks for ever. */
  journal: Pick<Journal, 'receipt' | 'stored' | 'mark' | 'marks'>
  state: () => SpoolState
  quarantined: () => Promise<(Quarantined & { table: string })[]>
  /** Sends a quarantined segment on its way again. False: there is none of this id. */
  replay: (id: string) => Promise<boolean>
  start: () => void
  /** Seals, flushes for at most `graceMs`; what is left stays on disk for the next start. */
  stop: (graceMs: number) => Promise<void>
}

/** Made once for a folder. Nobody else writes here, so a reading that fails means that there is none yet. */
const folderId = async (folder: string): Promise<string> => {
  const path = join(folder, 'id')
  const known = await readFile(path, 'utf8').catch(() => '')
  if (known) return known
  const id = randomUUID()
  await writeFile(path, id, { mode: 0o600, flush: true })
  return id
}

/** Below a data folder; also while a service runs on it. */
export const listQuarantine = (dataDir: string): Promise<(Quarantined & { table: string })[]> =>
  quarantineOf(spoolFolder(dataDir))

export const spoolFolder = (dataDir: string): string => join(dataDir, 'spool')

const PRUNE_EVERY_MS = 600_000

export interface SpoolOptions {
  folder: string
  tables: readonly Table[]
  maxBytes: number
  clickhouse: ClickHouse
  registry: Registry
  log: Logger
  /** Age of its first record at which a segment that is not full is sealed. */
  sealAfterMs?: number
}

/**
 * Takes up what an earlier process left in `folder`, which belongs to this process alone until it is stopped.
 * @throws {Error} another process has it, with the way out
 */
export const createSpool = async (options: SpoolOptions): Promise<Spool> => {
  await mkdir(options.folder, { recursive: true, mode: 0o700 })
  const unlock = await lockFolder(options.folder)
  try {
    return await openSpool(options, unlock)
  } catch (error) {
    unlock()
    throw error
  }
}

const openSpool = async (
  { folder, tables, maxBytes, clickhouse, registry, log, sealAfterMs = 1000 }: SpoolOptions,
  unlock: () => void,
): Promise<Spool> => {
  const id = await folderId(folder)
  const space = createSpace(folder, maxBytes)
  const journal = await createJournal(join(folder, 'journal'))
  const lanes = new Map<string, Lane>()
  const laneOf = (table: string): Lane => {
    const lane = lanes.get(table)
    if (!lane) throw new Error(`the spool has no table ${JSON.stringify(table)}`)
    return lane
  }

  const state = (): SpoolState => {
    const all = [...lanes.values()]
    const oldest = Math.min(...all.map((lane) => lane.oldest ?? Number.POSITIVE_INFINITY))
    return {
      bytes: space.used,
      maxBytes,
      rows: all.reduce((sum, lane) => sum + lane.rows, 0),
      segments: all.reduce((sum, lane) => sum + lane.inserter.backlog, 0),
      oldestAgeSeconds: Number.isFinite(oldest) ? Math.max(0, Date.now() - oldest) / 1000 : 0,
      receipts: journal.receipts,
      receiptsEvicted: journal.evicted,
      obstacle: all.map((lane) => lane.inserter.obstacle).find((reason) => reason !== undefined),
    }
  }

  const metrics = createSpoolMetrics(registry, state)
  for (const table of tables) {
    lanes.set(
      table.name,
      await createLane({
        folder: join(folder, table.name),
        table,
        clickhouse,
        space,
        journal,
        metrics,
        sealAfterMs,
        log,
      }),
    )
  }
  let pruning: NodeJS.Timeout | undefined

  return {
    id,
    append: (table, record) => laneOf(table).append(record),
    journal,
    state,
    quarantined: () => quarantineOf(folder),
    replay: async (id) => {
      const entry = (await quarantineOf(folder)).find((found) => found.id === id)
      if (entry) await laneOf(entry.table).replay(id)
      return entry !== undefined
    },
    start: () => {
      for (const lane of lanes.values()) lane.start()
      pruning = setInterval(() => {
        journal.prune().catch((error: unknown) => log.warn({ err: error }, 'old idempotency keys could not be removed'))
      }, PRUNE_EVERY_MS).unref()
    },
    stop: async (graceMs) => {
      clearInterval(pruning)
      await Promise.all([...lanes.values()].map((lane) => lane.stop(graceMs)))
      unlock()
    },
  }
}
