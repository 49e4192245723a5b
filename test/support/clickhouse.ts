import { randomBytes } from 'node:crypto'
import { readdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import pino from 'pino'
import { afterAll, beforeAll, inject } from 'vitest'

import { type ClickHouse, createClickHouse, ident, migrate, raw, sql } from '../../src/clickhouse/index.ts'

export interface TestDatabase {
  /** Ready from the first `beforeAll` after the call, or the first test, on. */
  readonly clickhouse: ClickHouse
  /** `http://user:pass@host:port/database`, as CLICKHOUSE_URL has it. */
  readonly url: string
  /** Removes the rows of these tables; without names, of every table but the record of migrations. */
  empty: (...tables: readonly string[]) => Promise<void>
}

export const silent = pino({ level: 'silent' })

/** As a command beside a running service does it, or as CLICKHOUSE_URL does. */
const connect = (url: URL): Promise<ClickHouse> => {
  const dataDir = inject('clickhouseDataDir')
  return dataDir === undefined
    ? createClickHouse({ url: url.href, dataDir: '', log: silent })
    : createClickHouse({ dataDir, role: 'attach', database: url.pathname.slice(1), log: silent })
}

const urlOf = (name: string): URL => {
  const url = new URL(inject('clickhouseUrl'))
  url.pathname = `/${name}`
  return url
}

const empty = async (clickhouse: ClickHouse, name: string, tables: readonly string[] = []): Promise<void> => {
  const { rows } = await clickhouse.query<{ name: string }>(
    // Those that nothing was ever in are most of forty, and each takes some ms.
    sql`SELECT name FROM system.tables WHERE database = ${name} AND engine LIKE '%MergeTree' AND parts > 0 AND name != 'schema_migrations'`,
  )
  for (const table of tables.length > 0 ? tables : rows.map((row) => row.name))
    await clickhouse.command(raw(`TRUNCATE TABLE \`${table}\` SYNC`))
}

/** Those that another file is done with, and left as they were made: making one takes half a second. */
const takeSpare = (): string | undefined => {
  const folder = inject('spareDatabases')
  return readdirSync(folder).find((name) => {
    try {
      unlinkSync(join(folder, name))
      return true
    } catch {
      // Another file was faster.
      return false
    }
  })
}

/** Of the tables as they are, whatever is in them. */
const shapeOf = async (clickhouse: ClickHouse): Promise<string> => {
  const { rows } = await clickhouse.query<{ shape: string }>(
    sql`SELECT toString(groupBitXor(sipHash64(name, create_table_query))) AS shape FROM system.tables WHERE database = currentDatabase()`,
  )
  return rows[0]!.shape
}

/**
 * A database of this test file's own on the run's ClickHouse, migrated unless `migrated` is false. Call it at the top of the file or of a
 * `describe`.
 */
export const testDatabase = ({ migrated = true } = {}): TestDatabase => {
  let name = ''
  let shape = ''
  let base: ClickHouse | undefined
  let clickhouse: ClickHouse | undefined

  beforeAll(async () => {
    const spare = migrated ? takeSpare() : undefined
    name = spare ?? `test_${randomBytes(6).toString('hex')}`
    base = await connect(new URL(inject('clickhouseUrl')))
    if (spare === undefined) await base.command(sql`CREATE DATABASE ${ident(name)} ENGINE = Atomic`)
    clickhouse = await connect(urlOf(name))
    if (migrated) await migrate(clickhouse, { log: silent })
    shape = await shapeOf(clickhouse)
  })
  afterAll(async () => {
    if (clickhouse && migrated && (await shapeOf(clickhouse)) === shape) {
      await empty(clickhouse, name)
      writeFileSync(join(inject('spareDatabases'), name), '')
    } else await base?.command(sql`DROP DATABASE ${ident(name)} SYNC`)
    await clickhouse?.close()
    await base?.close()
  })

  const ready = (): ClickHouse => {
    if (!clickhouse) throw new Error('the test database is made in beforeAll; use it in a later hook or in a test')
    return clickhouse
  }
  return {
    get url() {
      ready()
      return urlOf(name).href
    },
    get clickhouse() {
      return ready()
    },
    empty: (...tables) => empty(ready(), name, tables),
  }
}
