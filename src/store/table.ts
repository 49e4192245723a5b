import { randomBytes } from 'node:crypto'
import type { Readable } from 'node:stream'

import { type ClickHouse, ClickHouseError, param, type Sql, sql } from '../clickhouse/index.ts'
import { inSlices, lines } from './slices.ts'
import { StoreError, type Version } from './types.ts'

/** How many rows there are: before `since`, and for each millisecond from then on. */
export interface Census {
  older: number
  groups: Map<number, number>
}

/** The rows of one kind in `store_versions`. Times are epoch ms, as their writers' clocks had them. */
export interface Table<T> {
  /** Of the last row; undefined: there is none. */
  latest: () => Promise<number | undefined>
  census: (since: number) => Promise<Census>
  /** The newest version of each thing, as they come. */
  newest: () => AsyncIterable<Version<T>[]>
  /** All rows of these milliseconds, as they come. */
  changedAt: (times: readonly number[]) => AsyncIterable<Version<T>[]>
  newestOf: (id: string) => Promise<Version<T> | undefined>
  history: (filter: { id?: string | undefined; limit: number }) => Promise<Version<T>[]>
  /** False: somebody else wrote this version of this thing before. */
  add: (version: Version<T>) => Promise<boolean>
  /** In one statement, all or none; all changed at one time by one. @returns ids of which somebody else wrote the same version */
  addMany: (versions: readonly Version<T>[], token: string) => Promise<Set<string>>
}

interface Row {
  id: string
  version: string | number
  body: string
  changedAt: string | number
  changedBy: string
}

/** A question about a few rows; longer than this, and it counts as away. */
const DEADLINE_MS = 3_000
/** Many rows: 100,000 take some seconds on a busy machine. */
const LONG_DEADLINE_MS = 60_000
/** Times in one question; of more, all from the first on are read. They travel in the URL. */
const MOST_TIMES = 500

const COLUMNS = ['kind', 'id', 'version', 'body', 'changed_at', 'changed_by', 'write_id'] as const

const FIELDS = sql`id, version, body, toUnixTimestamp64Milli(changed_at) AS changedAt, changed_by AS changedBy`

/** Which of two rows counts that have one version, as only `addMany` can make them. The same order as in `supersedes`. */
const FIRST = sql`changed_at, changed_by, body`

const asVersion = <T>({ id, version, body, changedAt, changedBy }: Row): Version<T> => ({
  id,
  version: Number(version),
  value: body === '' ? undefined : (JSON.parse(body) as T),
  changedAt: new Date(Number(changedAt)),
  changedBy,
})

const bodyOf = (value: unknown): string => (value === undefined ? '' : JSON.stringify(value))

/** Whether `next` is what counts from now on: a later version; of two with one number, the first by time, author and content. */
export const supersedes = <T>(next: Version<T>, known: Version<T> | undefined): boolean => {
  if (!known || next.version !== known.version) return !known || next.version > known.version
  const [at, knownAt] = [next.changedAt.getTime(), known.changedAt.getTime()]
  if (at !== knownAt) return at < knownAt
  if (next.changedBy !== known.changedBy) return next.changedBy < known.changedBy
  return bodyOf(next.value) < bodyOf(known.value)
}

const asStoreError = (error: unknown, deadlineMs: number): unknown => {
  if (!(error instanceof ClickHouseError)) return error
  if (error.type === 'UNKNOWN_TABLE' || error.type === 'UNKNOWN_DATABASE')
    return new StoreError('UNAVAILABLE', 'the tables are not there yet; run `vedette migrate`', { cause: error })
  const reason = error.kind === 'cancelled' ? `ClickHouse gave no answer within ${deadlineMs} ms` : error.message
  return new StoreError('UNAVAILABLE', reason, { cause: error })
}

/** Of 64 random bits, as text, since JSON's numbers end at 53. */
const newWriteId = (): string => randomBytes(8).readBigUInt64LE().toString()

