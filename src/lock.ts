import { DatabaseSync } from 'node:sqlite'

const SQLITE_BUSY = 5

/**
 * Takes a file for this process alone, or answers undefined where another one has it; the function gives it back. Node has
 * no flock; SQLite's file lock is one that the kernel gives back however a process ends.
 */
export const tryLock = (path: string): (() => void) | undefined => {
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return undefined
    throw error
  }
  return () => {
    if (database.isOpen) database.close()
  }
}
