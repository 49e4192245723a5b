import { type ClickHouse, raw } from '../../src/clickhouse/index.ts'
import { createRollups, type RollupResult } from '../../src/rollups/index.ts'

const LENGTHS = { hourly: 3_600_000, daily: 86_400_000 } as const
type JobName = keyof typeof LENGTHS

let runs = 0

const nextRunId = (): string => String(BigInt(Date.now()) * 1_000n + BigInt(++runs))

interface Run {
  job: JobName
  from: Date
  runId: string
  status: string
}

const stamp = (date: Date) => date.toISOString().slice(0, -1).replace('T', ' ')

/** What the scheduler writes last. */
const record = async (clickhouse: ClickHouse, list: readonly Run[]): Promise<void> => {
  const now = stamp(new Date())
  const lines = list.map(({ job, from, runId, status }) => {
    const [begins, ends] = [from, new Date(from.getTime() + LENGTHS[job])].map((date) => stamp(date).slice(0, 19))
    return JSON.stringify([job, begins, ends, runId, status, 1, now, now])
  })
  await clickhouse.insert({
    table: 'job_runs',
    columns: ['job', 'window_from', 'window_to', 'run_id', 'status', 'attempt', 'finished_at', 'recorded_at'],
    rows: Buffer.from(lines.join('\n')),
    deduplicationToken: `runs ${list[0]!.job} ${list[0]!.runId} ${list[0]!.status}`,
  })
}

const windows = (from: string, to: string, length: number): Date[] =>
  Array.from(
    { length: (Date.parse(to) - Date.parse(from)) / length },
    (_, index) => new Date(Date.parse(from) + index * length),
  )

/** Hours without requests, which leave no rows. */
export const closeIdle = (clickhouse: ClickHouse, from: string, to: string): Promise<void> =>
  record(
    clickhouse,
    windows(from, to, LENGTHS.hourly).map((begins) => ({
      job: 'hourly',
      from: begins,
      runId: nextRunId(),
      status: 'succeeded',
    })),
  )

export interface Closing {
  job?: JobName
  /** How the run is recorded; undefined: not at all, as of one that died. */
  status?: 'succeeded' | 'failed' | 'running' | undefined
}

/** Runs the roll-ups of the windows in [from, to), each under a run of its own, as the jobs do. */
export const close = async (
  clickhouse: ClickHouse,
  from: string,
  to: string,
  { job = 'hourly', ...closing }: Closing = {},
): Promise<RollupResult[]> => {
  const rollups = createRollups({ clickhouse })
  const results: RollupResult[] = []
  const status = 'status' in closing ? closing.status : 'succeeded'
  for (const begins of windows(from, to, LENGTHS[job])) {
    const runId = nextRunId()
    const window = { from: begins, to: new Date(begins.getTime() + LENGTHS[job]) }
    results.push(await rollups.run({ window, runId, signal: new AbortController().signal }))
    if (status) await record(clickhouse, [{ job, from: begins, runId, status }])
  }
  return results
}

/** All rows of a roll-up that count, in an order that does not depend on how they were written; sketches as what they tell. */
export const rowsOf = async (clickhouse: ClickHouse, view: string): Promise<object[]> => {
  const sketches =
    view === 'service_sketches'
      ? ` REPLACE (finalizeAggregation(duration_sketch) AS duration_sketch, finalizeAggregation(ip_sketch) AS ip_sketch, finalizeAggregation(path_sketch) AS path_sketch, finalizeAggregation(user_agent_sketch) AS user_agent_sketch)`
      : ''
  const { rows } = await clickhouse.query<object>(raw(`SELECT * EXCEPT run_id${sketches} FROM ${view} ORDER BY ALL`))
  return rows
}
