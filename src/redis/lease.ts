import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

import type { Log } from './connections.ts'
import type { Lease, LeaseOptions } from './types.ts'

/** The three steps of a lease, each atomic where the keys are kept. A token tells whose it is. */
export interface LeaseKeys {
  take: (key: string, token: string, ttlMs: number) => Promise<boolean>
  extend: (key: string, token: string, ttlMs: number) => Promise<boolean>
  drop: (key: string, token: string) => Promise<void>
}

const DEFAULT_TTL_MS = 10_000

/** Between two tries while somebody else holds it; uneven, so that those who wait do not go in step. */
const pause = (): number => 20 + Math.random() * 40

/** Keeps a lease that was taken at `takenAt` (performance.now() before asking). */
const keep = (keys: LeaseKeys, log: Log, key: string, token: string, ttlMs: number, takenAt: number): Lease => {
  const lost = new AbortController()
  let released = false
  // Counted from before the question was sent, so our own end comes before the one in Redis, whatever the answer took.
  let endsAt = takenAt + ttlMs
  let timer: NodeJS.Timeout

  const lose = (reason: string) => {
    if (released || lost.signal.aborted) return
    log.warn({ lease: key }, `lease lost: ${reason}`)
    lost.abort(new Error(`the lease ${key} is lost: ${reason}`))
  }
  const extend = async () => {
    const askedAt = performance.now()
    try {
      if (await keys.extend(key, token, ttlMs)) endsAt = askedAt + ttlMs
      else return lose('another holder has it, or it ran out')
    } catch {
      // Redis does not answer: the lease holds for as long as it was given.
    }
    schedule()
  }
  const schedule = () => {
    if (released || lost.signal.aborted) return
    const left = endsAt - performance.now()
    if (left <= 0) return lose('it could not be extended in time')
    timer = setTimeout(() => void extend(), Math.min(left, ttlMs / 3))
  }
  schedule()

  return {
    signal: lost.signal,
    held: () => !released && !lost.signal.aborted && performance.now() < endsAt,
    release: async () => {
      if (released) return
      released = true
      clearTimeout(timer)
      if (!lost.signal.aborted) await keys.drop(key, token).catch(() => {})
    },
  }
}

export const createAcquire =
  (keys: LeaseKeys, log: Log, prefix: string) =>
  async (name: string, { ttlMs = DEFAULT_TTL_MS, waitMs = 0 }: LeaseOptions = {}): Promise<Lease | undefined> => {
    const key = `${prefix}lease:${name}`
    const token = randomBytes(16).toString('base64url')
    const giveUpAt = performance.now() + waitMs
    for (;;) {
      const askedAt = performance.now()
      try {
        if (await keys.take(key, token, ttlMs)) return keep(keys, log, key, token, ttlMs, askedAt)
      } catch (error) {
        // The question may still be under way: what it takes, nobody would give back until it runs out.
        keys.drop(key, token).catch(() => {})
        throw error
      }
      if (performance.now() >= giveUpAt) return undefined
      await sleep(pause())
    }
  }
