import { LRUCache } from 'lru-cache'
import type { Logger } from 'pino'

import type { Redis } from '../../redis/index.ts'
import type { BlockList } from '../blocklist/types.ts'
import { type Decision, isSent } from './decision.ts'
import { createEnded, endOf } from './ended.ts'
import type { Filter } from './filter.ts'
import { createHeldStore, differing, type Held } from './held.ts'
import { type Line, readLine, type View, type Views } from './view.ts'

export interface Pull {
  answer: 'everything' | 'changes' | 'nothing' | 'behind'
  fresh: readonly Decision[]
  ended: readonly Decision[]
  /** To be called once the answer has gone out whole; until then it counts as perhaps not arrived. Never throws. */
  sent: () => Promise<void>
}

export interface Pulls {
  /**
   * What the bouncer must be told: of a value either that it is denied, or that it no longer is, never both, since some
   * bouncers read `new` before `deleted`, and some the other way round.
   * @param bouncer who it is and which filter it uses, as a short text
   */
  pull: (bouncer: string, filter: Filter, options: { startup: boolean }) => Promise<Pull>
  stop: () => void
}

/** Other processes are at most 2 s behind while ClickHouse answers. */
const CATCH_UP_MS = 5_000
/** Behind for longer, this process is not late: the list was put back to an earlier state, such as by `vedette restore`. */
const LATE_MS = 60_000
/** What nobody asked about for so long is written down anew, before it runs out. */
const STALE_MS = 3_600_000
const FORGET_EVERY_MS = 1_000
/** Bouncers that this process remembers something of. */
const MOST_BOUNCERS = 10_000

interface Difference {
  fresh: Decision[]
  gone: Line[]
}

const NOTHING = { fresh: [], ended: [], sent: async () => {} } as const

