import type { AttackKind, DemoEvent } from './event.ts'
import { createRandom, type Random } from './random.ts'

export const SECOND = 1_000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

/** One address that attacked: what it did, when, and how many of the day's requests that were. */
export interface Attacker {
  ip: string
  kinds: AttackKind[]
  /** RFC 3339 of its first and last hostile request. */
  first: string
  last: string
  requests: number
}

/** Collects a day's requests in any order and hands them out in the order of time. */
export interface Recorder {
  /** Epoch ms; the day is [from, to). */
  readonly from: number
  readonly to: number
  /** Requests recorded so far that lie in the day. */
  readonly count: number
  readonly hostile: number
  /** What falls outside of the day is left out: visits begin before it and last past it. `kinds` makes it part of an attack. */
  record(at: number, event: Omit<DemoEvent, 'timestamp'>, kinds?: readonly AttackKind[]): void
  /** A stream of chance by name, the same for the same seed and day. */
  random(name: string): Random
  /** The moment of the day when it is `hour`:`minute` UTC. */
  clock(hour: number, minute: number): number
  sorted(): DemoEvent[]
  attackers(): Attacker[]
}

interface Entry {
  at: number
  order: number
  event: Omit<DemoEvent, 'timestamp'>
}

export const createRecorder = (seed: number, from: number): Recorder => {
  const to = from + DAY
  const entries: Entry[] = []
  const attacks = new Map<string, { kinds: Set<AttackKind>; first: number; last: number; requests: number }>()
  let hostile = 0

  return {
    from,
    to,
    get count() {
      return entries.length
    },
    get hostile() {
      return hostile
    },
    record(time, event, kinds) {
      const at = Math.floor(time)
      if (at < from || at >= to) return
      entries.push({ at, order: entries.length, event })
      if (!kinds) return
      hostile++
      const known = attacks.get(event.ip)
      if (!known) {
        attacks.set(event.ip, { kinds: new Set(kinds), first: at, last: at, requests: 1 })
        return
      }
      for (const kind of kinds) known.kinds.add(kind)
      known.first = Math.min(known.first, at)
      known.last = Math.max(known.last, at)
      known.requests++
    },
    random: (name) => createRandom(`${seed}/${from}/${name}`),
    clock(hour, minute) {
      const midnight = from - (from % DAY)
      const at = midnight + hour * HOUR + minute * MINUTE
      return at < from ? at + DAY : at
    },
    sorted: () =>
      entries
        .sort((a, b) => a.at - b.at || a.order - b.order)
        .map(({ at, event }) => ({ timestamp: new Date(at).toISOString(), ...event })),
    attackers: () =>
      [...attacks].map(([ip, { kinds, first, last, requests }]) => ({
        ip,
        kinds: [...kinds],
        first: new Date(first).toISOString(),
        last: new Date(last).toISOString(),
        requests,
      })),
  }
}
