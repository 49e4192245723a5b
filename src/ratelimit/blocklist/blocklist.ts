import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises'

import type { Logger } from 'pino'
import { Gauge, type Registry } from 'prom-client'

import type { ClickHouse } from '../../clickhouse/index.ts'
import type { Redis } from '../../redis/index.ts'
import type { SecurityLog } from '../../securitylog/index.ts'
import { createVersions, StoreError, type Version } from '../../store/index.ts'
import {
  asEntry,
  type CheckedEntry,
  checkNewEntry,
  type EntryRecord,
  requestHash,
  withAdded,
  withRemoved,
} from './entries.ts'
import { createInForce, isActive } from './in-force.ts'
import { createRefusal } from './reserved.ts'
import { BLOCK_ACTIONS, type BlockList, type BlockListChange, type BlockListEntry } from './types.ts'

export interface BlockListDependencies {
  clickhouse: ClickHouse
  redis: Redis
  log: Logger
  /** The service's, for a snapshot by which blocks go on through a restart while ClickHouse is away; undefined: none. */
  dataDir: string | undefined
  /** CIDRs that are not to be denied. */
  trustedProxies: readonly string[]
  /** Told of the changes that this process makes, so that each comes once. */
  securityLog?: SecurityLog | undefined
  registry?: Registry | undefined
  pollMs?: number | undefined
}

/** The security log holds so many lines in memory and writes them within this time. */
const NOTED_AT_ONCE = 10_000
const NOTED_MS = 500
/** A few milliseconds of the event loop. */
const CHECKED_AT_ONCE = 1_000

/** A change of this process, for the security log; undefined: nothing was changed. */
type Made = 'block_list_added' | 'block_list_changed' | 'block_list_removed' | undefined

const changeOf = (
  before: BlockListEntry | undefined,
  after: BlockListEntry | undefined,
): BlockListChange | undefined => {
  const was = before !== undefined && isActive(before)
  const is = after !== undefined && isActive(after)
  if (is) return { action: was ? 'changed' : 'added', entry: after }
  return was ? { action: 'removed', entry: after ?? before } : undefined
}

/** The change that adds the entry, and what it made of the last state it was given. */
const addition = (entry: CheckedEntry, by: string) => {
  const addition = {
    made: undefined as Made,
    id: entry.id,
    change: (current: Version<EntryRecord> | undefined): EntryRecord => {
      const next = withAdded(current?.value, entry, by)
      const goesOn = current?.value && next.createdAt === current.value.createdAt
      addition.made = next === current?.value ? undefined : goesOn ? 'block_list_changed' : 'block_list_added'
      return next
    },
  }
  return addition
}

