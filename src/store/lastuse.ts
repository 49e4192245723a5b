import type { Logger } from 'pino'

import { createVersions, type VersionsDependencies } from './versions.ts'

/**
 * On which day each key was used last. A day is what it takes to find forgotten keys, and keeps it at one row a key and
 * day, apart from the keys' own history.
 */
export interface LastUse {
  start: () => Promise<void>
  stop: () => Promise<void>
  /** Some nanoseconds: called for every request. */
  note: (keyId: string) => void
  of: (keyId: string) => Date | null
}

const DAY_MS = 86_400_000
const FLUSH_MS = 60_000

const dayOf = (time: number): number => Math.floor(time / DAY_MS)

export const createLastUse = (dependencies: Omit<VersionsDependencies, 'kind' | 'dataDir' | 'pollMs'>): LastUse => {
  const log: Logger = dependencies.log
  const stored = createVersions<{ day: number }>({ ...dependencies, kind: 'api_key_use', pollMs: FLUSH_MS })
  /** keyId → day, of this process. */
  const seen = new Map<string, number>()
  let timer: NodeJS.Timeout | undefined

  const storedDay = (keyId: string): number => stored.get(keyId)?.value?.day ?? 0

  const flush = async (): Promise<void> => {
    for (const [keyId, day] of seen) {
      if (day <= storedDay(keyId)) continue
      try {
        await stored.update(
          keyId,
          (current) => (current?.value && current.value.day >= day ? current.value : { day }),
          {
            by: 'system',
          },
        )
      } catch (error) {
        // Once more in a minute; it stays known here.
        log.debug({ err: error, keyId }, 'the last use of a key could not be written')
        return
      }
    }
  }
  const loop = async (): Promise<void> => {
    await flush()
    timer = setTimeout(() => void loop(), FLUSH_MS).unref()
  }

  return {
    start: async () => {
      await stored.start()
      timer = setTimeout(() => void loop(), FLUSH_MS).unref()
    },
    stop: async () => {
      clearTimeout(timer)
      await flush()
      await stored.stop()
    },
    note: (keyId) => void seen.set(keyId, dayOf(Date.now())),
    of: (keyId) => {
      const day = Math.max(seen.get(keyId) ?? 0, storedDay(keyId))
      return day === 0 ? null : new Date(day * DAY_MS)
    },
  }
}
