import { mkdir, readdir, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'

import type { Logger } from 'pino'

import type { ClickHouse } from '../clickhouse/index.ts'
import { createInserter, type Inserter, type Table } from './inserter.ts'
import type { Journal } from './journal.ts'
import type { SpoolMetrics } from './metrics.ts'
import { createQuarantine, type Quarantine } from './quarantine.ts'
import type { RecordMeta } from './record.ts'
import { isSegment, recoverSegment, type SealedSegment } from './segment.ts'
import type { Space } from './space.ts'
import { createWriter, type Writer } from './writer.ts'

export interface Append {
  meta: RecordMeta
  /** Lines of JSONCompactEachRow in the order of the table's columns. */
  rows: readonly Buffer[]
  /** Whether somebody waits until they can be queried. */
  urgent?: boolean
}

/** The way of one table's rows: written, sealed, inserted, deleted. */
export interface Lane {
  append: (record: Append) => Promise<{ stored: Promise<void> }>
  readonly inserter: Pick<Inserter, 'backlog' | 'obstacle'>
  /** When the oldest row came that is not in ClickHouse, epoch in ms. */
  readonly oldest: number | undefined
  readonly quarantine: Pick<Quarantine, 'list'>
  /** Rows on disk, quarantine aside. */
  readonly rows: number
  /** Sends a quarantined segment on its way again. */
  replay: (id: string) => Promise<void>
  start: () => void
  stop: (graceMs: number) => Promise<void>
}

export const createLane = async ({
  folder,
  table,
  clickhouse,
  space,
  journal,
  metrics,
  sealAfterMs,
  log,
}: {
  folder: string
  table: Table
  clickhouse: ClickHouse
  space: Space
  journal: Journal
  metrics: SpoolMetrics
  sealAfterMs: number
  log: Logger
}): Promise<Lane> => {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const quarantine = await createQuarantine(join(folder, 'quarantine'))
  const waiting = new Map<string, PromiseWithResolvers<void>>()
  let rows = 0

  const storedOf = (id: string): Promise<void> => {
    let stored = waiting.get(id)
    if (!stored) waiting.set(id, (stored = Promise.withResolvers()))
    return stored.promise
  }

  const leave = (segment: SealedSegment): void => {
    rows -= segment.rows
    const stored = waiting.get(segment.id)
    waiting.delete(segment.id)
    stored?.resolve()
  }

  const inserter = createInserter({
    clickhouse,
    table,
    journal,
    metrics,
    log,
    onStored: async (segment) => {
      await rm(segment.path)
      space.add(-segment.bytes)
      leave(segment)
    },
    onDamaged: async (segment, damaged) => {
      const bytes = damaged.reduce((sum, part) => sum + part.length, 0)
      log.error(
        { table: table.name, segment: segment.id, bytes },
        'the disk gave back other bytes than were written; they are kept in quarantine, the whole records around them go in',
      )
      await quarantine.putDamaged(segment.id, damaged)
      metrics.damagedBytes.inc(bytes)
    },
    onRefused: async (segment, reason) => {
      log.error(
        { table: table.name, segment: segment.id, rows: segment.rows, reason },
        'segment quarantined: ClickHouse refuses it and takes others',
      )
      await quarantine.put(segment, reason)
      metrics.quarantinedRows.inc(segment.rows)
      rows -= segment.rows
    },
  })

  const recover = async (name: string): Promise<void> => {
    const { segment, metas, tail } = await recoverSegment(folder, name)
    if (tail.length > 0) {
      // Nobody was told that these bytes are safe; they are kept for whoever wants to know what they were.
      log.warn(
        { table: table.name, segment: segment.id, bytes: tail.length },
        'a torn record was cut off behind the last whole one',
      )
      await quarantine.putTail(segment.id, tail)
    }
    if (metas.length === 0) {
      await rm(segment.path)
      return
    }
    for (const meta of metas) journal.remember(meta, storedOf(segment.id))
    space.add(segment.bytes)
    rows += segment.rows
    inserter.add(segment)
  }

  for (const name of (await readdir(folder)).filter(isSegment).toSorted()) await recover(name)
  for (const { bytes } of await quarantine.list()) space.add(bytes)

  const writer: Writer = createWriter({
    folder,
    space,
    sealAfterMs,
    backlog: () => inserter.queued,
    onSealed: (segment) => inserter.add(segment),
  })

  return {
    inserter,
    quarantine,
    get oldest() {
      // Sealed segments are older than the open one.
      return inserter.oldest ?? writer.oldest
    },
    get rows() {
      return rows
    },
    append: async ({ meta, rows: bytes, urgent }) => {
      const end = metrics.commitSeconds.startTimer()
      const { id } = await writer.append(meta, bytes)
      end()
      rows += meta.rows
      const stored = storedOf(id)
      journal.remember(meta, stored)
      if (urgent) writer.hurry()
      return { stored }
    },
    replay: async (id) => {
      const entry = (await quarantine.list()).find((item) => item.id === id)
      if (!entry) throw new Error(`no segment ${JSON.stringify(id)} is in quarantine`)
      await quarantine.release(id, folder)
      space.add(-entry.bytes)
      await recover(basename(entry.path))
    },
    start: inserter.start,
    stop: async (graceMs) => {
      await writer.close()
      await inserter.stop(graceMs)
    },
  }
}
