import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'

import { type ClickHouse, ident, join as list, sql } from '../clickhouse/index.ts'
import type { Redis } from '../redis/index.ts'
import { MANIFEST, ownVersion } from './manifest.ts'
import { completed, type Item, itemsOf, STORE } from './parts.ts'
import { writeRows } from './rows-file.ts'
import { createTables, frozen, options, type Tables } from './tables.ts'
import { inTurn } from './turn.ts'
import { BackupError, type BackupFile, type BackupLog, type Manifest, type Part, PARTS } from './types.ts'

export interface BackupDependencies {
  clickhouse: ClickHouse
  redis: Redis
  dataDir: string
  log: BackupLog
  /** Of Vedette; default this one. */
  version?: string | undefined
}

export interface BackupOptions {
  /** Default all. */
  only?: readonly Part[] | undefined
  signal?: AbortSignal | undefined
}

/** Ends the name of a folder that is being written, which no restore takes for a back-up. */
export const UNFINISHED = '.unfinished'
export const SECRET = 'secret'

const NOTHING = { rows: 0, checksum: '0' }

const MOVING_EVERY_MS = 1_000
/** A day of a hundred million rows is aside for some minutes. */
const MOVING_TRIES = 900

const assertFree = async (folder: string): Promise<void> => {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    if (error.code === 'ENOTDIR') throw new BackupError(`${folder} is a file; name a new folder`, { cause: error })
    throw error
  })
  if (names.length > 0) throw new BackupError(`${folder} is there already and not empty; name a new folder`)
}

const writeWhole = async (path: string, content: string | Buffer): Promise<void> => {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
}

const syncFolder = async (folder: string): Promise<void> => {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** One moment's copy of all tables of these items, some milliseconds from the first to the last. */
const freeze = async (tables: Tables, items: readonly Item[], signal: AbortSignal): Promise<void> => {
  const names = [...new Set(items.map(({ table }) => table))]
  for (let tries = 0; ; tries++) {
    if (!(await tables.moving())) {
      await tables.dropLeftovers()
      await Promise.all(names.map((table) => tables.createLike(frozen(table), table)))
      for (const table of names) await tables.attachAll(frozen(table), table)
      if (!(await tables.moving())) return
    }
    if (tries === MOVING_TRIES)
      throw new BackupError(
        'rows are being made anonymous all the time, and some of them are between two tables; see the job cleanup, and try again later',
      )
    await sleep(MOVING_EVERY_MS, undefined, { signal })
  }
}

const writeSecret = async (dataDir: string, folder: string): Promise<string | null> => {
  const secret = await readFile(join(dataDir, SECRET)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (secret === undefined) return null
  await writeWhole(join(folder, SECRET), secret)
  return createHash('sha256').update(secret).digest('hex')
}

/**
 * Writes a back-up to a new folder: it appears under its name when it is whole, and not at all when anything fails.
 *
 * It holds each table as it was at one moment, and all tables within milliseconds; what comes in meanwhile is in the next one.
 * Rows that are still in the spool, and the first key in clear text, are not in it.
 * @throws {BackupError} the folder is not free, or another back-up is at work
 * @throws {ClickHouseError}
 */
export const backUp = (
  dependencies: BackupDependencies,
  target: string,
  { only, signal: given }: BackupOptions = {},
): Promise<Manifest> =>
  inTurn({ ...dependencies, signal: given }, async (signal) => {
    const { clickhouse, dataDir, log, version = ownVersion() } = dependencies
    const folder = resolve(target)
    const beside = `${folder}${UNFINISHED}`
    const chosen = completed(only ?? PARTS)
    const tables = createTables(clickhouse, signal)
    /** For what must be done also when the work was cut off. */
    const cleaning = createTables(clickhouse)

    const writeItem = async ({ part, table, where }: Item, isEmpty: boolean): Promise<BackupFile> => {
      const name = `${table === STORE ? part : table}.jsonl.zst`
      const columns = await tables.columnsOf(table)
      const { rows, checksum } = isEmpty ? NOTHING : await tables.sum(frozen(table), columns, where)
      const lines =
        rows === 0
          ? Readable.from([])
          : await clickhouse.stream(
              sql`SELECT ${list(columns.map(ident))} FROM ${ident(frozen(table))} WHERE ${where}`,
              'JSONCompactEachRow',
              options(signal),
            )
      const written = await writeRows(join(beside, name), lines, signal)
      if (written.rows !== rows)
        throw new BackupError(`${table}: ${written.rows} rows were read of ${rows}; run it again`)
      return { name, part, table, columns, rows, checksum, bytes: written.bytes, sha256: written.sha256 }
    }

    await assertFree(folder)
    await rm(beside, { recursive: true, force: true })
    await mkdir(beside, { recursive: true, mode: 0o700 })
    try {
      const items = itemsOf(await tables.list(), chosen)
      await freeze(tables, items, signal)
      const takenAt = new Date().toISOString()
      const files: BackupFile[] = []
      const empty = await tables.emptyOnes()
      for (const item of items) files.push(await writeItem(item, empty.has(frozen(item.table))))
      const secret = only === undefined ? await writeSecret(dataDir, beside) : null
      const finishedAt = new Date().toISOString()
      const manifest: Manifest = { format: 1, version, takenAt, finishedAt, parts: chosen, files, secret }
      await writeWhole(join(beside, MANIFEST), `${JSON.stringify(manifest, undefined, 2)}\n`)
      await syncFolder(beside)
      // Takes the place of an empty folder too.
      await rename(beside, folder)
      await syncFolder(dirname(folder))
      const rows = files.reduce((sum, file) => sum + file.rows, 0)
      log.info({ folder, rows }, 'a back-up was written')
      return manifest
    } catch (error) {
      await rm(beside, { recursive: true, force: true })
      throw error
    } finally {
      await cleaning
        .dropLeftovers()
        .catch((error: unknown) =>
          log.warn({ err: error }, 'the tables of a back-up are left; the next one drops them'),
        )
    }
  })
