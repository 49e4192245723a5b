import { isRunId, JOB_STATUSES, type JobRun as Run, type JobState, type JobStatus } from '../../jobs/index.ts'
import { builder } from '../builder.ts'
import { publicError } from '../errors.ts'
import { eventsOf } from '../event-streams.ts'
import { Node, PageInfo } from './common.ts'
import { LARGEST, type Page } from './pages.ts'
import { attempt, UserError, type UserErrorShape } from './user-errors.ts'

const STATUS_TEXT: Record<JobStatus, string> = {
  QUEUED: 'Somebody asked for it; it waits for a process that does jobs.',
  RUNNING: 'A process is at it.',
  SUCCEEDED: 'What it wrote counts, unless a later run of the window replaced it.',
  FAILED: 'What it wrote counts for nothing; `error` says why, and what happens next.',
  SKIPPED: 'A later window does for it.',
}

export const JobStatusEnum = builder.enumType('JobStatus', {
  description: 'How far a run has got.',
  values: Object.fromEntries(
    JOB_STATUSES.map((status) => [status, { value: status, description: STATUS_TEXT[status] }]),
  ) as Record<JobStatus, { value: JobStatus; description: string }>,
})

export const JobRun = builder.objectRef<Run>('JobRun').implement({
  description: 'One run of a job for one window.',
  interfaces: [Node],
  isTypeOf: (value) => typeof value === 'object' && value !== null && 'runId' in value && 'scheduledFor' in value,
  fields: (t) => ({
    id: t.id({ description: 'The same in every answer.', resolve: ({ id }) => id }),
    job: t.exposeString('job', { description: 'Name of the job, such as hourly.' }),
    status: t.expose('status', { type: JobStatusEnum, description: 'How far it has got.' }),
    windowFrom: t.field({
      type: 'DateTime',
      description: 'Beginning of the window.',
      resolve: ({ window }) => window.from,
    }),
    windowTo: t.field({
      type: 'DateTime',
      description: 'End of the window; not in it.',
      resolve: ({ window }) => window.to,
    }),
    attempt: t.exposeInt('attempt', { description: '1, 2, … for each job and window.' }),
    requestedBy: t.exposeString('requestedBy', { description: 'Id of an API key, "cli" or "schedule".' }),
    scheduledFor: t.expose('scheduledFor', {
      type: 'DateTime',
      description: 'When the window was due, or was asked for.',
    }),
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it began; null: it did not.',
    }),
    finishedAt: t.expose('finishedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it ended; null: not yet, or it was cut off.',
    }),
    windowRows: t.expose('windowRows', {
      type: 'SafeInt',
      description: 'Rows that the window had when the run began; once there are more, it is run again.',
    }),
    rowsRead: t.expose('rowsRead', { type: 'SafeInt', nullable: true, description: 'Rows that it read.' }),
    rowsWritten: t.expose('rowsWritten', { type: 'SafeInt', nullable: true, description: 'Rows that it wrote.' }),
    error: t.exposeString('error', { nullable: true, description: 'Why it failed, and what happens next.' }),
  }),
})

const JobType = builder.objectRef<JobState>('Job').implement({
  description: 'Something done for each window of time, such as every hour.',
  fields: (t) => ({
    name: t.string({ description: 'For runJob.', resolve: ({ job }) => job.name }),
    description: t.string({ description: 'What it does.', resolve: ({ job }) => job.description }),
    windowSeconds: t.int({ description: 'Length of a window.', resolve: ({ job }) => job.windowSeconds }),
    lastRun: t.field({
      type: JobRun,
      nullable: true,
      description: 'The newest run, whatever became of it.',
      resolve: ({ lastRun }) => lastRun ?? null,
    }),
    lastSuccessAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When a run last succeeded.',
      resolve: ({ lastSuccessAt }) => lastSuccessAt ?? null,
    }),
    doneUntil: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'Every window before this time is done.',
      resolve: ({ doneUntil }) => doneUntil ?? null,
    }),
    nextAt: t.field({
      type: 'DateTime',
      description: 'When the next window is due.',
      resolve: ({ nextAt }) => nextAt,
    }),
  }),
})

builder.queryField('jobs', (t) =>
  t.field({
    type: [JobType],
    authScopes: { scope: 'ADMIN' },
    description: 'The jobs and how they stand. Scope ADMIN.',
    resolve: (_root, _args, { jobs }) => jobs.states(),
  }),
)

const cursorOf = ({ runId }: Run): string => Buffer.from(runId).toString('base64url')

/** @throws {GraphQLError} INVALID_ARGUMENT */
const runIdOf = (after: string): string => {
  const runId = Buffer.from(after, 'base64url').toString()
  if (isRunId(runId)) return runId
  throw publicError(
    'INVALID_ARGUMENT',
    `after is ${JSON.stringify(after)}; allowed is a cursor from an earlier answer`,
    { argument: 'after' },
  )
}

