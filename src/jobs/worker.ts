import { setTimeout as sleep } from 'node:timers/promises'

import type { Log } from '../http/index.ts'
import type { Lease, Redis } from '../redis/index.ts'
import { makePlan, type Plan, type Step, type WindowState } from './plan.ts'
import { createRunner } from './runner.ts'
import type { RunTable } from './table.ts'
import type { Job, JobRun } from './types.ts'

export interface WorkerDependencies {
  job: Job
  table: RunTable
  redis: Redis
  log: Log
  now: () => number
  newId: () => string
  /** A run is in another state. */
  changed: (run: JobRun) => void
  /** A run that was begun is over. */
  ended: (run: JobRun) => void
}

/** Does the windows of one job, as long as this process holds the job's lease. */
export interface Worker {
  /** There may be something to do. */
  wake: () => void
  /** Somebody asked for a window: it is to be seen before what is planned goes on. */
  interrupt: () => void
  /** Resolves once nothing is left to do, or it is stopped. */
  idle: () => Promise<void>
  stop: (graceMs: number) => Promise<void>
  known: () => { doneUntil: number | undefined; lastSuccessAt: number | undefined; retryAt: number | undefined }
}

/** While another process does the job: so long after its death is it taken over, and a lease of 10 s. */
const BUSY_MS = 1_000
const FIRST_WAIT_MS = 250
const LONGEST_WAIT_MS = 10_000
/** Rows that came in up to this long before the last look are looked at again: a part is dated when it is begun. */
const OVERLAP_MS = 300_000

export const createWorker = (dependencies: WorkerDependencies): Worker => {
  const { job, table, redis, now, newId, changed, ended } = dependencies
  const log = dependencies.log.child({ job: job.name })
  /** Cuts off what is in work. */
  const cutting = new AbortController()
  /** Ends what only waits. */
  const stopping = new AbortController()
  let wanted = false
  let interrupted = false
  let loop: Promise<void> | undefined
  let counts: Map<number, number> | undefined
  let lookedAt = 0
  let plan: Plan | undefined
  let lastSuccessAt: number | undefined
  /** The newest time in the records: clocks of several machines differ, and what comes later must look later. */
  let newest = 0

  const tick = (): Date => {
    newest = Math.max(now(), newest + 1)
    return new Date(newest)
  }
  const isStopping = (): boolean => stopping.signal.aborted
  const runner = createRunner({ job, table, log, newId, tick, changed, ended, isStopping })

  const look = async (signal: AbortSignal): Promise<void> => {
    if (!job.rowsOfWindows) return
    const at = Date.now()
    const found = await job.rowsOfWindows(new Date(Math.max(0, lookedAt - OVERLAP_MS)), signal)
    counts ??= new Map()
    for (const [from, rows] of found) counts.set(from, rows)
    lookedAt = at
  }

  const remember = (states: ReadonlyMap<number, WindowState>): void => {
    for (const { valid, failedAt, cutOffAt } of states.values()) {
      newest = Math.max(newest, failedAt, cutOffAt, valid?.finishedAt ?? 0)
      if (valid && valid.finishedAt > (lastSuccessAt ?? 0)) lastSuccessAt = valid.finishedAt
    }
  }

  const work = async (
    steps: readonly Step[],
    states: ReadonlyMap<number, WindowState>,
    lease: Lease,
    signal: AbortSignal,
  ): Promise<void> => {
    let hasFailed = false
    for (let index = 0; index < steps.length; index++) {
      if (isStopping() || interrupted) return
      const step = steps[index]!
      if (step.kind === 'settle') {
        const end = steps.findIndex(({ kind }, other) => other > index && kind !== 'settle')
        const batch = steps.slice(index, end < 0 ? undefined : end)
        await runner.settle(batch, signal)
        index += batch.length - 1
      } else if (!(step.follows && hasFailed)) {
        const failures = states.get(step.window.from.getTime())?.failures ?? 0
        const succeeded = await runner.run(step, failures, lease, signal)
        if (succeeded === undefined) return
        hasFailed ||= !succeeded
      }
    }
  }

  const workUnder = async (lease: Lease): Promise<void> => {
    const signal = AbortSignal.any([lease.signal, cutting.signal])
    let looked = false
    while (!isStopping() && lease.held()) {
      const open = await table.open(job.name, signal)
      // Nobody else runs while the lease is ours, so what is RUNNING is dead.
      await runner.bury(
        open.filter(({ status }) => status === 'RUNNING'),
        signal,
      )
      if (!looked || interrupted) await look(signal)
      looked = true
      interrupted = false
      const states = await table.states(job.name, signal)
      remember(states)
      const queued = open.filter(({ status }) => status === 'QUEUED')
      plan = makePlan(job, { states, queued, counts, now: now() })
      if (plan.steps.length === 0) return
      await work(plan.steps, states, lease, signal)
    }
  }

  /** @returns false: another process is at it */
  const pass = async (): Promise<boolean> => {
    const lease = await redis.acquire(`job:${job.name}`)
    if (!lease) return false
    try {
      await workUnder(lease)
      return lease.held()
    } catch (error) {
      if (lease.signal.aborted) return false
      throw error
    } finally {
      await lease.release()
    }
  }

  const pause = (ms: number): Promise<unknown> => sleep(ms, undefined, { signal: stopping.signal }).catch(() => {})

  const go = async (): Promise<void> => {
    let waitMs = FIRST_WAIT_MS
    while (wanted && !isStopping()) {
      wanted = false
      try {
        const mine = await pass()
        if (waitMs > FIRST_WAIT_MS) log.info('the job goes on')
        waitMs = FIRST_WAIT_MS
        if (mine) continue
        wanted = true
        await pause(BUSY_MS)
      } catch (error) {
        if (isStopping()) return
        // Once, not with every try.
        if (waitMs === FIRST_WAIT_MS) log.warn({ err: error }, 'the job cannot go on; trying again until it can')
        wanted = true
        waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)
        await pause(waitMs)
      }
    }
  }

  const wake = (): void => {
    wanted = true
    if (isStopping()) return
    loop ??= go().finally(() => {
      loop = undefined
      if (wanted) wake()
    })
  }

  const idle = async (): Promise<void> => {
    if (!loop) return
    await loop
    await idle()
  }

  return {
    wake,
    interrupt: () => {
      interrupted = true
      wake()
    },
    idle,
    stop: async (graceMs) => {
      stopping.abort()
      wanted = false
      const timer = setTimeout(() => cutting.abort(new Error('the service stops')), graceMs)
      await loop
      clearTimeout(timer)
    },
    known: () => ({ doneUntil: plan?.doneUntil, lastSuccessAt, retryAt: plan?.retryAt }),
  }
}
