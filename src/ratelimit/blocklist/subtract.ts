import { addressOf, isWithin, type Prefix, prefixOf } from '../address.ts'
import { createPrefixTree, type PrefixTree } from './prefix-tree.ts'
import type { BlockListEntry } from './types.ts'

/** One prefix that may be denied by whoever knows no exceptions. */
export interface Denied {
  cidr: string
  expiresAt: Date | null
  entry: BlockListEntry
}

/** The two prefixes of one bit more. */
const halvesOf = (prefix: Prefix): [Prefix, Prefix] => {
  const { w0, w1, w2, w3 } = prefix.address
  const words: [number, number, number, number] = [w0, w1, w2, w3]
  const index = prefix.bits >>> 5
  words[index] = (words[index]! | (1 << (31 - (prefix.bits & 31)))) >>> 0
  return [prefixOf(prefix.address, prefix.bits + 1), prefixOf(addressOf(...words), prefix.bits + 1)]
}

/** Whether IPv6 was halved down to ::ffff:0:0/96, which is IPv4 and so no part of it. */
const isV4 = ({ address, bits }: Prefix): boolean => address.isV4 && bits >= 96

/**
 * What is left of the prefix without `holes`, by splitting it: one prefix a bit between the two for each hole, in order of
 * address. A hole that holds the prefix leaves nothing; one elsewhere changes nothing.
 */
export const subtract = (prefix: Prefix, holes: readonly Prefix[]): Prefix[] => {
  const left: Prefix[] = []
  const v4 = isV4(prefix)
  const cut = (part: Prefix, inside: readonly Prefix[]): void => {
    if (isV4(part) !== v4) return
    if (inside.some((hole) => hole.bits <= part.bits && isWithin(part.address, hole))) return
    const within = inside.filter((hole) => hole.bits > part.bits && isV4(hole) === v4 && isWithin(hole.address, part))
    if (within.length === 0) left.push(part)
    else for (const half of halvesOf(part)) cut(half, within)
  }
  cut(prefix, holes)
  return left
}

const endOf = ({ expiresAt }: Denied): number => expiresAt?.getTime() ?? Infinity

/** In force at one prefix: the entry that decides there, and when the last one that denies ends. */
export interface Standing {
  entry: BlockListEntry
  /** Null: never. */
  deniedUntil: Date | null
}

/**
 * Every address that a look-up would deny, and no other, as prefixes: of each blocked or challenged prefix what is neither
 * allowed within it nor, by a longer prefix, only limited.
 * @param standingOf undefined: nothing at that prefix is in force
 */
export const deniedOf = <T>(tree: PrefixTree<T>, standingOf: (value: T) => Standing | undefined): Denied[] => {
  const holes = createPrefixTree<Prefix>()
  tree.walk((value) => {
    const entry = standingOf(value)?.entry
    if (entry?.action === 'ALLOW' || entry?.action === 'RATE_LIMIT') holes.set(entry.prefix, entry.prefix)
    return entry?.action !== 'ALLOW'
  })
  /** By CIDR: what is left of one prefix may be blocked by itself as well. Then the one that lasts longer counts. */
  const denied = new Map<string, Denied>()
  const add = (piece: Denied): void => {
    const known = denied.get(piece.cidr)
    if (!known || endOf(piece) > endOf(known)) denied.set(piece.cidr, piece)
  }
  tree.walk((value) => {
    const standing = standingOf(value)
    if (!standing) return true
    const { entry, deniedUntil: expiresAt } = standing
    // Nothing below an exception that holds for all of it can be denied.
    if (entry.action === 'ALLOW') return false
    if (entry.action === 'RATE_LIMIT') return true
    const inside: Prefix[] = []
    if (holes.size > 0) {
      holes.walk((hole) => {
        inside.push(hole)
        return false
      }, entry.prefix)
    }
    if (inside.length === 0) add({ cidr: entry.cidr, expiresAt, entry })
    else for (const { cidr } of subtract(entry.prefix, inside)) add({ cidr, expiresAt, entry })
    return true
  })
  return [...denied.values()]
}
