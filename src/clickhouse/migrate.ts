import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

import type { Logger } from 'pino'

import { splitStatements } from './split.ts'
import { raw, sql } from './sql.ts'
import { type ClickHouse, ClickHouseError } from './types.ts'

/** The files of this version. */
export const MIGRATIONS = fileURLToPath(new URL('../../clickhouse/migrations/', import.meta.url))
const FILE_NAME = /^\d{4}_[a-z0-9_]+\.sql$/
const LONGEST_SECONDS = 3600

/** The files and the store do not fit together. The message names the file and the way out. */
export class MigrationError extends Error {
  override name = 'MigrationError'
}

interface Migration {
  name: string
  checksum: string
  statements: string[]
}

const readMigrations = async (folder: string): Promise<Migration[]> => {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort()
  const numbers = new Map<string, string>()
  for (const name of names) {
    if (!FILE_NAME.test(name)) {
      throw new MigrationError(
        `Migration ${name} is misnamed; call it NNNN_what_it_does.sql, such as 0007_findings.sql`,
      )
    }
    const number = name.slice(0, 4)
    const twin = numbers.get(number)
    if (twin)
      throw new MigrationError(`Migrations ${twin} and ${name} have the same number; give the later one the next`)
    numbers.set(number, name)
  }
  return Promise.all(
    names.map(async (name) => {
      const text = (await readFile(`${folder}/${name}`, 'utf8')).replaceAll('\r\n', '\n')
      return { name, checksum: createHash('sha256').update(text).digest('hex'), statements: splitStatements(text) }
    }),
  )
}

/** @throws {MigrationError} unless what was applied is the beginning of the list, unchanged */
const assertHistory = (migrations: readonly Migration[], applied: ReadonlyMap<string, string>): void => {
  const known = new Map(migrations.map((migration) => [migration.name, migration]))
  for (const [name, checksum] of applied) {
    const migration = known.get(name)
    if (!migration) {
      throw new MigrationError(
        `The store was migrated with ${name}, which this version does not have; run the version that brought it, or a later one`,
      )
    }
    if (migration.checksum !== checksum) {
      throw new MigrationError(
        `Migration ${name} was changed after it had been applied; put it back as it was, and write the change as a new file with the next number`,
      )
    }
  }
  const newest = [...applied.keys()].sort().at(-1) ?? ''
  const late = migrations.find(({ name }) => name < newest && !applied.has(name))
  if (late) {
    throw new MigrationError(
      `Migration ${late.name} comes before ${newest}, which has been applied already; give it the next free number`,
    )
  }
}

/**
 * Brings the store up to the files in `folder`, in the order of their numbers; run again it changes nothing.
 *
 * ClickHouse has neither locks nor transactional DDL, so every statement of a migration can run twice (`IF NOT EXISTS`, `IF
 * EXISTS`): one that a crash cut short is simply run again, and of two processes that migrate at once the later changes
 * nothing. A file is recorded after its last statement, with a deduplication token, so that both records become one.
 * @throws {MigrationError} when an applied file was changed, is missing, or a new one was put before it
 * @throws {ClickHouseError}
 */
export const migrate = async (
  clickhouse: ClickHouse,
  options: { log: Logger; folder?: string },
): Promise<{ applied: string[] }> => {
  const migrations = await readMigrations(options.folder ?? MIGRATIONS)
  await clickhouse.command(sql`
    CREATE TABLE IF NOT EXISTS schema_migrations
    (
        name       String,
        checksum   String COMMENT 'SHA-256 of the file',
        applied_at DateTime64(3, 'UTC')
    )
    ENGINE = MergeTree
    ORDER BY name
    SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1`)
  const { rows } = await clickhouse.query<{ name: string; checksum: string }>(
    sql`SELECT name, checksum FROM schema_migrations ORDER BY name, applied_at`,
  )
  const applied = new Map(rows.map((row) => [row.name, row.checksum]))
  assertHistory(migrations, applied)

  const now: string[] = []
  for (const migration of migrations.filter(({ name }) => !applied.has(name))) {
    for (const [index, statement] of migration.statements.entries()) {
      await clickhouse.command(raw(statement), { maxExecutionSeconds: LONGEST_SECONDS }).catch((error: unknown) => {
        if (!(error instanceof ClickHouseError)) throw error
        const { kind, code, type } = error
        const message = `Migration ${migration.name}, statement ${index + 1}: ${error.message}`
        throw new ClickHouseError(kind, message, { code, type, cause: error })
      })
    }
    const { name, checksum } = migration
    const appliedAt = new Date().toISOString().slice(0, -1).replace('T', ' ')
    await clickhouse.insert({
      table: 'schema_migrations',
      columns: ['name', 'checksum', 'applied_at'],
      rows: Buffer.from(`${JSON.stringify([name, checksum, appliedAt])}\n`),
      deduplicationToken: `${name} ${checksum}`,
    })
    options.log.info({ migration: name }, 'migrated')
    now.push(name)
  }
  return { applied: now }
}
