import { Readable } from 'node:stream'

import { expect, test } from 'vitest'

import { raw, sql } from '../../src/clickhouse/index.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { asking, linesOf } from './asking.ts'

const store = testDatabase({ migrated: false })
const { running, valueOf } = asking(store)

test('an insert of ready bytes, or of a stream of them, tells how many rows there were', async () => {
  await store.clickhouse.command(
    sql`CREATE TABLE bytes (n UInt64, s String, extra UInt8 DEFAULT 7) ENGINE = MergeTree ORDER BY n`,
  )
  const batch = { table: 'bytes', columns: ['s', 'n'] }
  const first = await store.clickhouse.insert({
    ...batch,
    rows: Buffer.from(`["it's; \\n \\\\ ü",1]\n["",18446744073709551615]\n`),
    deduplicationToken: '1',
  })
  expect(first).toEqual({ writtenRows: 2 })
  const rows = Readable.from(['["x",', '2]\n["y",', '3]\n'].map((text) => Buffer.from(text)))
  expect(await store.clickhouse.insert({ ...batch, rows, deduplicationToken: '2' })).toEqual({ writtenRows: 2 })
  expect(
    await linesOf(await store.clickhouse.stream(sql`SELECT * FROM bytes ORDER BY n`, 'JSONCompactEachRow')),
  ).toEqual([String.raw`[1, "it's; \n \\ ü", 7]`, '[2, "x", 7]', '[3, "y", 7]', '[18446744073709551615, "", 7]'])
})

test('an insert of columns of every kind of type and name', async () => {
  await store.clickhouse.command(
    raw(`
      CREATE TABLE kinds
      (
          n UInt8,
          low LowCardinality(String),
          maybe LowCardinality(Nullable(String)),
          list Array(LowCardinality(String)),
          fixed LowCardinality(FixedString(2)),
          level Enum8('it''s' = 1, 'b' = 2),
          at DateTime64(3, 'UTC'),
          "odd \` name'" Nullable(Float32)
      )
      ENGINE = MergeTree ORDER BY n`),
  )
  const columns = ['n', 'low', 'maybe', 'list', 'fixed', 'level', 'at', "odd ` name'"]
  const rows = [
    `[1, "x", null, ["a","b"], "CH", "it's", "2024-02-29 23:59:59.999", 0.5]`,
    `[2, "", "", [], "DE", "b", "1990-01-01 00:00:00.000", null]`,
  ]
  await store.clickhouse.insert({
    table: 'kinds',
    columns,
    rows: Buffer.from(rows.join('\n')),
    deduplicationToken: '1',
  })
  const stored = await store.clickhouse.stream(sql`SELECT * FROM kinds ORDER BY n`, 'JSONCompactEachRow')
  expect((await linesOf(stored)).map((line) => JSON.parse(line) as unknown)).toEqual(
    rows.map((line) => JSON.parse(line) as unknown),
  )
})

test('an insert goes on after the table was changed', async () => {
  const insert = (columns: string[], row: string) =>
    store.clickhouse.insert({ table: 'changing', columns, rows: Buffer.from(row), deduplicationToken: row })
  await store.clickhouse.command(
    sql`CREATE TABLE changing (n UInt8, s LowCardinality(String)) ENGINE = MergeTree ORDER BY n`,
  )
  await insert(['n', 's'], '[1,"a"]')
  await store.clickhouse.command(sql`ALTER TABLE changing ADD COLUMN m String, MODIFY COLUMN s String`)
  await insert(['n', 's'], '[2,"b"]')
  await insert(['n', 's', 'm'], '[3,"c","d"]')
  await expect(insert(['gone'], '[4]')).rejects.toMatchObject({ kind: 'refused' })
  expect(await valueOf(sql`SELECT groupArray(s || m) AS value FROM (SELECT * FROM changing ORDER BY n)`)).toEqual([
    'a',
    'b',
    'cd',
  ])
})

test('one bad value refuses the whole batch, and says which', async () => {
  await store.clickhouse.command(sql`CREATE TABLE strict (n UInt8, ip IPv6) ENGINE = MergeTree ORDER BY n`)
  const insert = store.clickhouse.insert({
    table: 'strict',
    columns: ['n', 'ip'],
    rows: Buffer.from('[1,"::1"]\n[2,"not an address"]\n'),
    deduplicationToken: '1',
  })
  await expect(insert).rejects.toMatchObject({
    kind: 'refused',
    message: expect.stringContaining('at row 2') as string,
  })
  expect(await valueOf(sql`SELECT count() AS value FROM strict`)).toBe(0)
})

test('an insert is cancelled in the engine by its signal', async () => {
  await store.clickhouse.command(sql`CREATE TABLE slow (n UInt8) ENGINE = MergeTree ORDER BY n`)
  await store.clickhouse.command(sql`
    CREATE MATERIALIZED VIEW slow_view ENGINE = MergeTree ORDER BY n AS SELECT n, sleepEachRow(1) AS s FROM slow`)
  const abort = new AbortController()
  const cancelled = expect(
    store.clickhouse.insert({
      table: 'slow',
      columns: ['n'],
      rows: Buffer.from('[1]\n[2]\n[3]\n'),
      deduplicationToken: '1',
      signal: abort.signal,
      settings: { log_comment: 'cut-insert', function_sleep_max_microseconds_per_block: 10_000_000 },
    }),
  ).rejects.toMatchObject({ kind: 'cancelled' })
  await expect.poll(() => running('cut-insert')).toBe(1)
  abort.abort()
  await cancelled
  await expect.poll(() => running('cut-insert'), { timeout: 2500, interval: 50 }).toBe(0)
})

test('an insert into a table that is not there is refused as an unknown table', async () => {
  const insert = store.clickhouse.insert({
    table: 'gone',
    columns: ['n'],
    rows: Buffer.from('[1]\n'),
    deduplicationToken: '1',
  })
  await expect(insert).rejects.toMatchObject({ kind: 'refused', code: 60 })
})

test('text behind a blank line in the rows does not run', async () => {
  await store.clickhouse.command(sql`CREATE TABLE rows_only (n UInt32) ENGINE = MergeTree ORDER BY n`)
  const rows = Buffer.from('[1]\n\nDROP TABLE rows_only')
  const insert = store.clickhouse.insert({ table: 'rows_only', columns: ['n'], rows, deduplicationToken: '1' })
  await expect(insert).rejects.toMatchObject({ kind: 'refused', code: 27 })
  expect(await valueOf(sql`SELECT count() AS value FROM rows_only`)).toBe(0)
})
