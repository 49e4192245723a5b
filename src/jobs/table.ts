import { type ClickHouse, param, type Sql, sql } from '../clickhouse/index.ts'
import { JOB_RUN_ID } from './ids.ts'
import type { WindowState } from './plan.ts'
import type { JobRun, JobRunFilter, JobStatus } from './types.ts'

/** Of several rows of a run the latest counts, but that it succeeded is never taken back: readers may have seen its rows. */
const NEWEST_OF_RUN = sql`ORDER BY run_id DESC, status = 'succeeded' DESC, recorded_at DESC, status DESC LIMIT 1 BY run_id`

const FIELDS = sql`
  toString(run_id) AS runId, job, toString(status) AS state,
  toUnixTimestamp(window_from) AS windowFrom, toUnixTimestamp(window_to) AS windowTo, attempt, requested_by AS requestedBy,
  toUnixTimestamp64Milli(scheduled_for) AS scheduledFor, toUnixTimestamp64Milli(started_at) AS startedAt,
  toUnixTimestamp64Milli(finished_at) AS finishedAt, window_rows AS windowRows, rows_read AS rowsRead,
  rows_written AS rowsWritten, error`

interface Row {
  runId: string
  job: string
  state: string
  windowFrom: number
  windowTo: number
  attempt: number
  requestedBy: string
  scheduledFor: number
  startedAt: number | null
  finishedAt: number | null
  windowRows: number
  rowsRead: number
  rowsWritten: number
  error: string
}

const dateOf = (ms: number | null): Date | null => (ms === null ? null : new Date(ms))

const runOf = ({ state, windowFrom, windowTo, scheduledFor, startedAt, finishedAt, error, ...rest }: Row): JobRun => ({
  id: `${JOB_RUN_ID}${rest.runId}`,
  ...rest,
  status: state.toUpperCase() as JobStatus,
  window: { from: new Date(windowFrom * 1000), to: new Date(windowTo * 1000) },
  scheduledFor: new Date(scheduledFor),
  startedAt: dateOf(startedAt),
  finishedAt: dateOf(finishedAt),
  error: error === '' ? null : error,
})

const COLUMNS = [
  'job',
  'window_from',
  'window_to',
  'run_id',
  'status',
  'attempt',
  'requested_by',
  'scheduled_for',
  'started_at',
  'finished_at',
  'window_rows',
  'rows_read',
  'rows_written',
  'error',
  'recorded_at',
] as const

const stamp = (date: Date): string => date.toISOString().slice(0, -1).replace('T', ' ')
const second = (date: Date): string => stamp(date).slice(0, 19)
const stampOf = (date: Date | null): string | null => date && stamp(date)

/** Microseconds, rising within this process, so that of two rows of a run the later counts. */
const createClock = (): (() => string) => {
  let last = 0
  return () => {
    last = Math.max(Date.now() * 1000, last + 1)
    return `${stamp(new Date(last / 1000))}${String(last % 1000).padStart(3, '0')}`
  }
}

/** Runs of one insert: those of windows of an hour are in two or three partitions, of a day in 33; a hundred are allowed. */
const MOST_AT_ONCE = 1_000

export interface RunTable {
  /** A change of state of each. Once more after a failure stores it once. @throws {ClickHouseError} */
  record: (runs: readonly JobRun[], options?: { signal?: AbortSignal | undefined }) => Promise<void>
  /** Newest first. @throws {ClickHouseError} */
  list: (filter: JobRunFilter) => Promise<{ runs: JobRun[]; total: number }>
  /** In the order of the ids. @throws {ClickHouseError} */
  byIds: (runIds: readonly string[]) => Promise<JobRun[]>
  /** Runs that are not over, oldest first. @throws {ClickHouseError} */
  open: (job: string, signal?: AbortSignal) => Promise<JobRun[]>
  /** Jobs that somebody has asked for within the hour, and that wait; older ones are seen when a worker starts. @throws {ClickHouseError} */
  wanted: () => Promise<Set<string>>
  /** By the beginning of the window in ms, oldest first. @throws {ClickHouseError} */
  states: (job: string, signal?: AbortSignal) => Promise<Map<number, WindowState>>
}

interface StateRow {
  start: number
  attempts: number
  /** Ended, began, rows; oldest first. */
  valid: [finishedAt: number, startedAt: number, windowRows: number][]
  failed: number[]
  /** Beginnings of runs that were cut off. */
  cutOff: number[]
}

const stateOf = ({ attempts, valid, failed, cutOff }: StateRow): WindowState => {
  const last = valid.at(-1)
  const grew = valid.findLast(([, , rows], index) => rows > (valid[index - 1]?.[2] ?? 0))
  const since = failed.filter((at) => at > (last?.[0] ?? 0))
  return {
    attempts,
    valid: last && { finishedAt: last[0], startedAt: last[1], windowRows: last[2] },
    grewAt: grew?.[0],
    failures: since.length,
    failedAt: since.at(-1) ?? 0,
    cutOffAt: cutOff.at(-1) ?? 0,
  }
}

