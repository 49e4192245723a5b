import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, expect, test } from 'vitest'

import { ident, migrate, MIGRATIONS, sql } from '../../src/clickhouse/index.ts'
import { splitStatements } from '../../src/clickhouse/split.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'

const store = testDatabase({ migrated: false })
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vedette-migrations-'))
})
afterEach(async () => {
  rmSync(folder, { recursive: true, force: true })
  const { rows } = await store.clickhouse.query<{ name: string }>(
    sql`SELECT name FROM system.tables WHERE database = currentDatabase()`,
  )
  for (const { name } of rows) await store.clickhouse.command(sql`DROP TABLE ${ident(name)} SYNC`)
})

const write = (name: string, text: string): void => writeFileSync(join(folder, name), text)
const run = () => migrate(store.clickhouse, { log: silent, folder })
const state = async () => {
  const tables = await store.clickhouse.query(
    sql`SELECT name, uuid, create_table_query FROM system.tables WHERE database = currentDatabase() ORDER BY name`,
  )
  const applied = await store.clickhouse.query(sql`SELECT * FROM schema_migrations ORDER BY name`)
  return { tables: tables.rows, applied: applied.rows }
}
const others = (row: object): boolean => (row as { name: string }).name !== 'schema_migrations'

const table = (name: string): string => `CREATE TABLE IF NOT EXISTS ${name} (n UInt8) ENGINE = MergeTree ORDER BY n;\n`

test('files are applied in the order of their numbers, and a second run changes nothing', async () => {
  write('0002_more.sql', 'ALTER TABLE one ADD COLUMN IF NOT EXISTS more String')
  write('0001_one.sql', table('one'))
  expect(await run()).toEqual({ applied: ['0001_one.sql', '0002_more.sql'] })
  const before = await state()
  expect(await run()).toEqual({ applied: [] })
  expect(await state()).toEqual(before)
})

test('a new file is applied by itself', async () => {
  write('0001_one.sql', table('one'))
  await run()
  write('0002_two.sql', table('two'))
  expect(await run()).toEqual({ applied: ['0002_two.sql'] })
})

test('a file that was changed after it had been applied stops with its name and the way out', async () => {
  write('0001_one.sql', table('one'))
  await run()
  write('0001_one.sql', table('one').replace('UInt8', 'UInt16'))
  write('0002_two.sql', table('two'))
  await expect(run()).rejects.toThrow(
    'Migration 0001_one.sql was changed after it had been applied; put it back as it was, and write the change as a new file with the next number',
  )
  expect((await state()).tables).toHaveLength(2)
})

test('line ends that Git changed are no change', async () => {
  write('0001_one.sql', `-- one\n${table('one')}`)
  await run()
  write('0001_one.sql', `-- one\r\n${table('one').replaceAll('\n', '\r\n')}`)
  expect(await run()).toEqual({ applied: [] })
})

test('a store that a later version migrated is left alone', async () => {
  write('0001_one.sql', table('one'))
  write('0002_two.sql', table('two'))
  await run()
  rmSync(join(folder, '0002_two.sql'))
  await expect(run()).rejects.toThrow(/migrated with 0002_two\.sql, which this version does not have/)
})

test('a file put in before one that was applied is refused', async () => {
  write('0002_two.sql', table('two'))
  await run()
  write('0001_one.sql', table('one'))
  await expect(run()).rejects.toThrow(
    'Migration 0001_one.sql comes before 0002_two.sql, which has been applied already; give it the next free number',
  )
})

test.each([
  [['0001_a.sql', '0001_b.sql'], /0001_a\.sql and 0001_b\.sql have the same number/],
  [['1_a.sql'], /1_a\.sql is misnamed/],
  [['0001-A.sql'], /0001-A\.sql is misnamed/],
])('the names %j are refused before anything is done', async (names, message) => {
  for (const name of names) write(name, table('never'))
  await expect(run()).rejects.toThrow(message)
  expect(
    (await store.clickhouse.query(sql`SELECT 1 FROM system.tables WHERE database = currentDatabase()`)).rows,
  ).toEqual([])
})

test('a statement that fails is named, the file stays open, and the next run goes on from it', async () => {
  write('0001_one.sql', table('one'))
  write('0002_two.sql', `${table('two')}ALTER TABLE missing ADD COLUMN n UInt8;`)
  await expect(run()).rejects.toMatchObject({
    name: 'ClickHouseError',
    code: 60,
    message: expect.stringMatching(/^Migration 0002_two\.sql, statement 2: /) as string,
  })
  write('0002_two.sql', `${table('two')}ALTER TABLE two ADD COLUMN IF NOT EXISTS m UInt8;`)
  expect(await run()).toEqual({ applied: ['0002_two.sql'] })
})

test('two that migrate at once both succeed, and each file is recorded once', async () => {
  cpSync(MIGRATIONS, folder, { recursive: true })
  await Promise.all([run(), run(), run()])
  const { applied } = await state()
  expect(new Set(applied.map((row) => (row as { name: string }).name)).size).toBe(applied.length)
  expect(await run()).toEqual({ applied: [] })
})

test("every statement of this version's files can run again, as after a crash between a file and its record", async () => {
  cpSync(MIGRATIONS, folder, { recursive: true })
  const { applied } = await run()
  expect(applied.length).toBeGreaterThan(0)
  const before = await state()
  await store.clickhouse.command(sql`DROP TABLE schema_migrations SYNC`)
  expect(await run()).toEqual({ applied })
  expect((await state()).tables.filter(others)).toEqual(before.tables.filter(others))
})

test.each([
  ['', []],
  ['-- only a comment;\n/* and ; another */', []],
  ['SELECT 1', ['SELECT 1']],
  ['SELECT 1;SELECT 2;\n;', ['SELECT 1', 'SELECT 2']],
  ["SELECT ';' ; SELECT 'it''s;' ; SELECT 'a\\';b'", ["SELECT ';'", "SELECT 'it''s;'", "SELECT 'a\\';b'"]],
  ['SELECT `a;b`, "c;d"; SELECT 2', ['SELECT `a;b`, "c;d"', 'SELECT 2']],
  ["-- don't; stop\nSELECT 1; /* it's; */ SELECT 2", ["-- don't; stop\nSELECT 1", "/* it's; */ SELECT 2"]],
  ["SELECT 1 -- ; '\n;SELECT 2", ["SELECT 1 -- ; '", 'SELECT 2']],
  ["SELECT 'a\n;\nb'", ["SELECT 'a\n;\nb'"]],
  ["SELECT 'open ;", ["SELECT 'open ;"]],
  ['SELECT 6/2; SELECT 3-1', ['SELECT 6/2', 'SELECT 3-1']],
])('%j is split into %j', (text, statements) => {
  expect(splitStatements(text)).toEqual(statements)
})
