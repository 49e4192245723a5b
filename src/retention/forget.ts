import { type ClickHouse, ident, join, type Sql, sql } from '../clickhouse/index.ts'
import { ASIDE } from './anonymise.ts'
import { identityOf } from './identity.ts'

/** An address to be forgotten. */
export interface Forgotten {
  /** As people write it. */
  text: string
  /** What limits and summaries count: the address, or of IPv6 its /64. */
  counted: string
}

export interface ForgetOptions {
  /** Of the hash, where addresses are hashed with age: hashed rows of the address go too. */
  secret?: string | undefined
  signal?: AbortSignal | undefined
}

/** Rows of the address by table, those without any left out. */
export type RowsByTable = Record<string, number>

/** A job may move rows while they are looked for. */
const MOST_ROUNDS = 5
const RAW = ['request_logs', 'decisions', ...ASIDE]

const is = (column: string, values: readonly Sql[]): Sql => sql`${ident(column)} IN (${join(values)})`

/** Which rows of which tables are about the address. */
const targets = async (
  clickhouse: ClickHouse,
  { text, counted }: Forgotten,
  secret: string | undefined,
): Promise<[table: string, condition: Sql][]> => {
  const { rows } = await clickhouse.query<{ table: string; columns: string[] }>(
    sql`SELECT c.table AS table, groupArray(c.name) AS columns FROM system.columns AS c INNER JOIN system.tables AS t ON t.database = c.database AND t.name = c.table WHERE c.database = ${clickhouse.database} AND endsWith(t.engine, 'MergeTree') AND c.name IN ('ip', 'counted', 'address') AND (c.table IN ${RAW} OR endsWith(c.table, '_by_run')) GROUP BY table ORDER BY table`,
  )
  const first = counted.replace(/\/.*$/, '')
  const hashing = secret === undefined ? undefined : identityOf({ by: 'hash', secret })
  const address = (ip: string): Sql[] => {
    const own = sql`toIPv6(${ip})`
    return hashing ? [own, hashing.address(own)] : [own]
  }
  const asCounted = (name: string): Sql[] => (hashing ? [sql`${name}`, hashing.counted(sql`${name}`)] : [sql`${name}`])
  return [
    ...rows.map(({ table, columns }): [string, Sql] => [
      table,
      RAW.includes(table)
        ? join(
            [
              is('ip', address(text)),
              ...(columns.includes('counted') ? [is('counted', [...asCounted(counted), ...asCounted(text)])] : []),
            ],
            ' OR ',
          )
        : is('address', address(first)),
    ]),
    ['store_versions', sql`kind = 'verdict' AND id IN ${[...new Set([text, counted, first, `::ffff:${text}`])]}`],
  ]
}

const countOf = async (
  clickhouse: ClickHouse,
  all: readonly (readonly [string, Sql])[],
  signal: AbortSignal | undefined,
): Promise<RowsByTable> => {
  const found: RowsByTable = {}
  for (const [table, condition] of all) {
    const { rows } = await clickhouse.query<{ rows: string }>(
      sql`SELECT count() AS rows FROM ${ident(table)} WHERE ${condition}`,
      { signal, comment: 'forget', maxExecutionSeconds: 600, settings: { log_queries: 0 } },
    )
    const count = Number(rows[0]!.rows)
    if (count > 0) found[table] = count
  }
  return found
}

/** How many rows there are of the address. @throws {ClickHouseError} */
export const countRowsOf = async (
  clickhouse: ClickHouse,
  forgotten: Forgotten,
  { secret, signal }: ForgetOptions = {},
): Promise<RowsByTable> => countOf(clickhouse, await targets(clickhouse, forgotten, secret), signal)

/**
 * Deletes all rows of the address; they are gone when it resolves. Roll-ups hold no addresses and stay.
 * Processes that hold verdicts in memory see within their next poll that these are gone.
 * @returns what was deleted
 * @throws {ClickHouseError}
 * @throws {Error} rows of the address come in faster than they go
 */
export const forget = async (
  clickhouse: ClickHouse,
  forgotten: Forgotten,
  { secret, signal }: ForgetOptions = {},
): Promise<RowsByTable> => {
  const deleted: RowsByTable = {}
  for (let round = 0; round < MOST_ROUNDS; round++) {
    // Asked for anew each time: a job may have made or dropped a table.
    const all = await targets(clickhouse, forgotten, secret)
    const found = await countOf(clickhouse, all, signal)
    if (Object.keys(found).length === 0) return deleted
    for (const [table, condition] of all) {
      const rows = found[table]
      if (rows === undefined) continue
      await clickhouse.command(sql`ALTER TABLE ${ident(table)} DELETE WHERE ${condition}`, {
        signal,
        comment: 'forget',
        maxExecutionSeconds: 3_600,
        settings: { mutations_sync: 2, log_queries: 0 },
      })
      deleted[table] = (deleted[table] ?? 0) + rows
    }
  }
  throw new Error(`rows of ${forgotten.text} keep coming in; block it first, or run this again later`)
}