export const createPulls = ({
  blockList,
  views,
  redis,
  log,
}: {
  blockList: BlockList
  views: Views
  redis: Redis
  log: Logger
}): Pulls => {
  const store = createHeldStore(redis)
  const endedOf = createEnded(blockList)
  /** Bouncers that were answered without a note of it: what Redis says of them is wrong until it is forgotten. */
  const unsure = new Set<string>()
  /** Since when (epoch ms) this process is behind what they hold. */
  const behindSince = new LRUCache<string, number>({ max: MOST_BOUNCERS })
  let timer: NodeJS.Timeout | undefined
  let away = false
  let stopped = false

  const tell = (error?: unknown): void => {
    if (error && !away)
      log.warn({ err: error }, 'what bouncers hold cannot be kept; each pull is answered with everything until it can')
    if (!error && away) log.info('what bouncers hold can be kept again')
    away = error !== undefined
  }

  const forget = async (): Promise<void> => {
    for (const bouncer of unsure)
      await store.forget(bouncer).then(
        () => unsure.delete(bouncer),
        () => {},
      )
    timer = undefined
    if (unsure.size > 0) forgetLater()
  }
  const forgetLater = (): void => {
    if (!stopped) timer ??= setTimeout(() => void forget(), FORGET_EVERY_MS).unref()
  }
  const distrust = (bouncer: string, error: unknown): void => {
    tell(error)
    unsure.add(bouncer)
    if (unsure.size > MOST_BOUNCERS) unsure.delete(unsure.values().next().value!)
    forgetLater()
  }

  /** The lines that each view that it may hold has in the parts in which any of them differs from `next`. */
  const linesOf = async (
    held: Held,
    next: View,
  ): Promise<{ indexes: Set<number>; perhaps: Set<string>[] } | undefined> => {
    const indexes = new Set(held.views.flatMap((view) => differing(view, next)))
    const perhaps: Set<string>[] = []
    for (const view of held.views) {
      const parts = await store.parts(view, next)
      if (!parts) return undefined
      const lines = new Set<string>()
      for (const index of indexes) {
        const text = parts.get(index) ?? next.part(index)
        if (text !== '') for (const line of text.split('\n')) lines.add(line)
      }
      perhaps.push(lines)
    }
    return { indexes, perhaps }
  }

  /** Another process knows more of the entry than this one, which has not caught up yet. */
  const isAhead = ({ entryId, version }: Line): boolean => (blockList.get(entryId)?.version ?? 0) < version

  const compare = async (held: Held, next: View): Promise<Difference | 'behind' | undefined> => {
    // No news is better than taking back what is true.
    if (next.knowledge < held.knowledge && Math.abs(Date.now() - held.at) < CATCH_UP_MS) return 'behind'
    const found = await linesOf(held, next)
    if (!found) return undefined
    const { indexes, perhaps } = found
    const current = new Map<string, string>()
    for (const index of indexes)
      for (const line of next.part(index).split('\n'))
        if (line !== '') current.set(line, line.slice(0, line.indexOf(' ')))

    const fresh: Decision[] = []
    for (const [line, value] of current)
      if (!perhaps.every((lines) => lines.has(line))) fresh.push(next.decisions.get(value)!)
    const gone = new Map<string, Line>()
    for (const text of new Set(perhaps.flatMap((lines) => [...lines]))) {
      if (current.has(text)) continue
      const line = readLine(text)
      if (isAhead(line)) return 'behind'
      if (!next.decisions.has(line.value)) gone.set(line.value, line)
    }
    return { fresh, gone: [...gone.values()] }
  }

  /**
   * A value that nothing denies any longer. Firewalls keep a set for each origin and may still hold it for an entry that
   * ended while another went on, so all entries that may have been sent for it are named.
   */
  const endedEntries = ({ value, entryId, until }: Line, filter: Filter): Decision[] => {
    const own = blockList.get(entryId)
    if (!own) return []
    const others = views
      .entriesOf(own.cidr)
      .filter((entry) => entry.id !== own.id && isSent(entry))
      .map((entry): Decision => ({ value, entry, until: endOf(entry) }))
      .filter((decision) => filter.matches(decision))
    return [...others, { value, entry: own, until: endOf(own) ?? until }]
  }

  const read = async (bouncer: string): Promise<Held | undefined> => {
    if (unsure.has(bouncer)) return undefined
    try {
      return await store.read(bouncer)
    } catch (error) {
      distrust(bouncer, error)
      return undefined
    }
  }
  const difference = async (bouncer: string, held: Held, next: View): Promise<Difference | 'behind' | undefined> => {
    try {
      const found = await compare(held, next)
      if (found !== 'behind') {
        behindSince.delete(bouncer)
        return found
      }
      const since = behindSince.get(bouncer) ?? Date.now()
      behindSince.set(bouncer, since)
      return Date.now() - since < LATE_MS ? 'behind' : undefined
    } catch (error) {
      distrust(bouncer, error)
      return undefined
    }
  }

  return {
    pull: async (bouncer, filter, { startup }) => {
      const held = startup ? undefined : await read(bouncer)
      // After the wait, so that it is the newest.
      const next = views.view(filter)
      const unchanged = held?.views.length === 1 && held.views[0] === next.names
      if (unchanged && Date.now() - held.at < STALE_MS) return { answer: 'nothing', ...NOTHING }
      const changes = held && (await difference(bouncer, held, next))
      if (changes === 'behind') return { answer: 'behind', ...NOTHING }

      const base = changes && held
      let noted = true
      try {
        await store.begin(bouncer, base, next)
        unsure.delete(bouncer)
        tell()
      } catch (error) {
        noted = false
        distrust(bouncer, error)
      }
      return {
        answer: changes ? 'changes' : 'everything',
        fresh: changes ? changes.fresh : [...next.decisions.values()],
        ended: changes ? changes.gone.flatMap((line) => endedEntries(line, filter)) : endedOf(next, filter),
        sent: async () => {
          // Where this fails, what was noted before the answer stays true: the bouncer holds the one or the other.
          if (noted) await store.end(bouncer, base, next).catch(() => {})
        },
      }
    },
    stop: () => {
      stopped = true
      clearTimeout(timer)
    },
  }
}
