import { stat } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'

import { begin, type Import, type Reading, type Summary } from './run.ts'

const LOOK_EVERY_MS = 500
/** A server goes on writing into a file that was renamed until it is told to open the new one. */
const ROTATED_QUIET_MS = 10_000

interface Followed extends Reading {
  inode: number
  /** When its name was found to lead elsewhere. */
  rotatedAt: number | undefined
}

const inodeOf = async (path: string): Promise<number | undefined> => {
  try {
    return (await stat(path)).ino
  } catch (error) {
    // Between the renaming and the new file; or there is none yet.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Reads on as the file grows, until `stopping`. When its name leads to another file, that one is read from its beginning, and
 * the old one until nothing has been added to it for ten seconds.
 */
export const follow = async (
  path: string,
  { recognise, readOn, summary }: Import,
  stopping: AbortSignal,
): Promise<Summary> => {
  let followed: Followed[] = []

  const takeUp = async (): Promise<void> => {
    const inode = await inodeOf(path)
    if (inode === undefined || followed.some((log) => log.inode === inode && log.rotatedAt === undefined)) return
    for (const log of followed) log.rotatedAt ??= Date.now()
    const reading = await begin(path)
    followed.push({ ...reading, inode: (await reading.log.handle.stat()).ino, rotatedAt: undefined })
  }

  /** @returns whether there may be more to come */
  const lookAt = async (log: Followed): Promise<boolean> => {
    const { size, mtimeMs } = await log.log.handle.stat()
    // Cut off and begun anew under the same name: logrotate's copytruncate.
    if (log.identity && size < log.identity.offset) log.identity = undefined
    const now = Date.now()
    const over = log.rotatedAt !== undefined && now - Math.max(log.rotatedAt, mtimeMs) > ROTATED_QUIET_MS
    if (!log.identity && size > 0) await recognise(log, !over)
    if (log.identity && size > log.identity.offset) await readOn(log, !over)
    return !over
  }

  try {
    while (!stopping.aborted) {
      await takeUp()
      for (const log of followed) {
        if (await lookAt(log)) continue
        followed = followed.filter((other) => other !== log)
        await log.log.handle.close()
      }
      await wait(LOOK_EVERY_MS, undefined, { signal: stopping }).catch(() => {})
    }
    return summary
  } finally {
    await Promise.all(followed.map((log) => log.log.handle.close()))
  }
}
