import { nextBackupAt, scheduledIn } from '../backup/index.ts'
import { type ClickHouse, ClickHouseError } from '../clickhouse/index.ts'
import type { Config } from '../config.ts'
import { freeShareOfStore } from '../disk/index.ts'
import { failed, type Finding, messageOf, ok, warning } from './finding.ts'
import { type JobInfo, withJobs } from './jobs-access.ts'
import { time } from './print.ts'
import { findService } from './service.ts'

const HOUR_MS = 3_600_000
/** A run takes its time, and one that failed is tried again within the hour. */
const LATE_MS = 2 * HOUR_MS

const lineOf = ({ name, lastRun, doneUntil, windowSeconds }: JobInfo): Finding[] => {
  const part = `job ${name}`
  if (lastRun?.status === 'FAILED')
    return [failed(part, lastRun.error ?? 'its last run failed', `mend the reason, then: vedette jobs run ${name}`)]
  const lag = doneUntil === null ? 0 : Date.now() - Date.parse(doneUntil)
  if (lag > 2 * windowSeconds * 1000 + LATE_MS)
    return [
      warning(
        part,
        `behind: done until ${time(new Date(doneUntil!))}`,
        'see that a process with the role jobs runs, and its log',
      ),
    ]
  return []
}

/** As the service that runs here tells it; where none runs, no job does. */
export const checkJobs = async (config: Config): Promise<Finding[]> => {
  if ((await findService(config)) === undefined) return []
  try {
    const jobs = await withJobs({ key: undefined, runs: false }, (jobs) => jobs.list())
    const lines = jobs.flatMap(lineOf)
    return lines.length > 0 ? lines : [ok('jobs', jobs.map(({ name }) => name).join(', '))]
  } catch (error) {
    return [warning('jobs', messageOf(error), 'give VEDETTE_API_KEY, or see the service above')]
  }
}

export const checkBackups = async ({ backupDir, backupSchedule, backupKeep }: Config): Promise<Finding[]> => {
  if (backupDir === undefined) return [ok('backup', 'none is scheduled here; BACKUP_DIR does')]
  try {
    const [newest] = await scheduledIn(backupDir)
    if (!newest)
      return [
        warning(
          'backup',
          `none in ${backupDir} yet`,
          'see that the service has BACKUP_DIR too, and: vedette jobs run backup',
        ),
      ]
    const due = await nextBackupAt({ folder: backupDir, schedule: backupSchedule, keep: backupKeep })
    const what = `newest of ${time(newest.takenAt)} in ${backupDir}`
    if (Date.now() < due.getTime() + LATE_MS) return [ok('backup', what)]
    return [
      warning(
        'backup',
        `${what}, and one was due ${time(due)}`,
        'see: vedette jobs list, and: vedette jobs run backup',
      ),
    ]
  } catch (error) {
    return [failed('backup', messageOf(error), 'see that BACKUP_DIR can be read')]
  }
}

/** Of a server, whose disks are not this machine's. */
export const checkStoreDisk = async (clickhouse: ClickHouse): Promise<Finding[]> => {
  if (clickhouse.embedded) return []
  try {
    const share = (await freeShareOfStore(clickhouse)) * 100
    if (share >= 15) return []
    const what = `${share.toFixed(0)} % free on the fullest disk of the server`
    const remedy = 'make room there, or set RETENTION_DAYS lower; below 2 % no job begins'
    return [share < 5 ? failed('clickhouse disk', what, remedy) : warning('clickhouse disk', what, remedy)]
  } catch (error) {
    if (!(error instanceof ClickHouseError)) throw error
    return [warning('clickhouse disk', messageOf(error), 'grant SELECT on system.disks, or see to its disks yourself')]
  }
}