const ofJob = (job: string | undefined): Sql => (job === undefined ? sql`` : sql`WHERE job = ${job}`)

export const createRunTable = (clickhouse: ClickHouse): RunTable => {
  const comment = 'jobs'
  const clock = createClock()

  const lineOf = (run: JobRun): string =>
    `${JSON.stringify([
      run.job,
      second(run.window.from),
      second(run.window.to),
      run.runId,
      run.status.toLowerCase(),
      run.attempt,
      run.requestedBy,
      stamp(run.scheduledFor),
      stampOf(run.startedAt),
      stampOf(run.finishedAt),
      run.windowRows,
      run.rowsRead,
      run.rowsWritten,
      run.error ?? '',
      clock(),
    ])}\n`

  const select = async (query: Sql, signal?: AbortSignal): Promise<JobRun[]> =>
    (await clickhouse.query<Row>(query, { comment, signal })).rows.map(runOf)

  return {
    record: async (runs, { signal } = {}) => {
      for (let first = 0; first < runs.length; first += MOST_AT_ONCE) {
        const some = runs.slice(first, first + MOST_AT_ONCE)
        await clickhouse.insert({
          table: 'job_runs',
          columns: COLUMNS,
          rows: Buffer.from(some.map(lineOf).join('')),
          deduplicationToken: `job_runs:${some[0]!.runId}:${some.length}:${some[0]!.status}`,
          signal,
        })
      }
    },
    list: async ({ job, status, before, limit }) => {
      const runs = sql`(SELECT * FROM job_runs ${ofJob(job)} ${NEWEST_OF_RUN})`
      const wanted = status === undefined ? sql`1` : sql`status = ${status.toLowerCase()}`
      const older = before === undefined ? sql`1` : sql`run_id < ${param('UInt64', before)}`
      const [page, count] = await Promise.all([
        select(
          sql`SELECT ${FIELDS} FROM (SELECT * FROM ${runs} WHERE ${wanted} AND ${older} ORDER BY run_id DESC LIMIT ${param('UInt32', limit)}) ORDER BY run_id DESC`,
        ),
        clickhouse.query<{ total: number }>(sql`SELECT count() AS total FROM ${runs} WHERE ${wanted}`, { comment }),
      ])
      return { runs: page, total: count.rows[0]!.total }
    },
    byIds: async (runIds) => {
      const ids = sql`arrayMap(id -> toUInt64(id), ${[...runIds]})`
      const runs = await select(
        sql`SELECT ${FIELDS} FROM (SELECT * FROM job_runs WHERE has(${ids}, run_id) ${NEWEST_OF_RUN})`,
      )
      const place = new Map(runIds.map((id, index) => [id, index]))
      return runs.toSorted((a, b) => place.get(a.runId)! - place.get(b.runId)!)
    },
    open: (job, signal) =>
      select(
        sql`SELECT ${FIELDS} FROM (SELECT * FROM job_runs ${ofJob(job)} ${NEWEST_OF_RUN}) WHERE status IN ('queued', 'running') ORDER BY window_from, run_id`,
        signal,
      ),
    wanted: async () => {
      const { rows } = await clickhouse.query<{ job: string }>(
        sql`SELECT DISTINCT job FROM job_runs WHERE recorded_at > now() - INTERVAL 1 HOUR GROUP BY job, run_id HAVING max(status) = 'queued'`,
        { comment },
      )
      return new Set(rows.map(({ job }) => job))
    },
    states: async (job, signal) => {
      const { rows } = await clickhouse.query<StateRow>(
        sql`
          SELECT
            toUnixTimestamp(window_from) * 1000 AS start,
            countIf(status IN ('running', 'succeeded', 'failed')) AS attempts,
            arrayMap(run -> (run.1, run.3, run.4), arraySort(groupArrayIf((ended, run_id, began, window_rows), status = 'succeeded'))) AS valid,
            arraySort(groupArrayIf(ended, status = 'failed' AND finished_at IS NOT NULL)) AS failed,
            arraySort(groupArrayIf(began, status = 'failed' AND finished_at IS NULL)) AS cutOff
          FROM
          (
            SELECT *,
              toUnixTimestamp64Milli(ifNull(finished_at, scheduled_for)) AS ended,
              toUnixTimestamp64Milli(ifNull(started_at, scheduled_for)) AS began
            FROM job_runs ${ofJob(job)} ${NEWEST_OF_RUN}
          )
          WHERE status != 'queued'
          GROUP BY window_from
          ORDER BY window_from`,
        { comment, signal },
      )
      return new Map(rows.map((row) => [row.start, stateOf(row)]))
    },
  }
}