export const createBlockList = (dependencies: BlockListDependencies): BlockList => {
  const { clickhouse, redis, log, dataDir, trustedProxies, securityLog, registry, pollMs } = dependencies
  const versions = createVersions<EntryRecord>({ kind: 'block_list_entry', clickhouse, redis, log, dataDir, pollMs })
  const refusal = createRefusal(trustedProxies)
  const inForce = createInForce()
  const entries = new Map<string, BlockListEntry>()
  /** Hashes of (author, idempotency key) → id. */
  const requests = new Map<string, string>()
  const listeners = new Set<(changes: readonly BlockListChange[]) => void>()
  let sorted: BlockListEntry[] | undefined

  /** Undefined: removed for good, or written by a later version of this program, which must not stop this one. */
  const read = (version: Version<EntryRecord>): BlockListEntry | undefined => {
    if (version.value === undefined) return undefined
    try {
      return asEntry(version)
    } catch (error) {
      log.error({ err: error, entry: version.id }, 'an entry of the block list cannot be read; going on without it')
      return undefined
    }
  }

  const take = (version: Version<EntryRecord>): BlockListChange | undefined => {
    const before = entries.get(version.id)
    const after = read(version)
    const change = changeOf(before, after)
    inForce.replace(before, after)
    if (after) entries.set(version.id, after)
    else entries.delete(version.id)
    for (const request of version.value?.requests ?? []) requests.set(request, version.id)
    return change
  }

  versions.onChange((changed) => {
    sorted = undefined
    const changes = changed.map(take).filter((change) => change !== undefined)
    if (changes.length > 0) for (const listener of listeners) listener(changes)
  })

  const note = (
    made: Made,
    { id, cidr, action, source, reason, expiresAt, removedReason }: BlockListEntry,
    by: string,
  ) => {
    if (!made) return
    securityLog?.write({
      event: made,
      entryId: id,
      cidr,
      action,
      source,
      reason: made === 'block_list_removed' ? (removedReason ?? '') : reason,
      by,
      expiresAt: expiresAt?.toISOString() ?? null,
    })
  }

  /** In memory by now: listeners were called before the write was done. */
  const entryOf = (version: Version<EntryRecord>): BlockListEntry => {
    const known = entries.get(version.id)
    return known && known.version >= version.version ? known : asEntry(version)
  }

  const checkRequest = ({ id, idempotencyKey }: CheckedEntry, by: string): void => {
    if (idempotencyKey === undefined) return
    const used = requests.get(requestHash(by, idempotencyKey))
    if (used === undefined || used === id) return
    throw new StoreError(
      'INVALID',
      `idempotencyKey: ${JSON.stringify(idempotencyKey)} was used for ${entries.get(used)?.cidr ?? used}; use a new one for each entry`,
      { field: 'idempotencyKey' },
    )
  }

  const list = (): BlockListEntry[] =>
    (sorted ??= [...entries.values()].sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime()))

  registry?.registerMetric(
    new Gauge({
      name: 'vedette_block_list_entries',
      help: 'Entries of the block list in force, by action',
      labelNames: ['action'],
      registers: [],
      collect() {
        const counts = inForce.count()
        for (const action of BLOCK_ACTIONS) this.set({ action }, counts[action])
      },
    }),
  )

  return {
    start: versions.start,
    stop: async () => {
      inForce.stop()
      await versions.stop()
    },
    get loaded() {
      return versions.loaded
    },
    refresh: versions.refresh,
    lookup: inForce.lookup,
    list,
    active: () => {
      const now = Date.now()
      return list().filter((entry) => isActive(entry, now))
    },
    get: (id) => entries.get(id),
    isActive: (entry) => isActive(entry),
    add: async (entry, { by }) => {
      const checked = checkNewEntry(entry, refusal)
      checkRequest(checked, by)
      const added = addition(checked, by)
      const version = await versions.update(added.id, added.change, { by })
      const result = entryOf(version)
      note(added.made, result, by)
      return result
    },
    addMany: async (given, { by }) => {
      const ids: string[] = []
      const additions = new Map<string, ReturnType<typeof addition>>()
      for (const [index, entry] of given.entries()) {
        if (index % CHECKED_AT_ONCE === 0) await turn()
        try {
          const checked = checkNewEntry(entry, refusal)
          checkRequest(checked, by)
          ids.push(checked.id)
          additions.set(checked.id, addition(checked, by))
        } catch (error) {
          if (!(error instanceof StoreError)) throw error
          throw new StoreError('INVALID', `entry ${index + 1}: ${error.message}`, {
            ...(error.field && { field: error.field }),
          })
        }
      }
      const written = await versions.writeMany([...additions.values()], { by })
      const results = new Map(written.map((version) => [version.id, entryOf(version)]))
      let noted = 0
      for (const { id, made } of additions.values()) {
        if (!made || !securityLog) continue
        if (++noted % NOTED_AT_ONCE === 0) await pause(NOTED_MS)
        note(made, results.get(id)!, by)
      }
      return ids.map((id) => results.get(id)!)
    },
    remove: async (id, { by, reason }) => {
      let made: Made
      const version = await versions.update(
        id,
        (current) => {
          if (!current?.value)
            throw new StoreError('NOT_FOUND', `there is no entry ${JSON.stringify(id)} on the block list`)
          const next = withRemoved(current.value, by, reason)
          made = next === current.value ? undefined : 'block_list_removed'
          return next
        },
        { by },
      )
      const result = entryOf(version)
      note(made, result, by)
      return result
    },
    denied: inForce.denied,
    get revision() {
      return inForce.revision
    },
    onChange: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}
