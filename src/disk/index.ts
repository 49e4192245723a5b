import { statfs } from 'node:fs/promises'

import { Gauge, type Registry } from 'prom-client'

import { type ClickHouse, sql } from '../clickhouse/index.ts'

/** Below it, what writes much and can wait does not begin. The collector stops earlier, at 5 %, so that there is room to get well. */
export const LEAST_FREE_SHARE = 0.02
/** Below it, somebody should make room. */
export const SCARCE_SHARE = 0.1
const LOOK_EVERY_MS = 60_000

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`

/** Share of the disk of a folder that is free, 0 to 1. @throws where there is no such folder */
export const freeShareOf = async (folder: string): Promise<number> => {
  const { bavail, blocks } = await statfs(folder)
  return blocks === 0 ? 1 : bavail / blocks
}

/** Of the fullest local disk of ClickHouse. @throws {ClickHouseError} */
export const freeShareOfStore = async (clickhouse: ClickHouse, signal?: AbortSignal): Promise<number> => {
  const { rows } = await clickhouse.query<{ share: number }>(
    sql`SELECT unreserved_space / total_space AS share FROM system.disks WHERE type = 'Local' AND total_space > 0 ORDER BY share LIMIT 1`,
    { signal, comment: 'disk', maxExecutionSeconds: 10 },
  )
  return rows[0]?.share ?? 1
}

const assertRoom = (where: string, share: number): void => {
  if (share >= LEAST_FREE_SHARE) return
  throw new Error(`${where} has ${percent(share)} free, less than 2 %: make room, and the job goes on`)
}

interface Runs<Context, Result> {
  run: (context: Context) => Promise<Result>
}

/**
 * The same job, which fails before it begins where the disk of ClickHouse or of one of the folders is nearly full, and is tried again as
 * any that failed. Writing until nothing is left would cost more than an hour that is closed later.
 */
export const needsRoom = <Context extends { signal: AbortSignal }, Result, J extends Runs<Context, Result>>(
  job: J & Runs<Context, Result>,
  {
    clickhouse,
    folders,
    freeShare = freeShareOf,
  }: { clickhouse: ClickHouse; folders: readonly string[]; freeShare?: (folder: string) => Promise<number> },
): J => ({
  ...job,
  run: async (context: Context): Promise<Result> => {
    assertRoom('the disk of ClickHouse', await freeShareOfStore(clickhouse, context.signal))
    for (const folder of folders)
      // One that is not there yet is made by the job.
      assertRoom(`the disk of ${folder}`, await freeShare(folder).catch(() => 1))
    return job.run(context)
  },
})

export interface DiskLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

export interface DiskWatch {
  /** Looks now; each minute it does so by itself. */
  look: () => Promise<void>
  start: () => void
  stop: () => void
}

/** Says in the log when a disk gets full and when there is room again, and keeps a gauge of it. */
export const createDiskWatch = ({
  folder,
  log,
  registry,
  freeShare = freeShareOf,
}: {
  folder: string
  log: DiskLog
  registry: Registry
  freeShare?: (folder: string) => Promise<number>
}): DiskWatch => {
  let scarce = false
  let timer: NodeJS.Timeout | undefined
  const gauge = new Gauge({
    name: 'vedette_disk_free_ratio',
    help: 'Share of the disk that is free; below 0.05 the collector takes nothing, below 0.02 no job begins',
    labelNames: ['path'],
    registers: [registry],
  })
  const look = async (): Promise<void> => {
    const share = await freeShare(folder)
    gauge.set({ path: folder }, share)
    if (share < SCARCE_SHARE && !scarce)
      log.warn(
        { folder, share },
        `the disk of ${folder} has ${percent(share)} free: make room, or set RETENTION_DAYS lower; below 5 % the collector takes nothing, below 2 % no job begins`,
      )
    if (share >= SCARCE_SHARE && scarce) log.info({ folder, share }, `the disk of ${folder} has room again`)
    scarce = share < SCARCE_SHARE
  }
  const lookSafely = (): void =>
    void look().catch((error: unknown) => log.warn({ err: error, folder }, 'the disk cannot be looked at'))
  return {
    look,
    start: () => {
      lookSafely()
      timer = setInterval(lookSafely, LOOK_EVERY_MS).unref()
    },
    stop: () => clearInterval(timer),
  }
}
