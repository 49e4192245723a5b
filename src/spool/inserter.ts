import { Readable } from 'node:stream'

import type { Logger } from 'pino'

import { type ClickHouse, ClickHouseError, param, sql, ident } from '../clickhouse/index.ts'
import type { Journal } from './journal.ts'
import type { SpoolMetrics } from './metrics.ts'
import type { RecordMeta } from './record.ts'
import { readSegment, type SealedSegment } from './segment.ts'
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
  readonly oldest: number | undefined
  /** Why nothing goes through at the moment, in words; undefined while it does. */
  readonly obstacle: string | undefined
  start: () => void
  /** Waits for what is under way at most `graceMs`, then cancels it. The rest stays on disk. */
  stop: (graceMs: number) => Promise<void>
}

/** ClickHouse quotes what it was given, which may be long. */
const LONGEST_REASON = 500

const describe = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).slice(0, LONGEST_REASON)

/**
 * Brings sealed segments into ClickHouse, oldest first, one at a time, under their own id as deduplication token.
 *
 * - ClickHouse away, frozen or overloaded: the same segment again, for ever, after 0.1 s, doubling up to 30 s.
 * - A segment refused: it steps aside. Once another goes through, the fault is in the segment and it is quarantined;
 *   while none does, the fault is likely in the table or the credentials and it is tried again.
 */
export const createInserter = ({
  clickhouse,
  table,
  journal,
  metrics,
  log,
  onStored,
  onRefused,
}: {
  clickhouse: ClickHouse
  table: Table
  journal: Journal
  metrics: SpoolMetrics
  log: Logger
  /** Its rows are in and its receipts are kept: the segment can go. */
  onStored: (segment: SealedSegment) => Promise<void>
  onRefused: (segment: SealedSegment, reason: string) => Promise<void>
}): Inserter => {
  const queue: SealedSegment[] = []
  const aside = new Map<SealedSegment, string>()
  const stopping = new AbortController()
  let wake = Promise.withResolvers<void>()
  let waitMs = FIRST_WAIT_MS
  let obstacle: string | undefined
  let finished: Promise<void> = Promise.resolve()
  let idle = Promise.withResolvers<void>()

  /** The question was refused, not the rows: that is no fault of the segment. */
  const notTheSegment = (error: unknown): never => {
    throw error instanceof ClickHouseError && error.kind === 'refused'
      ? new Error(error.message, { cause: error })
      : error
  }

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

  const bringIn = async (segment: SealedSegment): Promise<void> => {
    const records = await readSegment(segment)
    const metas = records.map((record) => record.meta)
    // The token alone is exact only while the window still remembers it; the count does not age.
    if (segment.rows > 0 && (!segment.recovered || !(await isStored(metas)))) {
      const started = performance.now()
      await clickhouse.insert({
        table: table.name,
        columns: table.columns,
        rows: Readable.from(
          records.map((record) => record.rows),
          { objectMode: false },
        ),
        deduplicationToken: segment.id,
        settings: segment.partitions.size > MAX_PARTITIONS ? { max_partitions_per_insert_block: 0 } : {},
        signal: stopping.signal,
      })
      metrics.insertSeconds.observe((performance.now() - started) / 1000)
      metrics.batchRows.observe(segment.rows)
    }
    await journal.persist(metas)
    await onStored(segment)
    metrics.storedRows.inc(segment.rows)
  }

  const succeeded = async (): Promise<void> => {
    if (obstacle !== undefined) log.info({ table: table.name, backlog: queue.length }, 'ClickHouse takes rows again')
    obstacle = undefined
    waitMs = FIRST_WAIT_MS
    for (const [segment, reason] of aside) {
      aside.delete(segment)
      await onRefused(segment, reason)
    }
  }

  const failed = (segment: SealedSegment, error: unknown): void => {
    const kind = error instanceof ClickHouseError ? error.kind : 'local'
    metrics.insertFailures.inc({ kind })
    const reason = describe(error)
    if (kind === 'refused') {
      queue.shift()
      aside.set(segment, reason)
    }
    const level = kind === 'credentials' || kind === 'refused' || kind === 'local' ? 'error' : 'warn'
    if (obstacle !== reason)
      log[level](
        { table: table.name, segment: segment.id, rows: segment.rows, kind, reason },
        'insert failed; the rows are safe in the spool',
      )
    obstacle = reason
  }

  const pause = async (): Promise<void> => {
    const timer = Promise.withResolvers<void>()
    const timeout = setTimeout(timer.resolve, waitMs * (0.75 + Math.random() / 2))
    stopping.signal.addEventListener('abort', () => timer.resolve(), { once: true })
    await timer.promise
    clearTimeout(timeout)
    waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)
  }

  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const segment = queue[0]
      if (!segment) {
        if (aside.size > 0) {
          await pause()
          queue.push(...aside.keys())
          aside.clear()
        } else {
          idle.resolve()
          await wake.promise
          wake = Promise.withResolvers()
        }
        continue
      }
      try {
        await bringIn(segment)
        queue.shift()
        await succeeded()
      } catch (error) {
        if (stopping.signal.aborted) return
        failed(segment, error)
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
      return queue.length + aside.size
    },
    get oldest() {
      return [...queue, ...aside.keys()].reduce<number | undefined>(
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
      if (queue.length > 0 && obstacle === undefined) await Promise.race([idle.promise, deadline.promise])
      clearTimeout(timer)
      stopping.abort()
      wake.resolve()
      await finished
    },
  }
}
