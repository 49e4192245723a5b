export { isRunId, JOB_RUN_ID } from './ids.ts'
export { createJobs, type JobsDependencies } from './jobs.ts'
export { rowsOfHours } from './request-hours.ts'
export {
  type Job,
  JOB_STATUSES,
  type JobContext,
  type JobResult,
  type JobRun,
  type JobRunFilter,
  type Jobs,
  type JobState,
  type JobStatus,
  type JobWindow,
} from './types.ts'
