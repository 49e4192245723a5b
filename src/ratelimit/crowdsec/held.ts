import type { Redis } from '../../redis/index.ts'
import { nameOf, NAME_LENGTH, PARTS, type View } from './view.ts'

/**
 * What a bouncer holds, as far as it is known: the view that it was sent last. Several: an answer was under way when this
 * was written, and whether it arrived is not known, so it may hold any of them.
 */
export interface Held {
  /** Names of parts, as a view has them. */
  views: readonly string[]
  /** Of the process that answered it last: see `View`. */
  knowledge: number
  /** When it was answered last (epoch ms). */
  at: number
  /** When all the parts were written last (epoch ms). */
  partsAt: number
}

/** The memory of what bouncers hold, shared by all processes through Redis. */
export interface HeldStore {
  /** Undefined: not known. @throws {RedisError} */
  read: (bouncer: string) => Promise<Held | undefined>
  /** The parts that `view` names but this one does not have, by index; undefined: lost. @throws {RedisError} */
  parts: (view: string, than: View) => Promise<Map<number, string> | undefined>
  /**
   * Before an answer that brings the bouncer from what it holds to `next`.
   * @param held undefined: not known
   * @throws {RedisError}
   */
  begin: (bouncer: string, held: Held | undefined, next: View) => Promise<void>
  /** After the answer went out: this is what it holds. @throws {RedisError} */
  end: (bouncer: string, held: Held | undefined, next: View) => Promise<void>
  /** @throws {RedisError} */
  forget: (bouncer: string) => Promise<void>
}

const HOUR_MS = 3_600_000
/** A bouncer that stays away longer is told everything again. */
const HELD_MS = 12 * HOUR_MS
/** Parts are shared by many bouncers; each outlives whoever names it, since it is written anew in time. */
const PARTS_MS = 24 * HOUR_MS
const RENEW_PARTS_MS = 6 * HOUR_MS
/** Answers in a row that did not get through; after that it is simpler to send everything. */
const MOST_VIEWS = 4
/** In flight together, so that each call keeps its deadline on a slow network too. */
const TOGETHER = 16

const heldKey = (bouncer: string): string => `crowdsec:held:${bouncer}`
const partKey = (name: string): string => `crowdsec:part:${name}`

const inTurns = async (indexes: readonly number[], each: (index: number) => Promise<void>): Promise<void> => {
  for (let start = 0; start < indexes.length; start += TOGETHER)
    await Promise.all(indexes.slice(start, start + TOGETHER).map(each))
}

/** Where the names of parts differ from the view's own. */
export const differing = (view: string, than: View): number[] => {
  const indexes: number[] = []
  if (view === than.names) return indexes
  for (let index = 0; index < PARTS; index++) if (nameOf(view, index) !== nameOf(than.names, index)) indexes.push(index)
  return indexes
}

const isHeld = (value: unknown): value is Held => {
  const { views, knowledge, at, partsAt } = value as Partial<Held>
  return (
    Array.isArray(views) &&
    views.length > 0 &&
    views.every((names) => typeof names === 'string' && names.length === PARTS * NAME_LENGTH) &&
    [knowledge, at, partsAt].every((number) => typeof number === 'number')
  )
}

const needsRenewal = (held: Held | undefined): boolean => !held || Date.now() - held.partsAt > RENEW_PARTS_MS

export const createHeldStore = (redis: Redis): HeldStore => {
  /** Before anything names them. */
  const writeParts = (held: Held | undefined, next: View): Promise<void> => {
    const all = needsRenewal(held)
    // An answer that was under way has written its own; those of the first view are surely there.
    const indexes = all ? Array.from({ length: PARTS }, (_, index) => index) : differing(held!.views[0]!, next)
    return inTurns(indexes, (index) => redis.set(partKey(nameOf(next.names, index)), next.part(index), PARTS_MS))
  }
  const write = (bouncer: string, views: readonly string[], held: Held | undefined, next: View): Promise<void> => {
    const now = Date.now()
    const state: Held = {
      views,
      knowledge: next.knowledge,
      at: now,
      partsAt: needsRenewal(held) ? now : held!.partsAt,
    }
    return redis.set(heldKey(bouncer), JSON.stringify(state), HELD_MS)
  }

  return {
    read: async (bouncer) => {
      const text = await redis.get(heldKey(bouncer))
      if (text === undefined) return undefined
      const value: unknown = JSON.parse(text)
      return isHeld(value) ? value : undefined
    },
    parts: async (view, than) => {
      const parts = new Map<number, string>()
      const indexes = differing(view, than)
      await inTurns(indexes, async (index) => {
        const text = await redis.get(partKey(nameOf(view, index)))
        if (text !== undefined) parts.set(index, text)
      })
      return parts.size === indexes.length ? parts : undefined
    },
    begin: async (bouncer, held, next) => {
      await writeParts(held, next)
      if (!held || held.views.length >= MOST_VIEWS) return redis.delete(heldKey(bouncer))
      return write(bouncer, [...new Set([...held.views, next.names])], held, next)
    },
    end: (bouncer, held, next) => write(bouncer, [next.names], held, next),
    forget: (bouncer) => redis.delete(heldKey(bouncer)),
  }
}
