import type { Table } from './table.ts'
import type { Version } from './types.ts'

/** How far clocks of several machines may lie apart before a late row costs a reading of everything. */
const OVERLAP_MS = 60_000

/** What was counted when the rows up to then were read. */
interface Seen {
  /** Epoch ms: from here on rows are counted by the millisecond, before it all together. */
  since: number
  older: number
  groups: Map<number, number>
}

export interface FollowDependencies<T> {
  table: Table<T>
  /** Rows that may be news. */
  take: (versions: readonly Version<T>[]) => void
  /** Before everything is read again: then `replace` gets it, and at last all ids that there are. */
  beforeAll: () => void
  replace: (versions: readonly Version<T>[]) => void
  afterAll: (ids: ReadonlySet<string>) => void
}

/** A clock that runs ahead must not make everybody else's rows late ones, so our own bounds the window as well. */
const windowFrom = (latest: number): number => Math.max(0, Math.min(latest, Date.now()) - OVERLAP_MS)

/**
 * Reads what came in since the last time, and that alone: the table has no order of arrival, but rows are only ever added, so a
 * millisecond whose rows are as many as before holds nothing new. A row that comes with an earlier time than a minute
 * before the last one (a clock that is far behind) shows in the count of the older ones, and then everything is read again.
 * @returns one step; not to be called while one is under way. @throws {StoreError} UNAVAILABLE
 */
export const createFollow = <T>({
  table,
  take,
  beforeAll,
  replace,
  afterAll,
}: FollowDependencies<T>): (() => Promise<void>) => {
  let seen: Seen | undefined

  const everything = async (): Promise<void> => {
    seen = undefined
    beforeAll()
    const since = windowFrom((await table.latest()) ?? 0)
    // Counted first: a row that comes in between is then read twice rather than never.
    const { older, groups } = await table.census(since)
    const ids = new Set<string>()
    for await (const versions of table.newest()) {
      for (const { id } of versions) ids.add(id)
      replace(versions)
    }
    afterAll(ids)
    seen = { since, older, groups }
  }

  /** Leaves the window only as long as it needs to be, so that the count stays a short one. */
  const advance = (window: Seen): void => {
    const since = Math.max(
      window.since,
      windowFrom([...window.groups.keys()].reduce((latest, at) => Math.max(latest, at), 0)),
    )
    for (const [at, count] of window.groups) {
      if (at >= since) continue
      window.older += count
      window.groups.delete(at)
    }
    window.since = since
  }

  return async () => {
    if (!seen) return everything()
    const now = await table.census(seen.since)
    const isLess = [...seen.groups].some(([at, count]) => (now.groups.get(at) ?? 0) < count)
    if (isLess || now.older !== seen.older) return everything()
    const news = [...now.groups].filter(([at, count]) => count !== seen!.groups.get(at)).map(([at]) => at)
    if (news.length === 0) return
    const read = new Map<number, number>()
    for await (const versions of table.changedAt(news)) {
      for (const { changedAt } of versions) {
        const at = changedAt.getTime()
        read.set(at, (read.get(at) ?? 0) + 1)
      }
      take(versions)
    }
    if (news.some((at) => (read.get(at) ?? 0) < now.groups.get(at)!)) return everything()
    for (const [at, count] of read) seen.groups.set(at, count)
    advance(seen)
  }
}