const JobRunEdge = builder.objectRef<Run>('JobRunEdge').implement({
  description: 'A run and its place.',
  fields: (t) => ({
    cursor: t.string({ description: 'For after.', resolve: cursorOf }),
    node: t.field({ type: JobRun, description: 'The run.', resolve: (run) => run }),
  }),
})

const JobRunConnection = builder.objectRef<Page<Run>>('JobRunConnection').implement({
  description: 'A page of runs.',
  fields: (t) => ({
    edges: t.field({ type: [JobRunEdge], description: 'Runs with their places.', resolve: ({ page }) => page }),
    nodes: t.field({ type: [JobRun], description: 'Runs alone.', resolve: ({ page }) => page }),
    pageInfo: t.field({ type: PageInfo, description: 'Where the page lies.', resolve: ({ pageInfo }) => pageInfo }),
    totalCount: t.expose('totalCount', { type: 'SafeInt', description: 'Runs of all pages together.' }),
  }),
})

builder.queryField('jobRuns', (t) =>
  t.field({
    type: JobRunConnection,
    authScopes: { scope: 'ADMIN' },
    description: 'What jobs did for which windows, newest first. Scope ADMIN.',
    args: {
      job: t.arg.string({ description: 'Of this job alone.' }),
      status: t.arg({ type: JobStatusEnum, description: 'In this state alone.' }),
      first: t.arg.int({ required: true, defaultValue: 100, description: '1,000 at most.' }),
      after: t.arg.string({ description: 'endCursor of the page before.' }),
    },
    resolve: async (_root, { job, status, first, after }, { jobs }) => {
      if (!Number.isInteger(first) || first < 1 || first > LARGEST)
        throw publicError('INVALID_ARGUMENT', `first is ${first}; allowed is a whole number from 1 to ${LARGEST}`, {
          argument: 'first',
        })
      const before = after ? runIdOf(after) : undefined
      const filter = { job: job ?? undefined, status: status ?? undefined, before, limit: first + 1 }
      const { runs, total } = await jobs.runs(filter)
      const page = runs.slice(0, first)
      return {
        page,
        totalCount: total,
        pageInfo: {
          hasNextPage: runs.length > first,
          hasPreviousPage: before !== undefined,
          startCursor: page[0] ? cursorOf(page[0]) : null,
          endCursor: page.length > 0 ? cursorOf(page.at(-1)!) : null,
        },
      }
    },
  }),
)

interface Payload {
  jobRuns: Run[]
  userErrors: UserErrorShape[]
}

const JobRunPayload = builder.objectRef<Payload>('JobRunPayload').implement({
  description: 'What became of runJob.',
  fields: (t) => ({
    jobRun: t.field({
      type: JobRun,
      nullable: true,
      description: 'The run of the last window; still QUEUED or RUNNING where it takes longer than 25 s.',
      resolve: ({ jobRuns }) => jobRuns.at(-1) ?? null,
    }),
    jobRuns: t.field({
      type: [JobRun],
      description: 'All of them, oldest window first.',
      resolve: (own) => own.jobRuns,
    }),
    userErrors: t.field({
      type: [UserError],
      description: 'Why nothing is run; empty: it is.',
      resolve: ({ userErrors }) => userErrors,
    }),
  }),
})

builder.mutationField('runJob', (t) =>
  t.field({
    type: JobRunPayload,
    authScopes: { scope: 'ADMIN' },
    description:
      'Runs a job for windows that are over, also where it ran before: the new results replace the old ones. A window that is still open is run for the time being, and again when it is over. Answers once all are done, after 25 s at the latest. Scope ADMIN.',
    args: {
      job: t.arg.string({ required: true, description: 'Its name.' }),
      windowFrom: t.arg({
        type: 'DateTime',
        description: 'In the first window. Default: the last window that is over.',
      }),
      windowTo: t.arg({ type: 'DateTime', description: 'End of the last window. Default: that of the first.' }),
    },
    resolve: (_root, { job, windowFrom, windowTo }, { jobs, principal }) =>
      attempt({ jobRuns: [] as Run[] }, async () => ({
        jobRuns: await jobs.runNow(job, {
          window: { from: windowFrom ?? undefined, to: windowTo ?? undefined },
          by: principal.keyId,
        }),
      })),
  }),
)

builder.subscriptionField('jobRunUpdated', (t) =>
  t.field({
    type: JobRun,
    authScopes: { scope: 'ADMIN' },
    description:
      'Each change of a run, of any process. Of windows that are settled many at once, because nothing happened in them, the last alone. Scope ADMIN.',
    args: { job: t.arg.string({ description: 'Of this job alone.' }) },
    subscribe: async function* (_root, { job }, { jobs, signal, keys, principal }) {
      for await (const run of eventsOf(jobs.onChange, signal)) {
        // A stream may outlive its key.
        if (keys.get(principal.keyId)?.revokedAt) return
        if (!job || run.job === job) yield run
      }
    },
    resolve: (run) => run,
  }),
)
