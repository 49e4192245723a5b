import type { ClickHouse } from '../clickhouse/index.ts'
import { createAnonymiser, oldestOpenAt } from './anonymise.ts'
import { createRunCleaner } from './runs.ts'
import type { Anonymising, CleanupJob, RetentionLog } from './types.ts'
import { createVersionCleaner } from './versions.ts'

export interface RetentionDependencies {
  clickhouse: ClickHouse
  log: RetentionLog
  /** Undefined: addresses and users stay as they came. */
  anonymising?: Anonymising | undefined
  /**
   * Age in days at which records of runs go that no row refers to: more than raw rows and findings are kept. Undefined: they stay.
   */
  recordsForDays?: number | undefined
}

export interface Retention {
  /** For `createJobs`. */
  job: CleanupJob
  /** Hours before this one are not to be run again, since their raw rows are no longer as they came. */
  oldestOpen: () => Date
}

/** What goes with time, beside what the tables' TTL lets go by itself. */
export const createRetention = ({ clickhouse, log, anonymising, recordsForDays }: RetentionDependencies): Retention => {
  const runs = createRunCleaner(clickhouse, recordsForDays)
  const versions = createVersionCleaner(clickhouse, recordsForDays)
  const anonymiser = anonymising && createAnonymiser(clickhouse, anonymising)
  return {
    job: {
      name: 'cleanup',
      description:
        'deletes what dead and replaced runs left and old notices of incidents, and makes old addresses and users unrecognisable where that is set',
      windowSeconds: 3_600,
      settleSeconds: 600,
      catchUp: 'latest',
      run: async ({ window, signal }) => {
        const now = Math.min(window.to.getTime(), Date.now())
        const ofRuns = await runs.clean(now, signal)
        if (ofRuns > 0) log.info({ rows: ofRuns }, 'rows of runs that count for nothing were deleted')
        const ofVersions = await versions.clean(now, signal)
        if (ofVersions > 0)
          log.info({ rows: ofVersions }, 'old notices of incidents and records of reports were deleted')
        const deleted = ofRuns + ofVersions
        let anonymised = 0
        if (anonymiser) {
          const steps = anonymiser.steps(now, signal)
          for (let step = await steps.next(); ; step = await steps.next()) {
            if (step.done) {
              anonymised = step.value
              break
            }
            signal.throwIfAborted()
          }
          if (anonymised > 0) log.info({ rows: anonymised }, 'old rows were made anonymous')
        }
        return { rowsRead: deleted + anonymised, rowsWritten: anonymised }
      },
    },
    oldestOpen: () => (anonymising ? oldestOpenAt(Date.now(), anonymising.afterDays) : new Date(0)),
  }
}
