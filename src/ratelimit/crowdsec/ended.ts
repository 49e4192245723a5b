import { isWithin, type Prefix } from '../address.ts'
import { subtract } from '../blocklist/subtract.ts'
import type { BlockList, BlockListEntry } from '../blocklist/types.ts'
import { type Decision, isSent } from './decision.ts'
import type { Filter } from './filter.ts'
import type { View } from './view.ts'

/** As long as CrowdSec keeps decisions that ended. */
const RECENT_MS = 7 * 24 * 3_600_000

/** When the entry ended; null: it has not. */
export const endOf = ({ removedAt, expiresAt }: BlockListEntry, now = Date.now()): Date | null => {
  if (removedAt) return removedAt
  return expiresAt && expiresAt.getTime() <= now ? expiresAt : null
}

const holesIn = ({ prefix }: BlockListEntry, exceptions: readonly BlockListEntry[]): Prefix[] =>
  exceptions
    .map((exception) => exception.prefix)
    .filter((hole) => hole.bits > prefix.bits && isWithin(hole.address, prefix))

/**
 * For a bouncer of which nothing is known: what it may still hold, though it should not. That is every block of the last
 * days and what exceptions left of it.
 */
export const createEnded =
  (blockList: BlockList) =>
  (view: View, filter: Filter): Decision[] => {
    const now = Date.now()
    const isRecent = (entry: BlockListEntry): boolean => {
      const end = endOf(entry, now)
      return end === null || now - end.getTime() < RECENT_MS
    }
    const recent = blockList.list().filter(isRecent)
    const exceptions = recent.filter((entry) => !isSent(entry))
    const ended: Decision[] = []
    const add = (value: string, entry: BlockListEntry): void => {
      if (view.decisions.has(value)) return
      const decision = { value, entry, until: endOf(entry, now) }
      if (filter.matches(decision)) ended.push(decision)
    }
    for (const entry of recent) {
      if (!isSent(entry)) continue
      add(entry.cidr, entry)
      const holes = holesIn(entry, exceptions)
      if (holes.length > 0) for (const { cidr } of subtract(entry.prefix, holes)) add(cidr, entry)
    }
    return ended
  }
