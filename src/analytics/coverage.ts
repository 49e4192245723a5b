import { sql } from '../clickhouse/index.ts'
import { DAY, HOUR } from './interval.ts'
import type { Covered } from './pick-source.ts'
import type { Run } from './run.ts'
import type { TimeRange } from './time-range.ts'

/** A day short of what the tables keep, counted from when a window was rolled up: a part goes when all of it is too old. */
const KEPT_MS = { hours: 399 * DAY, days: (5 * 365 - 1) * DAY }

interface Valid {
  job: 'hourly' | 'daily'
  /** Beginning of the window in seconds since 1970, and the run that counts for it; in order of time. */
  runs: [beginning: number, runId: string][]
}

/** Windows that follow one another without a gap. */
const stretches = (beginnings: readonly number[], length: number): TimeRange[] => {
  const found: TimeRange[] = []
  for (const beginning of beginnings) {
    const last = found.at(-1)
    if (last?.to === beginning) last.to += length
    else found.push({ from: beginning, to: beginning + length })
  }
  return found
}

/** Days whose hours all count and were not run again since the day was made of them. */
const upToDate = (days: ReadonlyMap<number, bigint>, hours: ReadonlyMap<number, bigint>): number[] =>
  [...days.keys()].filter((day) =>
    Array.from({ length: 24 }, (_, hour) => hours.get(day + hour * HOUR)).every(
      (runId) => runId !== undefined && runId < days.get(day)!,
    ),
  )

/** The hours and days within these ranges whose roll-ups count. */
export const coverage = async (run: Run, ranges: readonly TimeRange[], now: number): Promise<Covered> => {
  const from = Math.floor(Math.min(...ranges.map((range) => range.from)) / DAY) * DAY
  const to = Math.ceil(Math.max(...ranges.map((range) => range.to)) / DAY) * DAY
  const rows = await run<Valid>(sql`
    SELECT job, arraySort(groupArray((toUnixTimestamp(window_from), run_id))) AS runs FROM valid_runs
    WHERE finished_at >= multiIf(job = 'hourly', ${new Date(now - KEPT_MS.hours)}, job = 'daily', ${new Date(now - KEPT_MS.days)}, ${new Date(now)})
      AND job IN ('hourly', 'daily') AND window_from >= ${new Date(from)} AND window_from < ${new Date(to)}
    GROUP BY job`)
  const byBeginning = (job: Valid['job']) =>
    new Map(rows.find((row) => row.job === job)?.runs.map(([at, runId]) => [at * 1_000, BigInt(runId)]))
  const [hours, days] = [byBeginning('hourly'), byBeginning('daily')]
  return { hours: stretches([...hours.keys()], HOUR), days: stretches(upToDate(days, hours), DAY) }
}

const LOOK_BACK_MS = 7 * DAY

/**
 * The end of the newest hour that is closed, none of the seven days before it left out: an hour that was begun and did not
 * succeed holds it back. Null: none was
 * closed in that time.
 */
export const rollupThrough = async (run: Run, now: number): Promise<Date | null> => {
  const [row] = await run<{ newest: number; missing: number }>(sql`
    SELECT toUnixTimestamp(maxIf(window_from, done)) AS newest, toUnixTimestamp(minIf(window_from, NOT done)) AS missing
    FROM (
      SELECT window_from, countIf(status = 'succeeded') > 0 AS done FROM job_runs
      WHERE job = 'hourly' AND window_from >= ${new Date(now - LOOK_BACK_MS)} GROUP BY window_from
    )`)
  const [newest, missing] = [row!.newest * 1_000, row!.missing * 1_000]
  if (newest === 0) return null
  return new Date(missing > 0 && missing < newest ? missing : newest + HOUR)
}
