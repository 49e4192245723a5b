import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

import { UNFINISHED } from './backup.ts'
import { MANIFEST, readManifest } from './manifest.ts'

/** `vedette-2026-11-25T03-00-00Z`: sorts by time, and is a name everywhere. */
const NAME = /^vedette-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ$/

export const nameAt = (at: Date): string => `vedette-${at.toISOString().slice(0, 19).replaceAll(':', '-')}Z`

const names = (folder: string): Promise<string[]> =>
  readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })

/** Whole back-ups that the schedule made in this folder, newest first, with the time of the tables they hold. */
export const scheduledIn = async (folder: string): Promise<{ path: string; takenAt: Date }[]> => {
  const found: { path: string; takenAt: Date }[] = []
  for (const name of (await names(folder))
    .filter((name) => NAME.test(name))
    .sort()
    .reverse()) {
    const path = join(folder, name)
    // Of any version: an update must not lead to a second one at once.
    const manifest = await readManifest(path).catch(() => undefined)
    if (manifest) found.push({ path, takenAt: new Date(manifest.takenAt) })
  }
  return found
}

/** Removes all but the newest, and what was cut off. Other names in the folder are left alone. @returns what went */
export const prune = async (folder: string, keep: number): Promise<string[]> => {
  const old = (await scheduledIn(folder)).slice(keep).map(({ path }) => path)
  for (const path of old) {
    // Cut off here, it does not look whole.
    await rm(join(path, MANIFEST))
    await rm(path, { recursive: true, force: true })
  }
  const whole = new Set((await scheduledIn(folder)).map(({ path }) => path))
  for (const name of await names(folder)) {
    const path = join(folder, name)
    const isOwn = NAME.test(name) || (name.endsWith(UNFINISHED) && NAME.test(name.slice(0, -UNFINISHED.length)))
    if (isOwn && !whole.has(path)) await rm(path, { recursive: true, force: true })
  }
  return old
}
