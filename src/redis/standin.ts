import { createChannels } from './channels.ts'
import type { Log } from './connections.ts'
import { createAcquire } from './lease.ts'
import type { Redis } from './types.ts'

interface Entry {
  value: string
  /** On the clock of performance.now(). */
  endsAt: number
}

const SWEEP_MS = 60_000
/** About 200 MB. Past it the oldest is forgotten, as Redis does with `volatile-ttl`. */
const MAX_ENTRIES = 1_000_000

/** The same face within one process, for a single Vedette without Redis. */
export const createStandIn = ({ log, prefix }: { log: Log; prefix: string }): Redis => {
  const entries = new Map<string, Entry>()
  const channels = createChannels(log)
  let sweeper: NodeJS.Timeout | undefined

  const get = (key: string): string | undefined => {
    const entry = entries.get(key)
    if (!entry) return undefined
    if (entry.endsAt > performance.now()) return entry.value
    entries.delete(key)
    return undefined
  }
  const set = (key: string, value: string, ttlMs: number): void => {
    entries.delete(key)
    entries.set(key, { value, endsAt: performance.now() + ttlMs })
    if (entries.size > MAX_ENTRIES) entries.delete(entries.keys().next().value!)
  }
  const setIfAbsent = (key: string, value: string, ttlMs: number): boolean => {
    if (get(key) !== undefined) return false
    set(key, value, ttlMs)
    return true
  }
  const sweep = () => {
    const now = performance.now()
    for (const [key, { endsAt }] of entries) if (endsAt <= now) entries.delete(key)
  }

  return {
    shared: false,
    start: async () => {
      sweeper ??= setInterval(sweep, SWEEP_MS).unref()
    },
    stop: async () => {
      clearInterval(sweeper)
      sweeper = undefined
    },
    ping: async () => {},
    get: async (key) => get(prefix + key),
    set: async (key, value, ttlMs) => set(prefix + key, value, ttlMs),
    setIfAbsent: async (key, value, ttlMs) => setIfAbsent(prefix + key, value, ttlMs),
    delete: async (key) => void entries.delete(prefix + key),
    publish: async (channel, message) => {
      const text = JSON.stringify(message)
      // Later, as over a wire: nobody is called back in the middle of his own statement.
      setImmediate(() => channels.deliver(channel, text))
    },
    subscribe: (channel, listener) => {
      channels.add(channel, listener)
      return () => void channels.remove(channel, listener)
    },
    connection: () => undefined,
    acquire: createAcquire(
      {
        take: async (key, token, ttlMs) => setIfAbsent(key, token, ttlMs),
        extend: async (key, token, ttlMs) => {
          if (get(key) !== token) return false
          set(key, token, ttlMs)
          return true
        },
        drop: async (key, token) => {
          if (get(key) === token) entries.delete(key)
        },
      },
      log,
      prefix,
    ),
  }
}
