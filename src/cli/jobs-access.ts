import { setTimeout as sleep } from 'node:timers/promises'

import type { App } from '../app.ts'
import { type Config, loadConfig, type Role } from '../config.ts'
import { CliError } from './errors.ts'
import { startApp } from './serve.ts'
import { apiKeyFor, findService } from './service.ts'
import { commandLog } from './stores.ts'

/** A run as JSON has it. */
export interface Run {
  id: string
  job: string
  status: string
  windowFrom: string
  windowTo: string
  attempt: number
  requestedBy: string
  startedAt: string | null
  finishedAt: string | null
  windowRows: number
  rowsRead: number
  rowsWritten: number
  error: string | null
}

export interface JobInfo {
  name: string
  description: string
  windowSeconds: number
  lastRun: Run | null
  lastSuccessAt: string | null
  doneUntil: string | null
  nextAt: string
}

/** The jobs, of a service that runs or of this command. */
export interface JobsAccess {
  list: () => Promise<JobInfo[]>
  runs: (filter: { job?: string; status?: string; first: number }) => Promise<Run[]>
  /** Until all windows are done. */
  run: (job: string, window: { from?: Date; to?: Date }) => Promise<Run[]>
}

const RUN =
  'id job status windowFrom windowTo attempt requestedBy startedAt finishedAt windowRows rowsRead rowsWritten error'
const POLL_MS = 500
/** As many as a query may have aliases. */
const NODES_AT_ONCE = 100

const isOver = ({ status }: Run): boolean => status !== 'QUEUED' && status !== 'RUNNING'

interface Reply {
  data?: Record<string, unknown> | null
  errors?: { message: string }[]
  detail?: string
}

const overGraphql = (url: string, key: string): JobsAccess => {
  const ask = async <T>(query: string, variables: object): Promise<T> => {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
      body: JSON.stringify({ query, variables }),
    })
    const { data, errors, detail } = (await response.json()) as Reply
    const message = errors?.[0]?.message ?? detail
    if (message !== undefined) throw new CliError(`${url}: ${message}`)
    return data as T
  }
  const find = async (ids: readonly string[]): Promise<Run[]> => {
    const found: Run[] = []
    for (let first = 0; first < ids.length; first += NODES_AT_ONCE) {
      const some = ids.slice(first, first + NODES_AT_ONCE)
      const fields = some.map((id, index) => `r${index}: node(id: "${id}") { ... on JobRun { ${RUN} } }`)
      found.push(...Object.values(await ask<Record<string, Run>>(`{ ${fields.join(' ')} }`, {})))
    }
    return found
  }
  return {
    list: async () =>
      (
        await ask<{ jobs: JobInfo[] }>(
          `{ jobs { name description windowSeconds lastRun { ${RUN} } lastSuccessAt doneUntil nextAt } }`,
          {},
        )
      ).jobs,
    runs: async (filter) =>
      (
        await ask<{ jobRuns: { nodes: Run[] } }>(
          `query ($job: String, $status: JobStatus, $first: Int!) { jobRuns(job: $job, status: $status, first: $first) { nodes { ${RUN} } } }`,
          filter,
        )
      ).jobRuns.nodes,
    run: async (job, { from, to }) => {
      const { runJob } = await ask<{
        runJob: { jobRuns: Run[]; userErrors: { code: string; message: string }[] }
      }>(
        `mutation ($job: String!, $from: DateTime, $to: DateTime) { runJob(job: $job, windowFrom: $from, windowTo: $to) { jobRuns { ${RUN} } userErrors { code message } } }`,
        { job, from, to },
      )
      const [refusal] = runJob.userErrors
      if (refusal) throw new CliError(refusal.message, refusal.code === 'INVALID' ? 2 : 1)
      let runs = runJob.jobRuns
      const ids = runs.map(({ id }) => id)
      while (!runs.every(isOver)) {
        await sleep(POLL_MS)
        // Windows are done in their order.
        const [last] = await find(ids.slice(-1))
        if (last && isOver(last)) runs = await find(ids)
      }
      return runs
    },
  }
}

const runOf = ({ window, ...run }: Awaited<ReturnType<App['jobs']['runNow']>>[number]): Run =>
  JSON.parse(JSON.stringify({ ...run, windowFrom: window.from, windowTo: window.to })) as Run

const inThisProcess = ({ jobs }: App): JobsAccess => ({
  list: async () =>
    (await jobs.states()).map(({ job, lastRun, lastSuccessAt, doneUntil, nextAt }) => ({
      name: job.name,
      description: job.description,
      windowSeconds: job.windowSeconds,
      lastRun: lastRun ? runOf(lastRun) : null,
      lastSuccessAt: lastSuccessAt?.toISOString() ?? null,
      doneUntil: doneUntil?.toISOString() ?? null,
      nextAt: nextAt.toISOString(),
    })),
  runs: async ({ job, status, first }) =>
    (await jobs.runs({ job, status: status as never, limit: first })).runs.map(runOf),
  run: async (job, window) => (await jobs.runNow(job, { window, by: 'cli', waitMs: Infinity })).map(runOf),
})

/** Loopback and a free port: nobody is to find it. */
const alone = (config: Config, roles: readonly Role[]): Config => ({
  ...config,
  host: '127.0.0.1',
  port: 0,
  roles: new Set(roles),
})

/** Works through the service that runs on this data folder, or else starts what is needed for the time of the command. */
export const withJobs = async <T>(
  { key, runs }: { key: string | undefined; runs: boolean },
  work: (jobs: JobsAccess) => Promise<T>,
): Promise<T> => {
  const config = loadConfig()
  const url = await findService(config)
  if (url !== undefined) return work(overGraphql(url, await apiKeyFor(config, key)))
  const app = await startApp(alone(config, runs ? ['jobs'] : []), commandLog(config))
  try {
    return await work(inThisProcess(app))
  } finally {
    await app.stop()
  }
}
