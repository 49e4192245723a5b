/** Half-open: [from, to). */
export interface JobWindow {
  from: Date
  to: Date
}

export const JOB_STATUSES = ['QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'SKIPPED'] as const
export type JobStatus = (typeof JOB_STATUSES)[number]

/** What a job is told about the one window that it is to do now. */
export interface JobContext {
  window: JobWindow
  /** Goes with every row that the run writes: `run_id`, a UInt64 as text. Rows of it count once the run has succeeded. */
  runId: string
  /** Aborted when the lease is lost or the service stops: the run then ends as soon as it can, and counts for nothing. */
  signal: AbortSignal
}

export interface JobResult {
  rowsRead: number
  rowsWritten: number
}

/** A job with windows anchored to the clock, such as the hour from 10:00 to 11:00. */
export interface Job {
  /** Lower-case letters, digits and `_`. */
  name: string
  description: string
  /** Length of a window in seconds: a divisor of a minute, an hour or a day; windows begin at multiples of it since 1970 (UTC). */
  windowSeconds: number
  /** How long after the end of a window it is run, in seconds: what was sent last is then stored. */
  settleSeconds: number
  /**
   * - `all`: every window that was missed is run, oldest first
   * - `latest`: only the newest one is, since one run does for all (cleaning up)
   */
  catchUp: 'all' | 'latest'
  /**
   * How many rows windows have now, by the beginning of the window in ms: those that got rows since `since` at least, others as it
   * may be. A window with more rows than its last run saw is run again. Absent: nothing is ever late.
   */
  rowsOfWindows?: (since: Date, signal: AbortSignal) => Promise<ReadonlyMap<number, number>>
  /** Seconds after a window that got more rows in which later windows are run again too, because they look back at it. Default 0. */
  lookedBackSeconds?: number
  /** Does the window; must be harmless when it is cut off at any moment and run again. */
  run: (context: JobContext) => Promise<JobResult>
}

/** One run of a job for one window. */
export interface JobRun {
  /** `run_` and the run id. */
  id: string
  runId: string
  job: string
  status: JobStatus
  window: JobWindow
  /** 1, 2, … for each (job, window). */
  attempt: number
  /** API key id, "cli" or "schedule". */
  requestedBy: string
  scheduledFor: Date
  startedAt: Date | null
  /** Null: not yet, or it was cut off. */
  finishedAt: Date | null
  windowRows: number
  rowsRead: number
  rowsWritten: number
  /** Why it failed and what happens next. */
  error: string | null
}

export interface JobRunFilter {
  job?: string | undefined
  status?: JobStatus | undefined
  /** Runs before this one in the order newest first. */
  before?: string | undefined
  limit: number
}

/** How a job stands. */
export interface JobState {
  job: Job
  /** The newest run, whatever became of it. */
  lastRun: JobRun | undefined
  lastSuccessAt: Date | undefined
  /** Every window before this one is done; undefined: none ever ran. */
  doneUntil: Date | undefined
  /** When the next window is due. */
  nextAt: Date
}

export interface Jobs {
  /** Returns at once: what was missed is caught up in the background, and a ClickHouse that is away is waited for. */
  start: () => Promise<void>
  /** Waits for the window in work to end, or cuts it off after `graceMs`. */
  stop: (graceMs?: number) => Promise<void>
  list: () => readonly Job[]
  /** As the records tell it, whichever process does the work. @throws {StoreError} UNAVAILABLE */
  states: () => Promise<JobState[]>
  /** Runs what is due now without waiting for the clock, in a process with the role `jobs`; resolves once nothing is left to do. */
  catchUp: () => Promise<void>
  /** Newest first. @throws {StoreError} UNAVAILABLE */
  runs: (filter: JobRunFilter) => Promise<{ runs: JobRun[]; total: number }>
  /** @throws {StoreError} UNAVAILABLE */
  get: (id: string) => Promise<JobRun | undefined>
  /**
   * Runs the windows that lie in `window` now (default: the last one that is over), in order, also where they ran before: the new
   * results replace the old ones. Resolves with the runs once all are done, or with what is known after `waitMs`. A process without the role `jobs` leaves
   * the work to one that has it.
   * @throws {StoreError} NOT_FOUND the job, INVALID the window (`windowFrom`, `windowTo`), UNAVAILABLE
   */
  runNow: (
    name: string,
    options: { window?: { from?: Date | undefined; to?: Date | undefined } | undefined; by: string; waitMs?: number },
  ) => Promise<JobRun[]>
  /**
   * Changes of state, of this process and others (at most once). Of windows that are settled many at once, because nothing happened
   * in them, only the last is told. @returns stops it
   */
  onChange: (listener: (run: JobRun) => void) => () => void
}
