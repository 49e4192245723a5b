import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

import type { Logger } from 'pino'

import type { ClickHouse } from '../clickhouse/index.ts'
import type { Redis } from '../redis/index.ts'
import { createSnapshot } from './snapshot.ts'
import { createTable } from './table.ts'
import { StoreError, type Version, type Versions } from './types.ts'

export interface VersionsDependencies {
  /** The sort of thing, such as `api_key`. */
  kind: string
  clickhouse: ClickHouse
  redis: Redis
  log: Logger
  /** Where a snapshot is kept for starts while ClickHouse is away; undefined: none. */
  dataDir?: string | undefined
  /** How often ClickHouse is asked for changes, whatever was published. Default 1,000. */
  pollMs?: number | undefined
}

/** Writers of one kind wait this long for each other before they leave it to the token to tell who was first. */
const LEASE_WAIT_MS = 2_000
/** Without a lease (Redis away) each round one of the writers wins; 13 losses in a row were seen with eight of them. */
const TRIES = 40
const LONGEST_PAUSE_MS = 100

/** `T` is what JSON can hold: no Date, no Map. */
export const createVersions = <T>(dependencies: VersionsDependencies): Versions<T> => {
  const { kind, clickhouse, redis, dataDir, pollMs = 1_000 } = dependencies
  const log = dependencies.log.child({ kind })
  const table = createTable<T>(clickhouse, kind)
  const snapshot = dataDir === undefined ? undefined : createSnapshot<T>(join(dataDir, 'store', `${kind}.json`))
  const channel = `store:${kind}`
  const listeners = new Set<() => void>()

  /** Removed ones too, since their version goes on counting. */
  let known = new Map<string, Version<T>>()
  let mark: string | undefined
  /** Written here while a load was under way, which may not have seen it. */
  const written = new Map<string, Version<T>>()
  let away = false
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let unsubscribe: (() => void) | undefined

  const adopt = async (next: Map<string, Version<T>>) => {
    known = next
    for (const listener of listeners) listener()
    await snapshot?.save([...known.values()]).catch((error: unknown) => {
      log.error(
        { err: error },
        'the snapshot cannot be written; a start without ClickHouse would not know the last changes',
      )
    })
  }

  const load = async (): Promise<void> => {
    written.clear()
    // The mark goes first: a row that comes in between is then read twice rather than never.
    const newMark = await table.mark()
    if (newMark === mark) return
    const loaded = new Map((await table.newest()).map((version) => [version.id, version]))
    for (const version of written.values())
      if ((loaded.get(version.id)?.version ?? 0) < version.version) loaded.set(version.id, version)
    mark = newMark
    await adopt(loaded)
  }

  let last: Promise<void> = Promise.resolve()
  let queued: Promise<void> | undefined
  /** One at a time; whoever asks while one runs gets one that starts after it. */
  const refresh = (): Promise<void> => {
    queued ??= last
      .catch(() => {})
      .then(() => {
        queued = undefined
        last = load()
        return last
      })
    return queued
  }

  /** Tells of each change of ClickHouse's state once. */
  const tryRefresh = async (): Promise<boolean> => {
    try {
      await refresh()
      if (away) log.info('changes can be read again')
      away = false
    } catch (error) {
      if (!away && !stopped) log.warn({ err: error }, 'changes cannot be read; going on with what was known last')
      away = true
    }
    return !away
  }

  const poll = async (): Promise<void> => {
    const startedAt = performance.now()
    await tryRefresh()
    if (!stopped) timer = setTimeout(() => void poll(), Math.max(50, pollMs - (performance.now() - startedAt)))
  }

  const start = async (): Promise<void> => {
    unsubscribe = redis.subscribe(channel, () => void tryRefresh())
    if (!(await tryRefresh()) && snapshot) {
      try {
        const saved = await snapshot.load()
        if (saved) {
          known = new Map(saved.versions.map((version) => [version.id, version]))
          for (const listener of listeners) listener()
          log.warn(`starting with the ${known.size} known at ${saved.savedAt.toISOString()}`)
        }
      } catch (error) {
        log.error({ err: error }, 'the snapshot cannot be read; starting with none')
      }
    }
    timer = setTimeout(() => void poll(), pollMs)
  }

  /**
   * What keeps two writers apart is the token of the insert; the lease only spares them the collision. So a change goes
   * through without Redis as well: a key must be revocable when half of everything is down.
   */
  const lease = async () => {
    try {
      return await redis.acquire(channel, { waitMs: LEASE_WAIT_MS })
    } catch (error) {
      log.debug({ err: error }, 'writing without a lease')
      return undefined
    }
  }

  const put = async (next: Version<T>): Promise<boolean> => {
    if (!(await table.add(next))) return false
    written.set(next.id, next)
    await adopt(new Map(known).set(next.id, next))
    // Missed messages are made good by the poll.
    await redis.publish(channel, { id: next.id, version: next.version }).catch(() => {})
    return true
  }

  const update: Versions<T>['update'] = async (id, change, { by }) => {
    const held = await lease()
    try {
      for (let tries = 0; tries < TRIES; tries++) {
        const current = await table.newestOf(id)
        const value = change(current)
        if (current && value === current.value) return current
        const next = { id, version: (current?.version ?? 0) + 1, value, changedAt: new Date(), changedBy: by }
        if (await put(next)) return next
        await pause(Math.random() * Math.min(LONGEST_PAUSE_MS, 10 * (tries + 1)))
      }
      throw new StoreError('UNAVAILABLE', `${kind} ${id} is being changed by many at once; try again`)
    } finally {
      await held?.release()
    }
  }

  return {
    start,
    stop: async () => {
      stopped = true
      unsubscribe?.()
      clearTimeout(timer)
      await Promise.allSettled([last, queued])
    },
    get: (id) => {
      const version = known.get(id)
      return version?.value === undefined ? undefined : version
    },
    list: () => [...known.values()].filter(({ value }) => value !== undefined),
    write: (id, value, { by, expectedVersion }) =>
      update(
        id,
        (current) => {
          const version = current?.version ?? 0
          if (expectedVersion !== undefined && version !== expectedVersion)
            throw new StoreError(
              'CONFLICT',
              `${kind} ${id} is at version ${version} by now, not ${expectedVersion}; read it again and repeat the change`,
            )
          return value
        },
        { by },
      ),
    update,
    history: ({ id, limit = 100 } = {}) => table.history({ id, limit }),
    refresh,
    onChange: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}
