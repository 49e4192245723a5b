import { join } from 'node:path'

import { Cron } from 'croner'
import { Gauge, type Registry } from 'prom-client'

import { backUp, type BackupDependencies } from './backup.ts'
import { nameAt, prune, scheduledIn } from './folders.ts'

/** As `jobs` has it: rooms of one floor do not import each other. */
export interface BackupJob {
  name: 'backup'
  description: string
  windowSeconds: number
  settleSeconds: number
  catchUp: 'latest'
  run: (context: { window: { from: Date; to: Date }; signal: AbortSignal }) => Promise<{
    rowsRead: number
    rowsWritten: number
  }>
}

export interface BackupSchedule {
  /** Where the back-ups lie, one folder each. */
  folder: string
  /** Cron, UTC. */
  schedule: string
  /** How many of them are kept. */
  keep: number
}

const HOUR_SECONDS = 3_600

/** When the next one is due: at once where there is none. */
export const nextBackupAt = async ({ folder, schedule }: BackupSchedule): Promise<Date> => {
  const [newest] = await scheduledIn(folder)
  if (!newest) return new Date(0)
  return new Cron(schedule, { timezone: 'UTC', paused: true }).nextRun(newest.takenAt) ?? new Date(8.64e15)
}

/** The minutes of an hour at which the schedule may fire, in seconds; a schedule of several begins with the first. */
const offsetOf = (schedule: string): number => {
  const next = new Cron(schedule, { timezone: 'UTC', paused: true }).nextRun(new Date(0))
  return (next?.getUTCMinutes() ?? 0) * 60
}

/**
 * A back-up as often as the schedule says, hourly at most: each hour the job looks whether the schedule has fired since the newest one.
 * So one that was missed, or failed, is made up for within the hour.
 */
export const createBackupJob = (
  dependencies: BackupDependencies & { registry: Registry },
  { folder, schedule, keep }: BackupSchedule,
): BackupJob => {
  const { log, registry } = dependencies
  registry.registerMetric(
    new Gauge({
      name: 'vedette_backup_last_success_timestamp_seconds',
      help: 'When the newest back-up in BACKUP_DIR was taken; absent: there is none',
      registers: [],
      async collect() {
        this.reset()
        const [newest] = await scheduledIn(folder).catch(() => [])
        if (newest) this.set(newest.takenAt.getTime() / 1000)
        // A gauge without labels is 0 unless it is told otherwise.
        else this.remove()
      },
    }),
  )
  return {
    name: 'backup',
    description: 'writes a back-up to BACKUP_DIR when BACKUP_SCHEDULE says so, and removes those past BACKUP_KEEP',
    windowSeconds: HOUR_SECONDS,
    settleSeconds: offsetOf(schedule),
    catchUp: 'latest',
    run: async ({ signal }) => {
      if ((await nextBackupAt({ folder, schedule, keep })).getTime() > Date.now())
        return { rowsRead: 0, rowsWritten: 0 }
      const { files } = await backUp(dependencies, join(folder, nameAt(new Date())), { signal })
      // Only once the new one is whole.
      const removed = await prune(folder, keep)
      if (removed.length > 0) log.info({ removed }, 'old back-ups were removed')
      return { rowsRead: files.reduce((sum, { rows }) => sum + rows, 0), rowsWritten: 0 }
    },
  }
}
