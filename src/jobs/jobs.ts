import { randomUUID } from 'node:crypto'

import { Cron } from 'croner'
import type { Registry } from 'prom-client'

import { type ClickHouse, ClickHouseError } from '../clickhouse/index.ts'
import type { Log } from '../http/index.ts'
import type { Redis } from '../redis/index.ts'
import { StoreError } from '../store/index.ts'
import { createRunIds, isRunId, JOB_RUN_ID } from './ids.ts'
import { createJobMetrics } from './metrics.ts'
import { createNews } from './news.ts'
import { makePlan } from './plan.ts'
import { createRunTable } from './table.ts'
import type { Job, JobRun, Jobs, JobState } from './types.ts'
import { dueAt, lastDue, lengthOf, patternOf, windowsAsked } from './windows.ts'
import { createWorker } from './worker.ts'

export interface JobsDependencies {
  clickhouse: ClickHouse
  redis: Redis
  log: Log
  registry: Registry
  jobs: readonly Job[]
  /** Whether this process has the role `jobs`; else it leaves the work to one that has it. */
  runsJobs: boolean
  /** Epoch ms. Default the clock. */
  now?: () => number
}

/** Messages may get lost: so often what others want is looked for, and what failed is tried again if it is time. */
const POLL_MS = 10_000
const GRACE_MS = 5_000
/** Proxies commonly wait for 30 s. */
const WAIT_MS = 25_000
/** Between looks at the table while somebody waits for runs of another process. */
const LOOK_MS = 1_000

const asStoreError = (error: unknown): unknown =>
  error instanceof ClickHouseError ? new StoreError('UNAVAILABLE', error.message, { cause: error }) : error

const available = async <T>(work: Promise<T>): Promise<T> => {
  try {
    return await work
  } catch (error) {
    throw asStoreError(error)
  }
}

const isOver = ({ status }: JobRun): boolean => status !== 'QUEUED' && status !== 'RUNNING'

/** @throws {TypeError} for jobs that cannot be */
export const createJobs = (dependencies: JobsDependencies): Jobs => {
  const { clickhouse, redis, log, registry, jobs, runsJobs, now = Date.now } = dependencies
  const patterns = new Map(jobs.map((job) => [job, patternOf(job)]))
  const table = createRunTable(clickhouse)
  const newId = createRunIds()
  const news = createNews({ redis, log, self: randomUUID() })
  const ended = (run: JobRun): void => metrics.count(run)
  const workers = new Map(
    (runsJobs ? jobs : []).map((job) => {
      return [job.name, createWorker({ job, table, redis, log, now, newId, changed: news.tell, ended })]
    }),
  )
  const metrics = createJobMetrics(registry, {
    now,
    standings: () => [...workers].map(([job, worker]) => ({ job, ...worker.known() })),
  })
  const crons: Cron[] = []
  const closers: (() => void)[] = []

  const poll = async (): Promise<void> => {
    for (const worker of workers.values()) if ((worker.known().retryAt ?? Infinity) <= now()) worker.wake()
    // While ClickHouse is away the workers say so.
    const wanted = await table.wanted().catch(() => new Set<string>())
    for (const name of wanted) workers.get(name)?.interrupt()
  }

  const start = (): void => {
    news.start()
    for (const [job, pattern] of runsJobs ? patterns : []) {
      const worker = workers.get(job.name)!
      const report = (error: unknown): void => log.error({ err: error, job: job.name }, 'a tick failed')
      crons.push(new Cron(pattern, { timezone: 'UTC', protect: true, catch: report }, () => worker.wake()))
      worker.wake()
    }
    if (workers.size === 0) return
    closers.push(news.onChange(({ job, status }) => status === 'QUEUED' && workers.get(job)?.interrupt()))
    const timer = setInterval(() => void poll(), POLL_MS)
    closers.push(() => clearInterval(timer))
  }

  const jobOf = (name: string): Job => {
    const job = jobs.find((job) => job.name === name)
    if (job) return job
    const names = jobs.map((job) => job.name).join(', ')
    throw new StoreError('NOT_FOUND', `there is no job ${JSON.stringify(name)}; there are: ${names || 'none'}`, {
      field: 'job',
    })
  }

  /** Until this run changes, or some time is over. */
  const changeOf = (id: string, ms: number): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, ms)
    const stop = news.onChange((run) => {
      if (run.id === id && isOver(run)) resolve()
    })
    return promise.finally(() => {
      clearTimeout(timer)
      stop()
    })
  }

  const queue = async (job: Job, window: { from?: Date | undefined; to?: Date | undefined }, by: string) => {
    const at = new Date(now())
    const windows = windowsAsked(job, window, at.getTime())
    const states = await table.states(job.name)
    const runs = windows.map((window): JobRun => {
      const runId = newId()
      const attempt = (states.get(window.from.getTime())?.attempts ?? 0) + 1
      return {
        id: `${JOB_RUN_ID}${runId}`,
        runId,
        job: job.name,
        status: 'QUEUED',
        window,
        attempt,
        requestedBy: by,
        scheduledFor: at,
        startedAt: null,
        finishedAt: null,
        windowRows: 0,
        rowsRead: 0,
        rowsWritten: 0,
        error: null,
      }
    })
    await table.record(runs)
    news.tell(runs.at(-1)!)
    workers.get(job.name)?.interrupt()
    return runs
  }

  const stateOf = async (job: Job): Promise<JobState> => {
    const [states, { runs }] = await Promise.all([table.states(job.name), table.list({ job: job.name, limit: 1 })])
    let lastSuccess = 0
    for (const { valid } of states.values()) lastSuccess = Math.max(lastSuccess, valid?.finishedAt ?? 0)
    // Without counts: nothing is late, and what is between two records was empty.
    const { doneUntil } = makePlan(job, { states, queued: [], counts: undefined, now: now() })
    return {
      job,
      lastRun: runs[0],
      lastSuccessAt: lastSuccess > 0 ? new Date(lastSuccess) : undefined,
      doneUntil: lastSuccess > 0 ? new Date(doneUntil) : undefined,
      nextAt: new Date(dueAt(job, lastDue(job, now()) + lengthOf(job))),
    }
  }

  return {
    start: async () => start(),
    stop: async (graceMs = GRACE_MS) => {
      for (const cron of crons.splice(0)) cron.stop()
      for (const close of closers.splice(0)) close()
      await Promise.all([...workers.values()].map((worker) => worker.stop(graceMs)))
      news.stop()
    },
    list: () => jobs,
    states: () => available(Promise.all(jobs.map(stateOf))),
    catchUp: async () => {
      for (const worker of workers.values()) worker.wake()
      await Promise.all([...workers.values()].map((worker) => worker.idle()))
    },
    runs: (filter) => available(table.list(filter)),
    get: async (id) => {
      const runId = id.startsWith(JOB_RUN_ID) ? id.slice(JOB_RUN_ID.length) : ''
      if (!isRunId(runId)) return undefined
      return (await available(table.byIds([runId])))[0]
    },
    runNow: async (name, { window = {}, by, waitMs = WAIT_MS }) => {
      const queued = await available(queue(jobOf(name), window, by))
      const ids = queued.map(({ runId }) => runId)
      const until = performance.now() + waitMs
      for (;;) {
        const runs = await available(table.byIds(ids))
        const leftMs = until - performance.now()
        if (runs.every(isOver) || leftMs <= 0) return runs
        await changeOf(queued.at(-1)!.id, Math.min(leftMs, LOOK_MS))
      }
    },
    onChange: news.onChange,
  }
}
