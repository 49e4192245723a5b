import { randomBytes } from 'node:crypto'
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'

import { Registry } from 'prom-client'
import { onTestFinished } from 'vitest'

import { type ClickHouse, ident, raw, sql } from '../../src/clickhouse/index.ts'
import { type Append, createSpool, type RecordMeta, type Spool } from '../../src/spool/index.ts'
import { temporaryFolder } from '../support/app.ts'
import { silent } from '../support/clickhouse.ts'

export const COLUMNS = ['batch', 'row', 'day', 'amount']

export const uniqueTable = (): string => `events_${randomBytes(4).toString('hex')}`

export const createTable = async (clickhouse: ClickHouse, name = uniqueTable()): Promise<string> => {
  await clickhouse.command(
    raw(
      `CREATE TABLE ${name} (batch UInt64, row UInt32, day Date, amount UInt8) ENGINE = MergeTree PARTITION BY day ORDER BY row SETTINGS non_replicated_deduplication_window = 1000`,
    ),
  )
  return name
}

let lastBatch = 0

/** What one append brings. `amount` goes into a UInt8: a word there is refused by ClickHouse. */
export const rowsOf = (
  count: number,
  { amount = 1, days = [20_000], ...meta }: Partial<RecordMeta> & { amount?: unknown; days?: readonly number[] } = {},
): Append => {
  const batch = String(++lastBatch)
  const lines = Array.from({ length: count }, (_, row) =>
    JSON.stringify([lastBatch, row, days[row % days.length], amount]),
  )
  return {
    meta: { batch, rows: count, partitions: [...days], ...meta },
    rows: count === 0 ? [] : [Buffer.from(`${lines.join('\n')}\n`)],
  }
}

export interface TestSpool {
  spool: Spool
  registry: Registry
  folder: string
  /** Of one series of a metric; the labels' names and values as `kind="refused"`. */
  metric: (name: string, labels?: string) => Promise<number>
}

/** A temporary folder that goes with the test. */
export const testFolder = async (): Promise<string> => {
  const folder = await temporaryFolder()
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A spool of this test, stopped with it. Nothing is inserted before its `start`. */
export const openSpool = async ({
  clickhouse,
  table,
  folder,
  maxBytes = 2 ** 30,
  sealAfterMs = 20,
}: {
  clickhouse: ClickHouse
  table: string
  folder?: string
  maxBytes?: number
  sealAfterMs?: number
}): Promise<TestSpool> => {
  const place = folder ?? (await testFolder())
  const registry = new Registry()
  const spool = await createSpool({
    folder: place,
    tables: [{ name: table, columns: COLUMNS }],
    maxBytes,
    clickhouse,
    registry,
    log: silent,
    sealAfterMs,
  })
  onTestFinished(() => spool.stop(0))
  return {
    spool,
    registry,
    folder: place,
    metric: async (name, labels) => {
      const line = (await registry.getSingleMetricAsString(name))
        .split('\n')
        .find((text) => text.startsWith(labels === undefined ? `${name} ` : `${name}{${labels}} `))
      return Number(line?.split(' ').at(-1) ?? 0)
    },
  }
}

/** How many rows the table has, and how many different ones. */
export const stored = async (clickhouse: ClickHouse, table: string): Promise<{ rows: number; different: number }> => {
  const { rows } = await clickhouse.query<{ rows: number; different: number }>(
    sql`SELECT count() AS rows, uniqExact(batch, row) AS different FROM ${ident(table)}`,
  )
  return rows[0]!
}

export const once = (rows: number): { rows: number; different: number } => ({ rows, different: rows })

/** Files below a folder that end so, with their content. */
export const filesOf = async (folder: string, suffix: string): Promise<{ name: string; content: Buffer }[]> => {
  const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith(suffix)).toSorted()
  return await Promise.all(names.map(async (name) => ({ name, content: await readFile(join(folder, name)) })))
}

export const bytesOf = async (folder: string, suffix: string): Promise<number> => {
  const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith(suffix))
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}
