import { type ClickHouse, ident, join, param, type QueryOptions, raw, sql } from '../clickhouse/index.ts'

const DAY_MS = 86_400_000
/** What a run that counts for nothing has written is of use to nobody; it is left for a day, lest it is still at work. */
const ROWS_FOR_MS = DAY_MS
const RECORDS_FOR_MS = 30 * DAY_MS
/** Runs that are looked at in one go; more are left for the next hour. */
const MOST_RUNS = 10_000
/** Runs named in one statement, since they travel in its URL. */
const SLICE = 200

export interface RunCleaner {
  /** @returns rows that were deleted */
  clean: (now: number, signal?: AbortSignal) => Promise<number>
}

const runIds = (ids: readonly string[]) => param('Array(UInt64)', ids.map(BigInt))

/** How often it is looked for records that nothing refers to any longer. */
const FORGET_EVERY_MS = DAY_MS

/**
 * Deletes what runs have left that died, failed or were run again.
 * @param recordsForDays age at which the record of a run goes whose rows are all gone; longer than raw rows are kept, or the
 * window would be run again. Undefined: never
 */
export const createRunCleaner = (clickhouse: ClickHouse, recordsForDays?: number): RunCleaner => {
  /** Runs that have nothing left. A dead one writes no more. */
  const cleaned = new Set<string>()
  let forgotAt = -Infinity

  const tablesByRun = async (options: QueryOptions): Promise<string[]> =>
    (
      await clickhouse.query<{ table: string }>(
        sql`SELECT table FROM system.columns WHERE database = ${clickhouse.database} AND endsWith(table, '_by_run') AND name = 'run_id' ORDER BY table`,
        options,
      )
    ).rows.map(({ table }) => table)

  /** Records so old that no row refers to. */
  const forgotten = async (now: number, days: number, options: QueryOptions): Promise<string[]> => {
    const used = (await tablesByRun(options)).map(
      (table) => sql` AND run_id NOT IN (SELECT run_id FROM ${ident(table)})`,
    )
    const { rows } = await clickhouse.query<{ id: string }>(
      sql`SELECT toString(run_id) AS id FROM job_runs WHERE 1${join(used, '')} GROUP BY run_id HAVING max(recorded_at) < ${new Date(now - days * DAY_MS)} ORDER BY run_id LIMIT ${MOST_RUNS}`,
      options,
    )
    return rows.map(({ id }) => id)
  }

  const deleteSlice = async (table: string, ids: readonly string[], options: QueryOptions): Promise<number> => {
    const { rows } = await clickhouse.query<{ partition: string; rows: string }>(
      sql`SELECT _partition_id AS partition, count() AS rows FROM ${ident(table)} WHERE run_id IN ${runIds(ids)} GROUP BY partition ORDER BY partition`,
      options,
    )
    for (const { partition } of rows) {
      if (!/^\w+$/.test(partition)) throw new Error(`${table} has a partition ${JSON.stringify(partition)}`)
      await clickhouse.command(
        sql`ALTER TABLE ${ident(table)} DELETE IN PARTITION ID ${raw(`'${partition}'`)} WHERE run_id IN ${runIds(ids)}`,
        options,
      )
    }
    return rows.reduce((sum, { rows }) => sum + Number(rows), 0)
  }

  const deleteRows = async (table: string, ids: readonly string[], options: QueryOptions): Promise<number> => {
    let deleted = 0
    for (let from = 0; from < ids.length; from += SLICE)
      deleted += await deleteSlice(table, ids.slice(from, from + SLICE), options)
    return deleted
  }

  return {
    clean: async (now, signal) => {
      const options: QueryOptions = {
        signal,
        comment: 'job cleanup runs',
        maxExecutionSeconds: 3_600,
        settings: { mutations_sync: 2 },
      }
      const { rows: stale } = await clickhouse.query<{ id: string; replaced: number; at: string }>(
        sql`SELECT toString(r.run_id) AS id, toUnixTimestamp64Milli(CAST(max(r.recorded_at), 'DateTime64(3)')) AS at, max(v.run_id) > 0 AS replaced FROM job_runs AS r LEFT JOIN valid_runs AS v ON v.job = r.job AND v.window_from = r.window_from GROUP BY r.job, r.window_from, r.run_id HAVING r.run_id != max(v.run_id) AND max(r.recorded_at) < ${new Date(now - ROWS_FOR_MS)} ORDER BY at DESC, id LIMIT ${MOST_RUNS}`,
        options,
      )
      const open = stale.map(({ id }) => id).filter((id) => !cleaned.has(id))
      let deleted = 0
      if (open.length > 0) {
        for (const table of await tablesByRun(options)) deleted += await deleteRows(table, open, options)
        for (const id of open) cleaned.add(id)
      }
      const old = stale.filter(({ at, replaced }) => replaced && Number(at) < now - RECORDS_FOR_MS).map(({ id }) => id)
      if (old.length > 0) deleted += await deleteRows('job_runs', old, options)
      for (const id of old) cleaned.delete(id)
      if (recordsForDays !== undefined && now - forgotAt >= FORGET_EVERY_MS) {
        deleted += await deleteRows('job_runs', await forgotten(now, recordsForDays, options), options)
        forgotAt = now
      }
      return deleted
    },
  }
}
