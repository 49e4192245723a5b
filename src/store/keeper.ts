import type { Logger } from 'pino'

import { createSnapshot } from './snapshot.ts'
import type { Version } from './types.ts'

/** Few are written at each change, which takes a millisecond; many (100,000 are some 30 MB) now and then. */
const FEW = 1_000
const EVERY_MS = 30_000

/** Sees to it that the snapshot is what is known: of a thousand at once, of more at most 30 s later and at the stop. */
export interface Keeper<T> {
  /** Undefined: there is none, or it cannot be read, which the log then says. */
  load: () => Promise<{ savedAt: Date; versions: Version<T>[] } | undefined>
  /** What is known has changed. */
  changed: () => void
  /** After changes: resolves when it is written, or planned. Never throws. */
  keep: () => Promise<void>
  /** Writes what is not yet written. */
  stop: () => Promise<void>
}

/** @param path undefined: none is kept */
export const createKeeper = <T>(
  path: string | undefined,
  known: ReadonlyMap<string, Version<T>>,
  log: Logger,
): Keeper<T> => {
  const snapshot = path ? createSnapshot<T>(path) : undefined
  let dirty = false
  let timer: NodeJS.Timeout | undefined
  let saving: Promise<void> = Promise.resolve()

  const write = async (): Promise<void> => {
    clearTimeout(timer)
    timer = undefined
    if (!dirty || !snapshot) return
    dirty = false
    // A few are taken as they are now; many would take as much memory again.
    await snapshot.save(known.size <= FEW ? [...known.values()] : known.values()).catch((error: unknown) => {
      dirty = true
      log.error(
        { err: error },
        'the snapshot cannot be written; a start without ClickHouse would not know the last changes',
      )
    })
  }

  const save = (): Promise<void> => (saving = write())

  return {
    load: async () => {
      try {
        return await snapshot?.load()
      } catch (error) {
        log.error({ err: error }, 'the snapshot cannot be read; starting with none')
        return undefined
      }
    },
    changed: () => {
      dirty = true
    },
    keep: async () => {
      // Somebody else may be writing what this caller changed.
      if (known.size <= FEW) await (dirty ? save() : saving)
      else if (dirty) timer ??= setTimeout(() => void save(), EVERY_MS).unref()
    },
    stop: async () => {
      clearTimeout(timer)
      await saving
      await save()
    },
  }
}
