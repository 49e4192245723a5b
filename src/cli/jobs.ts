import { type Command, InvalidArgumentError, Option } from 'commander'

import { JOB_STATUSES } from '../jobs/index.ts'
import { type JobInfo, type Run, withJobs } from './jobs-access.ts'
import { json, note, out, table, time } from './print.ts'
import { ago, wholeNumber } from './values.ts'

interface Window {
  from: Date
  to?: Date
}

/** `FROM` or `FROM/TO`, each a time or such as `3h` for three hours ago. */
const window = (given: string): Window => {
  const [from, to, ...more] = given.split('/')
  if (!from || to === '' || more.length > 0) throw new InvalidArgumentError('Allowed is FROM or FROM/TO.')
  return { from: ago(from), ...(to === undefined ? {} : { to: ago(to) }) }
}

const timeOf = (text: string | null): string => (text === null ? 'never' : time(new Date(text)))

const secondsOf = ({ startedAt, finishedAt }: Run): string =>
  startedAt && finishedAt ? ((Date.parse(finishedAt) - Date.parse(startedAt)) / 1000).toFixed(1) : ''

const UNITS: readonly (readonly [seconds: number, name: string])[] = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'm'],
  [1, 's'],
]

const every = (seconds: number): string => {
  const [unit, name] = UNITS.find(([length]) => seconds % length === 0)!
  return `${seconds / unit}${name}`
}

const showJobs = (jobs: readonly JobInfo[]): void => {
  if (jobs.length === 0) return note('There are no jobs.')
  table(
    jobs.map(({ name, windowSeconds, lastRun, lastSuccessAt, doneUntil, nextAt, description }) => ({
      job: name,
      every: every(windowSeconds),
      'last run': lastRun?.status ?? 'none',
      'last success': timeOf(lastSuccessAt),
      'done until': timeOf(doneUntil),
      next: timeOf(nextAt),
      does: description,
    })),
  )
}

const showRuns = (runs: readonly Run[]): void => {
  if (runs.length === 0) return note('There are no such runs.')
  table(
    runs.map((run) => ({
      id: run.id,
      job: run.job,
      window: timeOf(run.windowFrom),
      status: run.status,
      attempt: run.attempt,
      by: run.requestedBy,
      seconds: secondsOf(run),
      read: run.rowsRead,
      written: run.rowsWritten,
      error: run.error ?? '',
    })),
  )
}

const KEY = ['-k, --key <key>', 'API key with ADMIN for the service that runs here'] as const

/** `vedette jobs list|runs|run` */
export const jobs = (program: Command): void => {
  const group = program.command('jobs').description('what is done every hour, and what became of it').helpCommand(false)
  group
    .command('list')
    .description('the jobs, how far they have got and when they go on')
    .option(...KEY)
    .option('--json', 'print them as JSON')
    .action(async ({ key, json: asJson }: { key?: string; json?: true }) => {
      const found = await withJobs({ key, runs: false }, (access) => access.list())
      if (asJson) json(found)
      else showJobs(found)
    })
  group
    .command('runs')
    .description('what was done for which window, newest first')
    .option('-j, --job <name>', 'of this job alone')
    .addOption(
      new Option('-s, --status <status>', 'in this state alone').choices(
        JOB_STATUSES.map((status) => status.toLowerCase()),
      ),
    )
    .option('-n, --limit <number>', 'how many, 1000 at most', wholeNumber, 20)
    .option(...KEY)
    .option('--json', 'print them as JSON')
    .action(async (options: { job?: string; status?: string; limit: number; key?: string; json?: true }) => {
      const { job, status, limit: first, key } = options
      const filter = { ...(job && { job }), ...(status && { status: status.toUpperCase() }), first }
      const found = await withJobs({ key, runs: false }, (access) => access.runs(filter))
      if (options.json) json(found)
      else showRuns(found)
    })
  group
    .command('run')
    .description('run a job now, also for windows that are done: the new results replace the old ones')
    .argument('<name>', 'from vedette jobs list')
    .option(
      '-w, --window <from[/to]>',
      'such as 3h or 2026-11-20T10:00:00Z/2026-11-20T12:00:00Z (default: the last one that is over)',
      window,
    )
    .option(...KEY)
    .option('--json', 'print the runs as JSON')
    .action(async (name: string, options: { window?: Window; key?: string; json?: true }) => {
      const runs = await withJobs({ key: options.key, runs: true }, (access) => access.run(name, options.window ?? {}))
      if (options.json) json(runs)
      else showRuns(runs)
      const failed = runs.filter(({ status }) => status !== 'SUCCEEDED').length
      if (!options.json && failed === 0) out(`${runs.length} of ${runs.length} done`)
      if (failed > 0) process.exitCode = 1
    })
}
