import { randomBytes } from 'node:crypto'

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

/**
 * A database of this test file's own on the run's ClickHouse, migrated unless `migrated` is false, and dropped after the
 * file's last test. Call it at the top of the file or of a `describe`.
 */
export const testDatabase = ({ migrated = true } = {}): TestDatabase => {
  const name = `test_${randomBytes(6).toString('hex')}`
  const url = new URL(inject('clickhouseUrl'))
  url.pathname = `/${name}`
  let base: ClickHouse | undefined
  let clickhouse: ClickHouse | undefined

  beforeAll(async () => {
    base = await connect(new URL(inject('clickhouseUrl')))
    await base.command(sql`CREATE DATABASE ${ident(name)} ENGINE = Atomic`)
    clickhouse = await connect(url)
    if (migrated) await migrate(clickhouse, { log: silent })
  })
  afterAll(async () => {
    await base?.command(sql`DROP DATABASE ${ident(name)} SYNC`)
    await clickhouse?.close()
    await base?.close()
  })

  const ready = (): ClickHouse => {
    if (!clickhouse) throw new Error('the test database is made in beforeAll; use it in a later hook or in a test')
    return clickhouse
  }
  return {
    url: url.href,
    get clickhouse() {
      return ready()
    },
    empty: async (...tables) => {
      const { rows } = await ready().query<{ name: string }>(
        sql`SELECT name FROM system.tables WHERE database = ${name} AND engine LIKE '%MergeTree' AND name != 'schema_migrations'`,
      )
      const all = rows.map((table) => table.name)
      for (const table of tables.length > 0 ? tables : all)
        await ready().command(raw(`TRUNCATE TABLE \`${table}\` SYNC`))
    },
  }
}
