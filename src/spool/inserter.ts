import { Readable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'

import type { Logger } from 'pino'

import { type ClickHouse, ClickHouseError, ident, param, sql } from '../clickhouse/index.ts'
import type { Journal } from './journal.ts'
import type { SpoolMetrics } from './metrics.ts'
import type { RecordMeta } from './record.ts'
import { createSegmentReader, type SealedSegment } from './segment.ts'
import { MAX_PARTITIONS } from './writer.ts'

const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 30_000

/** A table that the spool fills. Its rows carry the UInt64 `batch` of their record. */
export interface Table {
  name: string
  columns: readonly string[]
}

export interface Inserter {
  add: (segment: SealedSegment) => void
  /** Segments not yet inserted, refused ones included. */
  readonly backlog: number
  /** Segments whose turn will come, without the refused ones that stand aside. */
  readonly queued: number
  readonly oldest: number | undefined
  /** Why nothing goes through at the moment, in words; undefined while it does. */
  readonly obstacle: string | undefined
  start: () => void
  /** Waits for what is under way at most `graceMs`, then cancels it. The rest stays on disk. */
  stop: (graceMs: number) => Promise<void>
}

/** ClickHouse quotes what it was given, which may be long. */
const LONGEST_REASON = 500

const isRefusal = (error: unknown): error is ClickHouseError =>
  error instanceof ClickHouseError && error.kind === 'refused'

const describe = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).slice(0, LONGEST_REASON)

/** The question was refused, not the rows: that is no fault of the segment. */
const notTheSegment = (error: unknown): never => {
  throw isRefusal(error) ? new Error(error.message, { cause: error }) : error
}

/**
 * Brings sealed segments into ClickHouse, oldest first, one at a time, under their own id as deduplication token.
 *
 * - ClickHouse away, frozen or overloaded: the same segment again, for ever, after 0.1 s, doubling up to 30 s.
 * - A segment refused: it steps aside. When another goes through it is tried once more, since the table may have been
 *   mended meanwhile; refused again, the fault is its own and it is quarantined. While none goes through, the fault is
 *   likely in the table, and all are tried again.
 */
