import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

import type { JobRun } from './types.ts'

export interface JobMetrics {
  /** Of a run that is over. */
  count: (run: JobRun) => void
}

export interface Standing {
  job: string
  lastSuccessAt: number | undefined
  doneUntil: number | undefined
}

/** @param standings what the workers of this process know when they are asked; empty where it does no jobs */
export const createJobMetrics = (
  registry: Registry,
  { standings, now }: { standings: () => Standing[]; now: () => number },
): JobMetrics => {
  const registers = [registry]
  const runs = new Counter({
    name: 'vedette_job_runs_total',
    help: 'Runs that ended, by status',
    labelNames: ['job', 'status'],
    registers,
  })
  const seconds = new Histogram({
    name: 'vedette_job_duration_seconds',
    help: 'Duration of a run that succeeded',
    labelNames: ['job'],
    buckets: [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900],
    registers,
  })
  const gauge = (name: string, help: string, read: (standing: Standing) => number | undefined): void => {
    registry.registerMetric(
      new Gauge({
        name,
        help,
        labelNames: ['job'],
        registers: [],
        collect() {
          this.reset()
          for (const standing of standings()) {
            const value = read(standing)
            if (value !== undefined) this.set({ job: standing.job }, value)
          }
        },
      }),
    )
  }
  gauge('vedette_job_last_success_timestamp_seconds', 'When a run last succeeded', ({ lastSuccessAt }) =>
    lastSuccessAt === undefined ? undefined : lastSuccessAt / 1000,
  )
  gauge(
    'vedette_job_lag_seconds',
    'Age of the time up to which every window is done: at most a window, its settle delay and the run while all is well',
    ({ doneUntil }) => (doneUntil === undefined ? undefined : Math.max(0, now() - doneUntil) / 1000),
  )
  return {
    count: ({ job, status, startedAt, finishedAt }) => {
      runs.inc({ job, status: status.toLowerCase() })
      if (status === 'SUCCEEDED' && startedAt && finishedAt)
        seconds.observe({ job }, (finishedAt.getTime() - startedAt.getTime()) / 1000)
    },
  }
}
