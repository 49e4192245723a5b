import { setTimeout as sleep } from 'node:timers/promises'

import type { Log } from '../http/index.ts'
import type { Lease } from '../redis/index.ts'
import { JOB_RUN_ID } from './ids.ts'
import { MOST_FAILURES, retryAfter, type Step } from './plan.ts'
import type { RunTable } from './table.ts'
import type { Job, JobResult, JobRun } from './types.ts'
import { dueAt } from './windows.ts'

export interface RunnerDependencies {
  job: Job
  table: RunTable
  log: Log
  newId: () => string
  /** Rises with each call. */
  tick: () => Date
  /** A run is in another state. */
  changed: (run: JobRun) => void
  /** A run that was begun is over. */
  ended: (run: JobRun) => void
  isStopping: () => boolean
}

/** What is done with one step of a plan, and its records. */
export interface Runner {
  /** @returns whether it succeeded; undefined: it was cut off */
  run: (step: Step, failures: number, lease: Lease, signal: AbortSignal) => Promise<boolean | undefined>
  /** Records windows that need no run. */
  settle: (steps: readonly Step[], signal: AbortSignal) => Promise<void>
  /** Closes runs that nobody does any more. */
  bury: (running: readonly JobRun[], signal: AbortSignal) => Promise<void>
}

const FIRST_WAIT_MS = 250
const LONGEST_WAIT_MS = 10_000
/** A job that does not heed its signal is left behind after this. */
const CUT_MS = 2_000
/** For the last word of a run that was cut off; without it, the next holder of the lease says it. */
const LAST_WORD_MS = 1_000

export const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message || error.name : String(error)

/** Ends with `signal` even where the work does not. */
const cuttable = async <T>(work: Promise<T>, signal: AbortSignal): Promise<T> => {
  const cut = Promise.withResolvers<never>()
  const later = (): void => void setTimeout(() => cut.reject(signal.reason), CUT_MS)
  signal.addEventListener('abort', later, { once: true })
  try {
    return await Promise.race([work, cut.promise])
  } finally {
    signal.removeEventListener('abort', later)
  }
}

/** Why it failed and what happens next. */
const errorOf = (error: unknown, failures: number, { job, window, finishedAt }: JobRun): string => {
  const again = retryAfter(failures, finishedAt!.getTime())
  const next =
    again === undefined
      ? `after ${failures} failures it is not tried again by itself: mend the reason, then vedette jobs run ${job} --window ${window.from.toISOString()}`
      : `it is tried again at ${new Date(again).toISOString()} (failure ${failures} of ${MOST_FAILURES})`
  return `${messageOf(error)}; ${next}`
}

export const createRunner = (dependencies: RunnerDependencies): Runner => {
  const { job, table, log, newId, tick, changed, ended, isStopping } = dependencies

  const note = async (runs: readonly JobRun[], signal?: AbortSignal): Promise<void> => {
    if (runs.length === 0) return
    await table.record(runs, { signal })
    changed(runs.at(-1)!)
  }

  const newRun = ({ window, attempt, windowRows }: Step, startedAt: Date): JobRun => {
    const runId = newId()
    return {
      id: `${JOB_RUN_ID}${runId}`,
      runId,
      job: job.name,
      status: 'RUNNING',
      window,
      attempt,
      requestedBy: 'schedule',
      scheduledFor: new Date(dueAt(job, window.from.getTime())),
      startedAt,
      finishedAt: null,
      windowRows,
      rowsRead: 0,
      rowsWritten: 0,
      error: null,
    }
  }

  /** Until ClickHouse has it: what a run came to must not get lost because it is away for a moment. */
  const keep = async (run: JobRun, signal: AbortSignal): Promise<void> => {
    for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS))
      try {
        return await note([run], signal)
      } catch (error) {
        if (signal.aborted) throw error
        log.warn({ run: run.id, reason: messageOf(error) }, 'what a run came to cannot be recorded yet; trying again')
        await sleep(waitMs, undefined, { signal })
      }
  }

  return {
    run: async ({ queued, ...step }, failures, lease, signal) => {
      const { windowRows, attempt } = step
      const run: JobRun = queued
        ? { ...queued, status: 'RUNNING', startedAt: tick(), windowRows, attempt }
        : newRun(step, tick())
      await note([run], signal)
      let result: JobResult | undefined
      let error: unknown
      try {
        result = await cuttable(job.run({ window: run.window, runId: run.runId, signal }), signal)
      } catch (reason) {
        error = reason
      }
      if (signal.aborted || !lease.held()) {
        const why = isStopping() ? 'the service stopped' : 'its lease was lost'
        const cut: JobRun = { ...run, status: 'FAILED', error: `cut off: ${why}; the window is run again` }
        await note([cut], AbortSignal.timeout(LAST_WORD_MS)).catch(() => {})
        ended(cut)
        return undefined
      }
      const over = { ...run, finishedAt: tick() }
      const last: JobRun = result
        ? { ...over, status: 'SUCCEEDED', rowsRead: result.rowsRead, rowsWritten: result.rowsWritten }
        : { ...over, status: 'FAILED', error: errorOf(error, failures + 1, over) }
      if (!result) log.error({ err: error, run: run.id, window: run.window.from }, 'a run failed')
      await keep(last, signal)
      ended(last)
      return result !== undefined
    },
    settle: (steps, signal) => {
      const at = tick()
      const runs = steps.map((step): JobRun => {
        const run = newRun(step, at)
        return step.skipped
          ? { ...run, status: 'SKIPPED', startedAt: null, error: 'a later window does for it' }
          : { ...run, status: 'SUCCEEDED', finishedAt: at }
      })
      return note(runs, signal)
    },
    bury: (running, signal) =>
      note(
        running.map((run) => ({
          ...run,
          status: 'FAILED',
          finishedAt: null,
          error: 'the process that ran it ended, or lost its lease; the window is run again',
        })),
        signal,
      ),
  }
}
