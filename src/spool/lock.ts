import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as wait } from 'node:timers/promises'

const SQLITE_BUSY = 5
/** How long to wait for an earlier process to go. */
const WAIT_MS = 10_000
const LOOK_EVERY_MS = 100

const tryLock = (path: string): DatabaseSync | undefined => {
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
    return database
  } catch (error) {
    database.close()
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return undefined
    throw error
  }
}

/**
 * Takes a folder for this process alone: a second one would take the first one's open segment for the leavings of a crash,
 * insert it and delete it. Node has no flock; SQLite's file lock is one that the kernel gives back however a process ends.
 * @returns gives the folder back
 */
export const lockFolder = async (folder: string, waitMs = WAIT_MS): Promise<() => void> => {
  const deadline = Date.now() + waitMs
  for (;;) {
    const database = tryLock(join(folder, 'lock'))
    if (database)
      return () => {
        if (database.isOpen) database.close()
      }
    if (Date.now() >= deadline) {
      throw new Error(
        `The spool ${folder} is in use by another process; stop that one first, or set DATA_DIR to a folder of its own`,
      )
    }
    await wait(LOOK_EVERY_MS)
  }
}
