import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

import { tryLock } from '../lock.ts'

/** How long to wait for an earlier process to go. */
const WAIT_MS = 10_000
const LOOK_EVERY_MS = 100

/**
 * Takes a folder for this process alone: a second one would take the first one's open segment for the leavings of a crash,
 * insert it and delete it.
 * @returns gives the folder back
 */
export const lockFolder = async (folder: string, waitMs = WAIT_MS): Promise<() => void> => {
  const deadline = Date.now() + waitMs
  for (;;) {
    const unlock = tryLock(join(folder, 'lock'))
    if (unlock) return unlock
    if (Date.now() >= deadline) {
      throw new Error(
        `The spool ${folder} is in use by another process; stop that one first, or set DATA_DIR to a folder of its own`,
      )
    }
    await wait(LOOK_EVERY_MS)
  }
}
