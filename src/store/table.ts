import { type ClickHouse, ClickHouseError, param, type Sql, sql } from '../clickhouse/index.ts'
import { StoreError, type Version } from './types.ts'

/** The rows of one kind in `store_versions`. */
export interface Table<T> {
  /** Changes whenever a row came in. */
  mark: () => Promise<string>
  newest: () => Promise<Version<T>[]>
  newestOf: (id: string) => Promise<Version<T> | undefined>
  history: (filter: { id?: string | undefined; limit: number }) => Promise<Version<T>[]>
  /** False: somebody else wrote this version of this thing before. */
  add: (version: Version<T>) => Promise<boolean>
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

const COLUMNS = ['kind', 'id', 'version', 'body', 'changed_at', 'changed_by'] as const

const FIELDS = sql`id, version, body, toUnixTimestamp64Milli(changed_at) AS changedAt, changed_by AS changedBy`

const asVersion = <T>(row: Row): Version<T> => ({
  id: row.id,
  version: Number(row.version),
  value: row.body === '' ? undefined : (JSON.parse(row.body) as T),
  changedAt: new Date(Number(row.changedAt)),
  changedBy: row.changedBy,
})

const asStoreError = (error: unknown): unknown => {
  if (!(error instanceof ClickHouseError)) return error
  if (error.type === 'UNKNOWN_TABLE' || error.type === 'UNKNOWN_DATABASE')
    return new StoreError('UNAVAILABLE', 'the tables are not there yet; run `vedette migrate`', { cause: error })
  const reason = error.kind === 'cancelled' ? `ClickHouse gave no answer within ${DEADLINE_MS} ms` : error.message
  return new StoreError('UNAVAILABLE', reason, { cause: error })
}

export const createTable = <T>(clickhouse: ClickHouse, kind: string): Table<T> => {
  const ask = async (query: Sql): Promise<Row[]> => {
    try {
      const { rows } = await clickhouse.query<Row>(query, {
        signal: AbortSignal.timeout(DEADLINE_MS),
        comment: `store ${kind}`,
      })
      return rows
    } catch (error) {
      throw asStoreError(error)
    }
  }
  const ofKind = sql`FROM store_versions WHERE kind = ${kind}`

  const newestOf = async (id: string) => {
    const [row] = await ask(sql`SELECT ${FIELDS} ${ofKind} AND id = ${id} ORDER BY store_versions.version DESC LIMIT 1`)
    return row && asVersion<T>(row)
  }

  const add = async ({ id, version, value, changedAt, changedBy }: Version<T>): Promise<boolean> => {
    const body = value === undefined ? '' : JSON.stringify(value)
    const at = changedAt.toISOString().slice(0, -1).replace('T', ' ')
    try {
      await clickhouse.insert({
        table: 'store_versions',
        columns: COLUMNS,
        rows: Buffer.from(`${JSON.stringify([kind, id, version, body, at, changedBy])}\n`),
        // ClickHouse has no compare-and-set, but of two inserts with one token it takes the first and passes over the second.
        deduplicationToken: `store:${kind}:${id}:${version}`,
        signal: AbortSignal.timeout(DEADLINE_MS),
      })
    } catch (error) {
      throw asStoreError(error)
    }
    const [row] = await ask(
      sql`SELECT ${FIELDS} ${ofKind} AND id = ${id} AND version = ${param('UInt64', version)} LIMIT 1`,
    )
    return row?.body === body && row.changedBy === changedBy && Number(row.changedAt) === changedAt.getTime()
  }

  return {
    mark: async () => JSON.stringify(await ask(sql`SELECT count() AS rows, max(changed_at) AS last ${ofKind}`)),
    newest: async () =>
      (await ask(sql`SELECT ${FIELDS} ${ofKind} ORDER BY id, version DESC LIMIT 1 BY id`)).map(asVersion<T>),
    newestOf,
    history: async ({ id, limit }) => {
      const one = id === undefined ? sql`` : sql` AND id = ${id}`
      const rows = await ask(
        sql`SELECT ${FIELDS} ${ofKind}${one} ORDER BY changed_at DESC, id, version DESC LIMIT ${param('UInt32', limit)}`,
      )
      return rows.map(asVersion<T>)
    },
    add,
  }
}
