import type { Address } from '../address.ts'
import { createExpiries } from './expiries.ts'
import { createPrefixTree } from './prefix-tree.ts'
import { type Denied, deniedOf, type Standing } from './subtract.ts'
import type { BlockAction, BlockListEntry, BlockSource } from './types.ts'

/** The longest that a timer of Node can wait. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** Of several entries for one prefix the first that is in force decides: the strongest, and what a person said before the rest. */
const ACTION_RANK: Record<BlockAction, number> = { ALLOW: 0, BLOCK: 1, CHALLENGE: 2, RATE_LIMIT: 3 }
const SOURCE_RANK: Record<BlockSource, number> = { MANUAL: 0, AUTOMATIC: 1, FEED: 2 }

const compare = (a: BlockListEntry, b: BlockListEntry): number =>
  ACTION_RANK[a.action] - ACTION_RANK[b.action] || SOURCE_RANK[a.source] - SOURCE_RANK[b.source]

const denies = ({ action }: BlockListEntry): boolean => action === 'BLOCK' || action === 'CHALLENGE'

const endOf = ({ expiresAt }: BlockListEntry): number => expiresAt?.getTime() ?? Infinity

/** Not removed and not over, to the millisecond. */
export const isActive = (entry: BlockListEntry, now = Date.now()): boolean =>
  entry.removedAt === null && endOf(entry) > now

/** What is in force, for look-ups. Entries that end by their time fall out by themselves. */
export interface InForce {
  /** `before` is what this entry was when it was last given here. */
  replace: (before: BlockListEntry | undefined, after: BlockListEntry | undefined) => void
  lookup: (address: Address) => BlockListEntry | undefined
  denied: () => Denied[]
  count: () => Record<BlockAction, number>
  readonly revision: number
  stop: () => void
}

/** What holds at one prefix at this time. */
const standingAt =
  (now: number) =>
  (cell: readonly BlockListEntry[]): Standing | undefined => {
    const [single, ...others] = cell
    if (others.length === 0)
      return isActive(single!, now) ? { entry: single!, deniedUntil: single!.expiresAt } : undefined
    const active = cell.filter((entry) => isActive(entry, now))
    const entry = active[0]
    if (!entry) return undefined
    const last = Math.max(...active.filter(denies).map(endOf))
    return { entry, deniedUntil: Number.isFinite(last) ? new Date(last) : null }
  }

export const createInForce = (): InForce => {
  /** Nearly always one entry a prefix, so that an array each costs nothing worth saving. */
  const tree = createPrefixTree<BlockListEntry[]>()
  const expiries = createExpiries<BlockListEntry>()
  const counts: Record<BlockAction, number> = { BLOCK: 0, RATE_LIMIT: 0, CHALLENGE: 0, ALLOW: 0 }
  const found: number[] = []
  /**
   * By slot of the tree: the one entry that is nearly always all there is, and the time at which it ends; NaN: look into the
   * cell. A look-up that goes through cell, entry and date instead waits for memory four times more.
   */
  let ends = new Float64Array(1_024)
  const singles: BlockListEntry[] = []
  let revision = 1
  let timer: NodeJS.Timeout | undefined
  let timerAt = Infinity
  let known: { revision: number; denied: Denied[] } | undefined

  const setCell = (cell: BlockListEntry[]): void => {
    const [entry] = cell
    const slot = tree.set(entry!.prefix, cell)
    if (slot >= ends.length) {
      const larger = new Float64Array(ends.length * 2)
      larger.set(ends)
      ends = larger
    }
    singles[slot] = entry!
    ends[slot] = cell.length === 1 && entry!.action !== 'ALLOW' ? endOf(entry!) : NaN
  }

  const takeOut = (entry: BlockListEntry): boolean => {
    const cell = tree.get(entry.prefix)
    if (!cell?.includes(entry)) return false
    if (cell.length === 1) tree.delete(entry.prefix)
    else setCell(cell.filter((other) => other !== entry))
    counts[entry.action]--
    return true
  }

  const putIn = (entry: BlockListEntry): void => {
    const cell = tree.get(entry.prefix)
    setCell(cell ? [...cell, entry].toSorted(compare) : [entry])
    counts[entry.action]++
    if (!entry.expiresAt) return
    expiries.add(entry.expiresAt.getTime(), entry)
    // A feed that renews its entries leaves the old ends behind until they come.
    if (expiries.size > 2 * total() + 1_000) collectExpiries()
  }

  const total = (): number => counts.BLOCK + counts.RATE_LIMIT + counts.CHALLENGE + counts.ALLOW

  const collectExpiries = (): void => {
    expiries.clear()
    tree.walk((cell) => {
      for (const entry of cell) if (entry.expiresAt) expiries.add(entry.expiresAt.getTime(), entry)
    })
  }

  const sweep = (): void => {
    const now = Date.now()
    let gone = 0
    for (let entry = expiries.due(now); entry; entry = expiries.due(now)) if (takeOut(entry)) gone++
    if (gone > 0) revision++
  }

  const wait = (): void => {
    const next = expiries.next() ?? Infinity
    if (next >= timerAt) return
    clearTimeout(timer)
    timerAt = next
    const ms = Math.min(Math.max(0, next - Date.now()), LONGEST_TIMER_MS)
    timer = setTimeout(() => {
      timerAt = Infinity
      sweep()
      wait()
    }, ms).unref()
  }

  return {
    replace: (before, after) => {
      const was = before !== undefined && takeOut(before)
      const is = after !== undefined && isActive(after)
      if (is) putIn(after)
      if (!was && !is) return
      revision++
      wait()
    },
    lookup: (address) => {
      const count = tree.matches(address, found)
      if (count === 0) return undefined
      const now = Date.now()
      let decides: BlockListEntry | undefined
      for (let at = count - 1; at >= 0; at--) {
        const slot = found[at]!
        const end = ends[slot]!
        if (end <= now || (end > now && decides)) continue
        const entry = end > now ? singles[slot]! : tree.at(slot).find((each) => isActive(each, now))
        if (entry?.action === 'ALLOW') return entry
        decides ??= entry
      }
      return decides
    },
    denied: () => {
      sweep()
      if (known?.revision !== revision) known = { revision, denied: deniedOf(tree, standingAt(Date.now())) }
      return known.denied
    },
    count: () => {
      sweep()
      return counts
    },
    get revision() {
      sweep()
      return revision
    },
    stop: () => clearTimeout(timer),
  }
}
