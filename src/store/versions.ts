import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

import type { Logger } from 'pino'

import type { ClickHouse } from '../clickhouse/index.ts'
import type { Redis } from '../redis/index.ts'
import { createFollow } from './follow.ts'
import { createKeeper } from './keeper.ts'
import { type Mark, pulseOf } from './pulse.ts'
import { inSlices } from './slices.ts'
import { createTable, supersedes } from './table.ts'
import { type Change, StoreError, type Version, type Versions } from './types.ts'

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
/** What somebody else writes can be read some ms after its token is taken: what cannot after so long is not there. */
const ERASED_AFTER_MS = 2_000
/** Rows of one insert: one block of the store, and so all or none. */
const MOST_ROWS = 100_000

/** `T` is what JSON can hold: no Date, no Map. */
export const createVersions = <T>(dependencies: VersionsDependencies): Versions<T> => {
  const { kind, clickhouse, redis, dataDir, pollMs = 1_000 } = dependencies
  const log = dependencies.log.child({ kind })
  const table = createTable<T>(clickhouse, kind)
  const channel = `store:${kind}`
  const listeners = new Set<(changed: readonly Version<T>[]) => void>()

  /** Removed ones too, since their version goes on counting. */
  const known = new Map<string, Version<T>>()
  const keeper = createKeeper<T>(dataDir && join(dataDir, 'store', `${kind}.json`), known, log)
  /** Written here while everything is being read, which may not see it. Undefined: it is not. */
  let written: Map<string, Version<T>> | undefined
  let loaded = false
  let away = false
  let stopped = false
  /** Of the rows that were read last. */
  let mark: Mark
  let unfollow: (() => void) | undefined
  let unsubscribe: (() => void) | undefined

  const tell = (changed: readonly Version<T>[]): void => {
    if (changed.length === 0) return
    keeper.changed()
    for (const listener of listeners) listener(changed)
  }

  const take = (versions: readonly Version<T>[]): void => {
    const changed: Version<T>[] = []
    for (const version of versions) {
      if (!supersedes(version, known.get(version.id))) continue
      known.set(version.id, version)
      changed.push(version)
    }
    tell(changed)
  }

  const readNews = createFollow<T>({
    table,
    take,
    beforeAll: () => {
      written = new Map()
    },
    replace: (versions) => {
      const changed = versions.filter((version) => {
        const before = known.get(version.id)
        const ours = written?.get(version.id)
        if (ours && !supersedes(version, ours)) return false
        return before?.version !== version.version || before.changedAt.getTime() !== version.changedAt.getTime()
      })
      for (const version of changed) known.set(version.id, version)
      tell(changed)
    },
    afterAll: (ids) => {
      loaded = true
      const gone = [...known.values()].filter(({ id }) => !ids.has(id) && !written?.has(id))
      written = undefined
      for (const { id } of gone) known.delete(id)
      tell(gone.map((version) => ({ ...version, value: undefined })))
    },
  })

  let last: Promise<void> = Promise.resolve()
  let queued: Promise<void> | undefined
  /** One at a time; whoever asks while one runs gets one that starts after it. */
  const refresh = (): Promise<void> => {
    queued ??= last
      .catch(() => {})
      .then(() => {
        queued = undefined
        last = readNews().then(keeper.keep)
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

  const follow = async (now: Mark): Promise<void> => {
    if (now !== undefined && now === mark) return
    if (await tryRefresh()) mark = now
  }

  const start = async (): Promise<void> => {
    unsubscribe = redis.subscribe(channel, () => void tryRefresh())
    if (!(await tryRefresh())) {
      const saved = await keeper.load()
      if (saved) {
        for await (const versions of inSlices(saved.versions)) take(versions)
        loaded = true
        log.warn(`starting with the ${known.size} known at ${saved.savedAt.toISOString()}`)
      }
    }
    unfollow = pulseOf(clickhouse, pollMs).follow(kind, (now) => void follow(now))
  }

  /**
   * What keeps two writers apart is the token of the insert; the lease only spares them the collision. So a change goes
   * through without Redis as well: a key must be revocable when half of everything is down.
   */
  const withLease = async <R>(work: () => Promise<R>): Promise<R> => {
    const held = await redis.acquire(channel, { waitMs: LEASE_WAIT_MS }).catch((error: unknown) => {
      log.debug({ err: error }, 'writing without a lease')
      return undefined
    })
    try {
      return await work()
    } finally {
      await held?.release()
    }
  }

  /** After rows of ours are in the store. Missed messages are made good by the poll. */
  const adopt = async (versions: readonly Version<T>[], message: object): Promise<void> => {
    for (const version of versions) written?.set(version.id, version)
    for await (const some of inSlices(versions)) take(some)
    await keeper.keep()
    await redis.publish(channel, message).catch(() => {})
  }

  const updateOne = async ({ id, change }: Change<T>, by: string): Promise<Version<T>> => {
    /** Since when our version is refused although the newest one is this. */
    let stuck: { newest: number; since: number } | undefined
    let skipped = 0
    for (let tries = 0; tries < TRIES;) {
      const current = await table.newestOf(id)
      const value = change(current)
      if (current && value === current.value) return current
      const newest = current?.version ?? 0
      if (stuck?.newest !== newest) {
        stuck = { newest, since: performance.now() }
        skipped = 0
        tries++
      } else if (performance.now() - stuck.since > ERASED_AFTER_MS) {
        // Nobody wrote it: `vedette forget` erased those who had these numbers, whose tokens live on.
        skipped = skipped * 2 + 1
        tries++
      }
      const next = { id, version: newest + 1 + skipped, value, changedAt: new Date(), changedBy: by }
      if (await table.add(next)) {
        await adopt([next], { id, version: next.version })
        return next
      }
      await pause(Math.random() * Math.min(LONGEST_PAUSE_MS, 10 * (tries + 1)))
    }
    throw new StoreError('UNAVAILABLE', `${kind} ${id} is being changed by many at once; try again`)
  }

  const update: Versions<T>['update'] = (id, change, { by }) => withLease(() => updateOne({ id, change }, by))

  const writeMany: Versions<T>['writeMany'] = (changes, { by }) =>
    withLease(async () => {
      await refresh()
      const changedAt = new Date()
      const results = new Map<string, Version<T>>()
      const rows: Version<T>[] = []
      for await (const some of inSlices(changes))
        for (const { id, change } of some) {
          if (results.has(id)) throw new TypeError(`${kind} ${id} is to be changed twice at once`)
          const current = known.get(id)
          const value = change(current)
          const next = { id, version: (current?.version ?? 0) + 1, value, changedAt, changedBy: by }
          if (!current || value !== current.value) rows.push(next)
          results.set(id, !current || value !== current.value ? next : current)
        }
      for (let from = 0; from < rows.length; from += MOST_ROWS) {
        const chunk = rows.slice(from, from + MOST_ROWS)
        const twice = await table.addMany(chunk, `store:${kind}:many:${randomUUID()}`)
        await adopt(chunk, { rows: chunk.length })
        for (const change of changes) if (twice.has(change.id)) results.set(change.id, await updateOne(change, by))
      }
      return changes.map(({ id }) => results.get(id)!)
    })

  return {
    start,
    stop: async () => {
      stopped = true
      unsubscribe?.()
      unfollow?.()
      await Promise.allSettled([last, queued])
      await keeper.stop()
    },
    get loaded() {
      return loaded
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
    writeMany,
    history: ({ id, limit = 100 } = {}) => table.history({ id, limit }),
    refresh,
    onChange: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}
