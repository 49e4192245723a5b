import type { BackupJob } from './backup/index.ts'
import type { ClickHouse } from './clickhouse/index.ts'
import type { Detection } from './detection/index.ts'
import { needsRoom } from './disk/index.ts'
import { type Job, type JobResult, rowsOfHours } from './jobs/index.ts'
import type { Retention } from './retention/index.ts'
import { type Rollups, rowsOfDays } from './rollups/index.ts'

export interface ScheduleDependencies {
  clickhouse: ClickHouse
  rollups: Rollups
  detection: Pick<Detection, 'run'>
  retention: Retention
  /** Undefined: no back-ups are scheduled. */
  backup?: { job: BackupJob; folder: string } | undefined
  dataDir: string
  /** How long after its end an hour is closed, in seconds. */
  settleSeconds: number
}

const HOUR = 3_600
const DAY = 24 * HOUR

const together = (a: JobResult, b: JobResult): JobResult => ({
  rowsRead: a.rowsRead + b.rowsRead,
  rowsWritten: a.rowsWritten + b.rowsWritten,
})

/** The jobs of this service: what is done when. */
export const createSchedule = (dependencies: ScheduleDependencies): Job[] => {
  const { clickhouse, rollups, detection, retention, backup, dataDir, settleSeconds } = dependencies
  const hours = rowsOfHours(clickhouse)
  const work: Job[] = [
    {
      name: 'hourly',
      description: 'closes an hour: rolls up its requests, looks for anomalies, flags and blocks',
      windowSeconds: HOUR,
      settleSeconds,
      catchUp: 'all',
      // What most detectors look back at; of what comes a day late, those that look back over weeks learn with the hours that follow.
      lookedBackSeconds: DAY,
      rowsOfWindows: async (since, signal) => {
        const oldest = retention.oldestOpen().getTime()
        return new Map([...(await hours(since, signal))].filter(([hour]) => hour >= oldest))
      },
      run: async (context) => together(await rollups.run(context), await detection.run(context)),
    },
    {
      name: 'daily',
      description: 'rolls up the hours of a day, for questions about months and years',
      windowSeconds: DAY,
      settleSeconds: settleSeconds + 600,
      catchUp: 'all',
      rowsOfWindows: rowsOfDays(clickhouse),
      run: rollups.run,
    },
  ]
  return [
    ...work.map((job) => needsRoom(job, { clickhouse, folders: [dataDir] })),
    ...(backup ? [needsRoom(backup.job, { clickhouse, folders: [dataDir, backup.folder] })] : []),
    // It makes room, and so needs none.
    retention.job,
  ]
}
