import { type ClickHouse, ident, join, type QueryOptions, type Sql, sql } from '../clickhouse/index.ts'

/** A table of this name is a copy for the time of a back-up; its parts are hard links, so it takes no time and no room. */
export const frozen = (table: string): string => `${table}_frozen`
/** Rows on their way back. */
export const restoring = (table: string): string => `${table}_restoring`

/** Enough for hundreds of millions of rows. */
const LONGEST_SECONDS = 12 * 3_600

export const options = (signal: AbortSignal | undefined): QueryOptions => ({
  signal,
  comment: 'backup',
  maxExecutionSeconds: LONGEST_SECONDS,
  settings: {
    // A back-up has time; those who ask have not.
    max_threads: 1,
    // Not null for NaN and the infinite: what is read back must be what was written.
    output_format_json_quote_denormals: 1,
    // A server's guards against dropping large tables by mistake.
    max_table_size_to_drop: 0,
    max_partition_size_to_drop: 0,
  },
})

export interface Tables {
  /** Those that hold rows, without the record of migrations. */
  list: () => Promise<string[]>
  /** True: rows are being moved to be made anonymous, and some are in two places or none. */
  moving: () => Promise<boolean>
  columnsOf: (table: string) => Promise<string[]>
  /** Makes an empty table like another, from which no row ever goes by age. */
  createLike: (table: string, like: string) => Promise<void>
  /** Adds all rows of one table to another like it, by hard links. */
  attachAll: (to: string, from: string) => Promise<void>
  empty: (table: string) => Promise<void>
  drop: (table: string) => Promise<void>
  /** Drops what a back-up or a restore that was cut off has left. */
  dropLeftovers: () => Promise<void>
  /** Those that hold no row at all. */
  emptyOnes: () => Promise<ReadonlySet<string>>
  count: (table: string, where: Sql) => Promise<number>
  sum: (table: string, columns: readonly string[], where: Sql) => Promise<{ rows: number; checksum: string }>
}

export const createTables = (clickhouse: ClickHouse, signal?: AbortSignal): Tables => {
  const run = (statement: Sql): Promise<void> => clickhouse.command(statement, options(signal))
  const ask = async <Row extends object>(query: Sql): Promise<Row[]> =>
    (await clickhouse.query<Row>(query, options(signal))).rows
  const named = async (condition: Sql): Promise<string[]> =>
    (
      await ask<{ name: string }>(
        sql`SELECT name FROM system.tables WHERE database = ${clickhouse.database} AND endsWith(engine, 'MergeTree') AND name != 'schema_migrations' AND (${condition}) ORDER BY name`,
      )
    ).map(({ name }) => name)

  const describe = (table: string): Promise<{ name: string; type: string }[]> =>
    ask(
      sql`SELECT name, type FROM system.columns WHERE database = ${clickhouse.database} AND table = ${table} AND default_kind IN ('', 'DEFAULT') ORDER BY position`,
    )

  const isTemporary = sql`endsWith(name, ${frozen('')}) OR endsWith(name, ${restoring('')})`
  const isAside = sql`endsWith(name, '_aside')`
  let ttls: Promise<ReadonlySet<string>> | undefined
  const drop = (table: string): Promise<void> => run(sql`DROP TABLE IF EXISTS ${ident(table)} SYNC`)

  return {
    list: () => named(sql`NOT (${isTemporary} OR ${isAside})`),
    moving: async () => (await named(isAside)).length > 0,
    columnsOf: async (table) => (await describe(table)).map(({ name }) => name),
    createLike: async (table, like) => {
      await run(sql`CREATE TABLE ${ident(table)} AS ${ident(like)}`)
      ttls ??= named(sql`position(engine_full, ' TTL ') > 0`).then((names) => new Set(names))
      if ((await ttls).has(like)) await run(sql`ALTER TABLE ${ident(table)} REMOVE TTL`)
    },
    attachAll: (to, from) => run(sql`ALTER TABLE ${ident(to)} ATTACH PARTITION ALL FROM ${ident(from)}`),
    empty: (table) => run(sql`TRUNCATE TABLE ${ident(table)} SYNC`),
    drop,
    dropLeftovers: async () => {
      await Promise.all((await named(isTemporary)).map(drop))
    },
    emptyOnes: async () => new Set(await named(sql`total_rows = 0`)),
    count: async (table, where) => {
      const [row] = await ask<{ rows: number }>(sql`SELECT count() AS rows FROM ${ident(table)} WHERE ${where}`)
      return row!.rows
    },
    sum: async (table, columns, where) => {
      const types = new Map((await describe(table)).map(({ name, type }) => [name, type]))
      // Of sketches what they say: the order of what is in them changes when they are read and written again.
      const values = columns.map((name) =>
        types.get(name)?.startsWith('AggregateFunction(') ? sql`finalizeAggregation(${ident(name)})` : ident(name),
      )
      // Of the text of a row, since not every type can be hashed as it is.
      const text = sql`formatRowNoNewline('JSONCompactEachRow', ${join(values)})`
      const [row] = await ask<{ rows: number; checksum: string }>(
        sql`SELECT count() AS rows, toString(sum(cityHash64(${text}))) AS checksum FROM ${ident(table)} WHERE ${where}`,
      )
      return { rows: row!.rows, checksum: row!.checksum }
    },
  }
}
