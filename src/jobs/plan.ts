import type { Job, JobRun, JobWindow } from './types.ts'
import { dueAt, lastDue, lengthOf, windowAt } from './windows.ts'

/** What the records say of one window. Times are epoch ms. */
export interface WindowState {
  /** Runs that began. */
  attempts: number
  /** The run that counts. */
  valid: { startedAt: number; finishedAt: number; windowRows: number } | undefined
  /** When the valid run last had more rows than the one before it. */
  grewAt: number | undefined
  /** Failures since the valid run, and the end of the last one. */
  failures: number
  failedAt: number
  /** Beginning of the last run that was cut off; 0: none was. */
  cutOffAt: number
}

/** - `settle`: recorded without running: nothing happened in it, or (SKIPPED) a later one does for it */
export interface Step {
  kind: 'run' | 'settle'
  window: JobWindow
  windowRows: number
  attempt: number
  /** That somebody asked for. */
  queued?: JobRun
  /** Only because an earlier window that it looks back at is run again before. */
  follows?: boolean
  skipped?: boolean
}

export interface Plan {
  /** Oldest window first. */
  steps: Step[]
  /** Every window before it is done. */
  doneUntil: number
  /** When the first of the windows that failed is to be tried again. */
  retryAt: number | undefined
}

export interface Known {
  states: ReadonlyMap<number, WindowState>
  queued: readonly JobRun[]
  /** Rows by the beginning of the window; undefined: the job does not count them. Windows that are not in it have none. */
  counts: ReadonlyMap<number, number> | undefined
  now: number
}

/** Then it waits for somebody to mend it: some six hours after the first. */
export const MOST_FAILURES = 12
const FIRST_PAUSE_MS = 60_000
const LONGEST_PAUSE_MS = 3_600_000

/** When a window is tried again after so many failures in a row; undefined: not by itself. */
export const retryAfter = (failures: number, failedAt: number): number | undefined =>
  failures >= MOST_FAILURES ? undefined : failedAt + Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS)

const least = (numbers: Iterable<number>, otherwise: number): number => {
  let least = otherwise
  for (const number of numbers) if (number < least) least = number
  return least
}

/** The first window that is to be looked at, and the last one that has any record. */
const reach = (job: Job, { states, counts }: Known, last: number): { first: number; recorded: number | undefined } => {
  let recorded: number | undefined
  const withRows: number[] = []
  for (const [at, { valid, attempts }] of states) {
    if (at <= last && (valid || attempts > 0) && (recorded === undefined || at > recorded)) recorded = at
    if (attempts > 0 && (!valid || valid.windowRows > 0)) withRows.push(at)
  }
  for (const [at, rows] of counts ?? []) if (rows > 0) withRows.push(at)
  if (job.catchUp === 'latest') return { first: Math.min(recorded ?? last, last), recorded }
  return { first: least(withRows, Math.min(recorded ?? last, last)), recorded }
}

/** Why a window is to be run now, if it is. */
type Verdict = 'run' | 'settle' | 'follow' | 'wait' | 'done'

/** What is due, from what is known. Pure: the same whoever asks. */
export const makePlan = (job: Job, known: Known): Plan => {
  const { states, counts, now } = known
  const last = lastDue(job, now)
  const length = lengthOf(job)
  const lookedBack = (job.lookedBackSeconds ?? 0) * 1000
  const { first, recorded } = reach(job, known, last)
  const queued = Map.groupBy(known.queued, ({ window }) => window.from.getTime())
  const steps: Step[] = []
  let doneUntil: number | undefined
  let retryAt: number | undefined
  /** Windows within reach of those to come that got more rows, and when: Infinity, if they are about to be run again. */
  const grown: { from: number; at: number }[] = []

  const judge = (from: number): Verdict => {
    const state = states.get(from)
    const valid = state?.valid
    const rows = counts?.get(from) ?? 0
    const isLate = valid !== undefined && rows > valid.windowRows
    const isMissing = !valid || valid.startedAt < dueAt(job, from)
    const isCut = state !== undefined && state.cutOffAt > (valid?.startedAt ?? 0)
    if (isMissing || isLate || isCut) {
      // Before a job that counts no rows had its first run, and while it was not there, nothing was missed.
      if (!state && !counts && recorded !== undefined && from < recorded) return 'done'
      if (state && state.failures > 0) {
        const again = retryAfter(state.failures, state.failedAt)
        if (again === undefined || again > now) {
          retryAt = again === undefined ? retryAt : Math.min(again, retryAt ?? Infinity)
          return isMissing ? 'wait' : 'done'
        }
      }
      const wasEmpty = (valid?.windowRows ?? 0) === 0 && !isCut && !state?.failures
      return counts && rows === 0 && wasEmpty ? 'settle' : 'run'
    }
    const { startedAt, windowRows } = valid
    return windowRows > 0 && grown.some(({ at }) => at > startedAt) ? 'follow' : 'done'
  }

  const visit = (from: number): void => {
    while (grown[0] && grown[0].from < from - lookedBack) grown.shift()
    const state = states.get(from)
    const asked = queued.get(from) ?? []
    queued.delete(from)
    const verdict = judge(from)
    const windowRows = counts?.get(from) ?? 0
    const step = { window: windowAt(job, from), windowRows, attempt: (state?.attempts ?? 0) + 1 }
    const runs = verdict === 'run' || verdict === 'follow'
    if (asked.length > 0)
      for (const [index, run] of asked.entries())
        steps.push({ ...step, kind: 'run', queued: run, attempt: step.attempt + index })
    else if (verdict === 'settle') steps.push({ ...step, kind: 'settle' })
    else if (runs) steps.push({ ...step, kind: 'run', follows: verdict === 'follow' })
    if (verdict !== 'done' && verdict !== 'follow') doneUntil ??= from
    if (lookedBack === 0) return
    const growsNow = (runs || asked.length > 0) && windowRows > (state?.valid?.windowRows ?? 0)
    if (growsNow) grown.push({ from, at: Infinity })
    else if (state?.grewAt !== undefined) grown.push({ from, at: state.grewAt })
  }

  for (let from = first; from <= last; from += length) {
    const missed = !states.has(from) && !queued.has(from)
    if (job.catchUp === 'latest' && from < last) {
      if (missed) steps.push({ kind: 'settle', skipped: true, window: windowAt(job, from), windowRows: 0, attempt: 1 })
    } else visit(from)
  }
  for (const from of queued.keys()) visit(from)
  steps.sort((a, b) => a.window.from.getTime() - b.window.from.getTime())
  return { steps, doneUntil: Math.min(doneUntil ?? last + length, last + length), retryAt }
}
