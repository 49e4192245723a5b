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
/** Of one statement, in whose URL their ids travel; the next round takes more. */
const MOST_MAILS = 1_000
const RAW = ['request_logs', 'decisions', ...ASIDE]

const is = (column: string, values: readonly Sql[]): Sql => sql`${ident(column)} IN (${join(values)})`

/** Whether a text is the address, or of IPv6 one of its /64. */
const inTexts = (texts: Sql, first: string): Sql =>
  sql`arrayExists(x -> if(x BETWEEN toIPv6('::ffff:0.0.0.0') AND toIPv6('::ffff:255.255.255.255'), x, tupleElement(IPv6CIDRToRange(x, 64), 1)) = toIPv6(${first}), arrayMap(t -> toIPv6OrZero(t), ${texts}))`

/** Addresses that the notice of an incident shows. */
const shownIn = (notice: Sql): Sql =>
  sql`arrayMap(a -> JSONExtractString(a, 'ip'), JSONExtractArrayRaw(${notice}, 'addresses'))`

/** Mails of notices with the address: all rows of each, since a mail of which some are missing could be sent once more. */
const mailsWith = async (clickhouse: ClickHouse, first: string): Promise<Sql> => {
  const { rows } = await clickhouse.query<{ id: string }>(
    sql`SELECT DISTINCT id FROM deliveries WHERE kind = 'INCIDENT' AND ${inTexts(shownIn(sql`content`), first)} ORDER BY id LIMIT ${MOST_MAILS}`,
    { comment: 'forget', maxExecutionSeconds: 600, settings: { log_queries: 0 } },
  )
  return rows.length === 0 ? sql`0` : sql`id IN ${rows.map(({ id }) => id)}`
}

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
    [
      'store_versions',
      sql`(kind = 'verdict' AND id IN ${[...new Set([text, counted, first, `::ffff:${text}`])]}) OR (kind = 'incident' AND (${inTexts(shownIn(sql`JSONExtractRaw(body, 'notice')`), first)} OR ${inTexts(sql`JSONExtract(body, 'told', 'Array(String)')`, first)}))`,
    ],
    ['deliveries', await mailsWith(clickhouse, first)],
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
 * Deletes all rows of the address; they are gone when it resolves. Roll-ups hold no addresses and stay. Notices of incidents go whole, with
 * the mails of them: who wants to keep what they tell of others takes the address out before.
 * Processes that hold verdicts or notices in memory see within their next poll that these are gone.
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