export const createTable = <T>(clickhouse: ClickHouse, kind: string): Table<T> => {
  const comment = `store ${kind}`
  const ofKind = sql`FROM store_versions WHERE kind = ${kind}`

  const within = async <Result>(
    deadlineMs: number,
    work: (options: { signal: AbortSignal; comment: string }) => Promise<Result>,
  ): Promise<Result> => {
    try {
      return await work({ signal: AbortSignal.timeout(deadlineMs), comment })
    } catch (error) {
      throw asStoreError(error, deadlineMs)
    }
  }
  const ask = <R extends object = Row>(query: Sql, deadlineMs = DEADLINE_MS): Promise<R[]> =>
    within(deadlineMs, async (options) => (await clickhouse.query<R>(query, options)).rows)

  async function* read(query: Sql): AsyncGenerator<Version<T>[]> {
    try {
      const options = { signal: AbortSignal.timeout(LONG_DEADLINE_MS), comment }
      const stream: Readable = await clickhouse.stream(query, 'JSONCompactEachRow', options)
      for await (const some of lines(stream))
        yield some.map((line) => {
          const [id, version, body, changedAt, changedBy] = JSON.parse(line) as [string, number, string, number, string]
          return asVersion<T>({ id, version, body, changedAt, changedBy })
        })
    } catch (error) {
      throw asStoreError(error, LONG_DEADLINE_MS)
    }
  }

  const insert = (rows: Buffer, deduplicationToken: string, deadlineMs: number): Promise<unknown> =>
    within(deadlineMs, ({ signal }) =>
      clickhouse.insert({ table: 'store_versions', columns: COLUMNS, rows, deduplicationToken, signal }),
    )
  const lineOf = ({ id, version, value, changedAt, changedBy }: Version<T>, writeId: string): string => {
    const at = changedAt.toISOString().slice(0, -1).replace('T', ' ')
    return `${JSON.stringify([kind, id, version, bodyOf(value), at, changedBy, writeId])}\n`
  }

  const newestOf = async (id: string) => {
    const [row] = await ask(
      sql`SELECT ${FIELDS} ${ofKind} AND id = ${id} ORDER BY store_versions.version DESC, ${FIRST} LIMIT 1`,
    )
    return row && asVersion<T>(row)
  }

  const add = async (version: Version<T>): Promise<boolean> => {
    const { id } = version
    // ClickHouse has no compare-and-set, but of two inserts with one token it takes the first and passes over the second.
    const token = `store:${kind}:${id}:${version.version}`
    const writeId = newWriteId()
    await insert(Buffer.from(lineOf(version, writeId)), token, DEADLINE_MS)
    const [row] = await ask<{ writeId: string }>(
      sql`SELECT toString(write_id) AS writeId ${ofKind} AND id = ${id} AND version = ${param('UInt64', version.version)} ORDER BY ${FIRST} LIMIT 1`,
    )
    return row?.writeId === writeId
  }

  const addMany = async (versions: readonly Version<T>[], token: string): Promise<Set<string>> => {
    const writeId = newWriteId()
    const rows: Buffer[] = []
    for await (const some of inSlices(versions))
      rows.push(Buffer.from(some.map((version) => lineOf(version, writeId)).join('')))
    await insert(Buffer.concat(rows), token, LONG_DEADLINE_MS)
    const mine = sql`${ofKind} AND changed_at = ${versions[0]!.changedAt} AND write_id = ${param('UInt64', writeId)}`
    const [stored] = await ask<{ n: number }>(sql`SELECT count() AS n ${mine}`, LONG_DEADLINE_MS)
    if (stored!.n < versions.length)
      throw new StoreError(
        'UNAVAILABLE',
        `${kind}: only ${stored!.n} of ${versions.length} changes are there; try again`,
      )
    const twice = await ask<{ id: string }>(
      sql`SELECT DISTINCT id ${ofKind} AND (id, version) IN (SELECT id, version ${mine}) GROUP BY id, version HAVING count() > 1`,
      LONG_DEADLINE_MS,
    )
    return new Set(twice.map(({ id }) => id))
  }

  return {
    latest: async () => {
      const [row] = await ask<{ n: number; at: number }>(
        sql`SELECT count() AS n, toUnixTimestamp64Milli(max(changed_at)) AS at ${ofKind}`,
      )
      return row && row.n > 0 ? row.at : undefined
    },
    census: async (since) => {
      const from = sql`fromUnixTimestamp64Milli(${param('Int64', since)}, 'UTC')`
      const rows = await ask<{ older: number; at: number; n: number }>(
        sql`SELECT changed_at < ${from} AS older, toUnixTimestamp64Milli(if(older, ${from}, changed_at)) AS at, count() AS n ${ofKind} GROUP BY older, at`,
      )
      const groups = new Map<number, number>()
      let before = 0
      for (const { older, at, n } of rows)
        if (older === 1) before = n
        else groups.set(at, n)
      return { older: before, groups }
    },
    newest: () =>
      read(sql`SELECT ${FIELDS} ${ofKind} ORDER BY id, store_versions.version DESC, ${FIRST} LIMIT 1 BY id`),
    changedAt: (times) => {
      const from = param(
        'Int64',
        times.reduce((first, at) => Math.min(first, at)),
      )
      const some =
        times.length > MOST_TIMES
          ? sql``
          : sql` AND has(${param('Array(Int64)', times)}, toUnixTimestamp64Milli(changed_at))`
      return read(sql`SELECT ${FIELDS} ${ofKind} AND toUnixTimestamp64Milli(changed_at) >= ${from}${some}`)
    },
    newestOf,
    history: async ({ id, limit }) => {
      const one = id === undefined ? sql`` : sql` AND id = ${id}`
      const rows = await ask(
        sql`SELECT ${FIELDS} ${ofKind}${one} ORDER BY changed_at DESC, id, version DESC LIMIT ${param('UInt32', limit)}`,
      )
      return rows.map(asVersion<T>)
    },
    add,
    addMany,
  }
}
