import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { type ClickHouse, ident, sql } from '../clickhouse/index.ts'
import type { Redis } from '../redis/index.ts'
import { SECRET } from './backup.ts'
import { ownVersion, readManifest } from './manifest.ts'
import { completed, isOfParts, STORE, whereOf } from './parts.ts'
import { readRows, sha256Of } from './rows-file.ts'
import { createTables, options, restoring, type Tables } from './tables.ts'
import { inTurn } from './turn.ts'
import { BackupError, type BackupFile, type BackupLog, type Manifest, type Part } from './types.ts'

export interface RestoreDependencies {
  clickhouse: ClickHouse
  redis: Redis
  dataDir: string
  log: BackupLog
  version?: string | undefined
}

export interface RestoreOptions {
  /** Default all that the back-up holds. */
  only?: readonly Part[] | undefined
  /** Whether what is there may be replaced. */
  replace?: boolean | undefined
  signal?: AbortSignal | undefined
}

const shaOf = (content: Buffer): string => createHash('sha256').update(content).digest('hex')

const filesOf = ({ parts, files }: Manifest, only: readonly Part[] | undefined): readonly BackupFile[] => {
  if (!only) return files
  const chosen = completed(only)
  const missing = chosen.filter((part) => !parts.includes(part))
  if (missing.length > 0)
    throw new BackupError(`the back-up holds no ${missing.join(', ')}; it holds ${parts.join(', ')}`)
  return files.filter(({ part }) => chosen.includes(part))
}

/** Before anything is touched. @throws {BackupError} */
const assertWhole = async (folder: string, files: readonly BackupFile[], signal: AbortSignal): Promise<void> => {
  for (const { name, sha256 } of files) {
    const found = await sha256Of(join(folder, name), signal).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return 'missing'
      throw error
    })
    if (found !== sha256)
      throw new BackupError(
        `${join(folder, name)} is ${found === 'missing' ? 'missing' : 'damaged'}; choose another back-up, or other parts with --only`,
      )
  }
}

/** @throws {BackupError} there is no place for what the back-up holds */
const assertFits = async (tables: Tables, files: readonly BackupFile[]): Promise<void> => {
  for (const { table, columns } of files) {
    const known = await tables.columnsOf(table)
    if (known.length === 0) throw new BackupError(`there is no table ${table} here; run: vedette migrate`)
    const strange = columns.filter((column) => !known.includes(column))
    if (strange.length > 0)
      throw new BackupError(
        `${table} has no ${strange.join(', ')} here; restore with the version that made the back-up`,
      )
  }
}

/** Whether there are, or may be, rows to put back; of the store those of other parts too. */
const hasRows = (files: readonly BackupFile[]): boolean => files.some(({ rows, table }) => rows > 0 || table === STORE)

const sameSecret = async (path: string, secret: Buffer): Promise<boolean | undefined> =>
  readFile(path).then(
    (known) => known.equals(secret),
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
      return undefined
    },
  )

/**
 * Puts back what a back-up holds. Files are checked before anything is touched, and rows are read into tables beside the true ones and
 * compared there by number and hash, before they take the place of what is there. Processes that run meanwhile would write what
 * is then replaced: stop them first.
 *
 * Cut off while the tables change places, it is to be run again.
 * @returns what was restored
 * @throws {BackupError} no back-up, not of this version, damaged, or there is something here already and `replace` is not set
 * @throws {ClickHouseError}
 */
export const restore = (
  dependencies: RestoreDependencies,
  folder: string,
  { only, replace = false, signal: given }: RestoreOptions = {},
): Promise<readonly BackupFile[]> =>
  inTurn({ ...dependencies, signal: given }, async (signal) => {
    const { clickhouse, dataDir, log, version = ownVersion() } = dependencies
    const tables = createTables(clickhouse, signal)
    const manifest = await readManifest(folder, version)
    const files = filesOf(manifest, only)
    const secret = only || manifest.secret === null ? undefined : await readFile(join(folder, SECRET))
    if (secret && shaOf(secret) !== manifest.secret)
      throw new BackupError(`${join(folder, SECRET)} is damaged; choose another back-up, or parts with --only`)
    await assertWhole(folder, files, signal)
    await assertFits(tables, files)

    const held: string[] = []
    for (const { part, table } of files) {
      const rows = await tables.count(table, whereOf(part, table).where)
      if (rows > 0) held.push(`${table === STORE ? part : table} (${rows} rows)`)
    }
    if (secret && (await sameSecret(join(dataDir, SECRET), secret)) === false) held.push(SECRET)
    if (held.length > 0 && !replace)
      throw new BackupError(`there is something here already: ${held.join(', ')}; add --yes to replace it`)

    const assertSame = async ({ part, table, columns, rows, checksum }: BackupFile, place: string): Promise<void> => {
      const found = await tables.sum(place, columns, whereOf(part, table).where)
      if (found.rows !== rows || found.checksum !== checksum)
        throw new BackupError(
          `${place}: ${found.rows} rows with the checksum ${found.checksum} came of ${rows} with ${checksum}`,
        )
    }

    const load = async (file: BackupFile): Promise<void> => {
      const once = randomUUID()
      let number = 0
      for await (const rows of readRows(join(folder, file.name), signal))
        await clickhouse.insert({
          table: restoring(file.table),
          columns: file.columns,
          rows,
          deduplicationToken: `restore:${once}:${number++}`,
          // Imported logs may be of more days than an insert usually has.
          settings: { max_partitions_per_insert_block: 0 },
          signal,
        })
      await assertSame(file, restoring(file.table))
    }

    const byTable = [...Map.groupBy(files, ({ table }) => table)]
    await tables.dropLeftovers()
    try {
      for (const [table, own] of byTable) {
        if (!hasRows(own)) continue
        await tables.createLike(restoring(table), table)
        for (const file of own) await load(file)
        if (table === STORE)
          await clickhouse.command(
            sql`INSERT INTO ${ident(restoring(table))} SELECT * FROM ${ident(table)} WHERE NOT (${isOfParts(own.map(({ part }) => part))})`,
            { ...options(signal), settings: { ...options(signal).settings, insert_deduplicate: 0 } },
          )
      }
      // Records of runs last: what they speak of is then there.
      for (const [table, own] of byTable.toReversed()) {
        // Forgets the tokens of earlier inserts too, so that the next version of a thing is not taken for one that was.
        await tables.empty(table)
        if (hasRows(own)) await tables.attachAll(table, restoring(table))
        for (const file of own) await assertSame(file, table)
      }
    } finally {
      await createTables(clickhouse)
        .dropLeftovers()
        .catch((error: unknown) => log.warn({ err: error }, 'tables of a restore are left; the next one drops them'))
    }
    if (secret) {
      await mkdir(dataDir, { recursive: true, mode: 0o700 })
      const draft = join(dataDir, `${SECRET}.${randomUUID()}`)
      await writeFile(draft, secret, { mode: 0o600, flag: 'wx', flush: true })
      await rename(draft, join(dataDir, SECRET))
    }
    log.info({ folder, files: files.length }, 'a back-up was restored')
    return files
  })
