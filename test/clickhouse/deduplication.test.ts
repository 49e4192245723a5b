import { beforeEach, expect, test } from 'vitest'

import { type Sql, sql } from '../../src/clickhouse/index.ts'
import { testDatabase } from '../support/clickhouse.ts'

const store = testDatabase()
beforeEach(() => store.empty())

const COLUMNS = ['timestamp', 'ingested_at', 'batch', 'row', 'service', 'path', 'status_code', 'ip', 'action'] as const

// Retention counts from here, so it has to be of now.
const ARRIVED = new Date().toISOString().slice(0, 19).replace('T', ' ')

/** Rows of one batch, `days` of them on a day of its own each. */
const batchOf = (batch: number, rows: number, days = 1): Buffer =>
  Buffer.from(
    Array.from({ length: rows }, (_, row) => {
      const day = new Date(Date.UTC(2024, 0, 1 + (row % days))).toISOString().slice(0, 10)
      const values = [`${day} 10:00:00.000`, ARRIVED, batch, row, 'shop', '/', 200, '::ffff:192.0.2.1', 'allowed']
      return `${JSON.stringify(values)}\n`
    }).join(''),
  )

const insert = (rows: Buffer, deduplicationToken: string, settings = {}) =>
  store.clickhouse.insert({ table: 'request_logs', columns: COLUMNS, rows, deduplicationToken, settings })

const count = async (query: Sql = sql`SELECT count() AS count FROM request_logs`): Promise<number> => {
  const { rows } = await store.clickhouse.query<{ count: number }>(query)
  return rows[0]!.count
}

test('the same batch three times under one token is stored once', async () => {
  const rows = batchOf(1, 1000)
  for (let time = 0; time < 3; time += 1) await insert(rows, 'batch-1')
  expect(await count()).toBe(1000)
})

test('the same batch four times at once is stored once', async () => {
  const rows = batchOf(1, 1000)
  await Promise.all(Array.from({ length: 4 }, () => insert(rows, 'batch-1')))
  expect(await count()).toBe(1000)
})

test('a batch too large for one block, three times, is stored once', async () => {
  const rows = batchOf(1, 200_000)
  const settings = { min_insert_block_size_rows: 50_000, min_insert_block_size_bytes: 0 }
  for (let time = 0; time < 3; time += 1) await insert(rows, 'batch-1', settings)
  expect(await count()).toBe(200_000)
  expect(await count(sql`SELECT uniqExact(row) AS count FROM request_logs`)).toBe(200_000)
})

test('equal rows under two tokens are stored twice: real logs hold equal lines', async () => {
  const rows = batchOf(1, 10)
  await insert(rows, 'batch-1')
  await insert(rows, 'batch-2')
  expect(await count()).toBe(20)
})

test('a batch over 101 days in one insert, twice, is stored once in every partition', async () => {
  const rows = batchOf(1, 3000, 101)
  await expect(insert(rows, 'batch-1')).rejects.toMatchObject({ kind: 'refused', type: 'TOO_MANY_PARTS' })
  for (let time = 0; time < 2; time += 1) await insert(rows, 'batch-1', { max_partitions_per_insert_block: 0 })
  expect(await count()).toBe(3000)
  expect(await count(sql`SELECT uniqExact(toDate(timestamp)) AS count FROM request_logs`)).toBe(101)
})

test('a view that fills a table with the same window counts a repeated batch once', async () => {
  await store.clickhouse.command(sql`
    CREATE TABLE by_service (service String, requests UInt64)
    ENGINE = SummingMergeTree ORDER BY service SETTINGS non_replicated_deduplication_window = 20000`)
  await store.clickhouse.command(sql`
    CREATE MATERIALIZED VIEW by_service_view TO by_service AS
    SELECT service, count() AS requests FROM request_logs GROUP BY service`)
  for (const token of ['batch-1', 'batch-1', 'batch-2', 'batch-1']) await insert(batchOf(1, 100), token)
  expect(await count(sql`SELECT sum(requests) AS count FROM by_service`)).toBe(200)
})
