import type { Logger } from 'pino'

import { bind, type ClickHouse, ident, join, param, type QueryOptions, type Sql, sql } from '../clickhouse/index.ts'
import { readRollups, type Rollup } from './read.ts'

/** What a job tells of the window to do, as src/jobs has it. */
export interface RollupContext {
  /** Half-open: [from, to). */
  window: { from: Date; to: Date }
  /** A UInt64 as text. Rows count once the run of that id is recorded as succeeded. */
  runId: string
  signal: AbortSignal
}

export interface RollupResult {
  /** Requests of the window, once for each file that read them; of a day, rows of its hours. */
  rowsRead: number
  rowsWritten: number
}

export interface Rollups {
  /**
   * Fills the tables of the window's length (an hour, a day), one after the other, from what the store holds now. Run again
   * under another id it writes the rows anew, and readers follow the run that counts.
   * @throws {ClickHouseError}
   * @throws {RangeError} a window for which there is no file
   */
  run: (context: RollupContext) => Promise<RollupResult>
}

export interface RollupsDependencies {
  clickhouse: ClickHouse
  log?: Logger
}

const OPTIONS = {
  comment: 'rollups',
  maxExecutionSeconds: 600,
  settings: {
    max_memory_usage: 2 * 2 ** 30,
    // From half of that on groups go to disk: putting them together again takes the other half.
    max_bytes_before_external_group_by: 2 ** 30,
    max_bytes_ratio_before_external_group_by: 0,
  },
} satisfies QueryOptions

const stamp = (date: Date): string => date.toISOString().slice(0, -1).replace('T', ' ')

export const createRollups = ({ clickhouse, log }: RollupsDependencies): Rollups => {
  const columns = new Map<string, readonly string[]>()
  let files: readonly Rollup[] | undefined

  /** The names that a file gives its columns: the INSERT lists them, so their order is the file's own affair. */
  const columnsOf = async ({ name }: Rollup, select: Sql, options: QueryOptions): Promise<readonly string[]> => {
    const known = columns.get(name)
    if (known) return known
    const { rows } = await clickhouse.query<{ name: string }>(sql`DESCRIBE (${select})`, options)
    const found = rows.map((column) => column.name)
    columns.set(name, found)
    return found
  }

  /** @returns rows written */
  const fill = async (rollup: Rollup, { window, runId, signal }: RollupContext): Promise<number> => {
    const started = performance.now()
    const options = { ...OPTIONS, signal }
    const select = bind(rollup.select, { from: stamp(window.from), to: stamp(window.to), run_id: runId })
    const names = await columnsOf(rollup, select, options)
    const table = ident(rollup.table)
    await clickhouse.command(sql`INSERT INTO ${table} (${join(names.map(ident))}) ${select}`, options)
    // The first column of each file is its hour or day.
    const { rows } = await clickhouse.query<{ written: number }>(
      sql`SELECT count() AS written FROM ${table} WHERE ${ident(names[0]!)} = ${window.from} AND run_id = ${param('UInt64', runId)}`,
      options,
    )
    const written = rows[0]!.written
    log?.debug(
      { rollup: rollup.name, from: window.from, written, ms: Math.round(performance.now() - started) },
      'rolled up',
    )
    return written
  }

  return {
    run: async (context) => {
      files ??= await readRollups()
      const { from, to } = context.window
      const seconds = (to.getTime() - from.getTime()) / 1_000
      const due = files.filter(({ windowSeconds }) => windowSeconds === seconds)
      if (due.length === 0) throw new RangeError(`the window is ${seconds} s long; roll-ups are of an hour or a day`)
      let rowsWritten = 0
      for (const rollup of due) rowsWritten += await fill(rollup, context)
      return { rowsRead: due.length * (await rowsIn(clickhouse, context, seconds)), rowsWritten }
    },
  }
}

const rowsIn = async (clickhouse: ClickHouse, { window, signal }: RollupContext, seconds: number): Promise<number> => {
  const { from, to } = window
  const { rows } = await clickhouse.query<{ rows: number }>(
    seconds === 3_600
      ? sql`SELECT count() AS rows FROM request_logs WHERE timestamp >= ${from} AND timestamp < ${to} AND toStartOfHour(timestamp) = ${from}`
      : sql`SELECT count() AS rows FROM service_hours WHERE hour >= ${from} AND hour < ${to}`,
    { ...OPTIONS, signal },
  )
  return rows[0]!.rows
}