export const createInserter = ({
  clickhouse,
  table,
  journal,
  metrics,
  log,
  onStored,
  onDamaged,
  onRefused,
}: {
  clickhouse: ClickHouse
  table: Table
  journal: Journal
  metrics: SpoolMetrics
  log: Logger
  /** Its rows are in and its receipts are kept: the segment can go. */
  onStored: (segment: SealedSegment) => Promise<void>
  /** Bytes of it are no records: they go with the segment unless they are kept now. */
  onDamaged: (segment: SealedSegment, damaged: readonly Buffer[]) => Promise<void>
  /** Its receipts are kept: it can be put away. */
  onRefused: (segment: SealedSegment, reason: string) => Promise<void>
}): Inserter => {
  const queue: SealedSegment[] = []
  const aside: SealedSegment[] = []
  /** What was refused, and how many inserts had gone through when it was for the first time. */
  const suspects = new Map<SealedSegment, number>()
  let inserts = 0
  const stopping = new AbortController()
  let wake = Promise.withResolvers<void>()
  let waitMs = FIRST_WAIT_MS
  let obstacle: string | undefined
  let finished: Promise<void> | undefined
  let idle = Promise.withResolvers<void>()

  /** Whether an earlier life of the process brought the segment in and died before it could delete it. */
  const isStored = async (metas: readonly RecordMeta[]): Promise<boolean> => {
    const { rows } = await clickhouse
      .query<{ rows: number }>(
        sql`SELECT count() AS rows FROM ${ident(table.name)} WHERE batch IN ${param(
          'Array(UInt64)',
          metas.map((meta) => BigInt(meta.batch)),
        )}`,
        { signal: stopping.signal, comment: 'spool recovery' },
      )
      .catch(notTheSegment)
    return Number(rows[0]?.rows) === metas.reduce((sum, meta) => sum + meta.rows, 0)
  }

  const insert = async (segment: SealedSegment, rows: readonly Buffer[]): Promise<void> => {
    const started = performance.now()
    try {
      await clickhouse.insert({
        table: table.name,
        columns: table.columns,
        rows: Readable.from(rows, { objectMode: false }),
        deduplicationToken: segment.id,
        settings: segment.partitions.size > MAX_PARTITIONS ? { max_partitions_per_insert_block: 0 } : {},
        signal: stopping.signal,
      })
    } catch (error) {
      if (!isRefusal(error)) segment.mayBeStored = true
      throw error
    }
    metrics.insertSeconds.observe((performance.now() - started) / 1000)
    metrics.batchRows.observe(segment.rows)
  }

  const readSegment = createSegmentReader()

  const bringIn = async (segment: SealedSegment): Promise<'inserted' | 'was there' | 'no rows'> => {
    const { records, damaged } = await readSegment(segment)
    const metas = records.map((record) => record.meta)
    // The token alone is exact only while the window still remembers it; the count does not age.
    const empty = metas.every((meta) => meta.rows === 0)
    const wasThere = !empty && segment.mayBeStored && (await isStored(metas))
    if (!empty && !wasThere)
      await insert(
        segment,
        records.map((record) => record.rows),
      )
    segment.mayBeStored = true
    await journal.persist(metas)
    if (damaged.length > 0) await onDamaged(segment, damaged)
    await onStored(segment)
    metrics.storedRows.inc(segment.rows)
    if (empty) return 'no rows'
    return wasThere ? 'was there' : 'inserted'
  }

  const answered = (): void => {
    if (obstacle !== undefined) log.info({ table: table.name, backlog: queue.length }, 'ClickHouse takes rows again')
    obstacle = undefined
    waitMs = FIRST_WAIT_MS
  }

  const quarantine = async (segment: SealedSegment, reason: string): Promise<void> => {
    try {
      // Whoever sends the same again must find it known also after a restart, or a replay would double it.
      await journal.persist((await readSegment(segment)).records.map((record) => record.meta))
      await onRefused(segment, reason)
      suspects.delete(segment)
    } catch (error) {
      log.error(
        { table: table.name, segment: segment.id, reason: describe(error) },
        'a refused segment stays where it is',
      )
      aside.push(segment)
    }
  }

  const failed = async (segment: SealedSegment, error: unknown): Promise<void> => {
    const kind = error instanceof ClickHouseError ? error.kind : 'local'
    metrics.insertFailures.inc({ kind })
    const reason = describe(error)
    if (kind === 'refused') {
      queue.shift()
      const before = suspects.get(segment)
      if (before !== undefined && inserts > before) return await quarantine(segment, reason)
      if (before === undefined) suspects.set(segment, inserts)
      aside.push(segment)
    }
    const level = kind === 'credentials' || kind === 'refused' || kind === 'local' ? 'error' : 'warn'
    if (obstacle !== reason)
      log[level](
        { table: table.name, segment: segment.id, rows: segment.rows, kind, reason },
        'insert failed; the rows are safe in the spool',
      )
    obstacle = reason
  }

  /** Backs off; `early` ends it, and so does the end of the spool. */
  const pause = async (early?: Promise<void>): Promise<void> => {
    const over = new AbortController()
    const signal = AbortSignal.any([stopping.signal, over.signal])
    const timer = wait(waitMs * (0.75 + Math.random() / 2), 'over', { signal }).catch(() => {})
    const ended = await Promise.race([timer, ...(early ? [early] : [])])
    if (ended === 'over') waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)
    over.abort()
  }

  /** Until a segment comes, or those that stand aside have their next turn. */
  const wakened = async (): Promise<void> => {
    wake = Promise.withResolvers()
    idle.resolve()
    await (aside.length > 0 ? pause(wake.promise) : wake.promise)
    if (queue.length === 0) queue.push(...aside.splice(0))
  }

  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const segment = queue[0]
      if (!segment) {
        await wakened()
        continue
      }
      try {
        const outcome = await bringIn(segment)
        queue.shift()
        suspects.delete(segment)
        if (outcome !== 'no rows') answered()
        // Only an insert proves that the table takes rows.
        if (outcome === 'inserted') {
          inserts++
          queue.push(...aside.splice(0))
        }
      } catch (error) {
        if (stopping.signal.aborted) return
        await failed(segment, error)
        if (queue[0] === segment) await pause()
      }
    }
  }

  return {
    add: (segment) => {
      queue.push(segment)
      if (queue.length === 1) idle = Promise.withResolvers()
      wake.resolve()
    },
    get backlog() {
      return queue.length + aside.length
    },
    get queued() {
      return queue.length
    },
    get oldest() {
      return [...queue, ...aside].reduce<number | undefined>(
        (oldest, { openedAt }) => Math.min(openedAt, oldest ?? openedAt),
        undefined,
      )
    },
    get obstacle() {
      return obstacle
    },
    start: () => {
      finished = loop()
    },
    stop: async (graceMs) => {
      const deadline = Promise.withResolvers<void>()
      const timer = setTimeout(deadline.resolve, graceMs)
      if (finished && queue.length > 0 && obstacle === undefined) await Promise.race([idle.promise, deadline.promise])
      clearTimeout(timer)
      stopping.abort()
      wake.resolve()
      await finished
    },
  }
}
