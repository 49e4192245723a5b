import { createTally, type Tally } from './tally.ts'

/** Together some 30 MB. */
const MOST_GROUPS_WAITING = 100_000
const MOST_TALLIES_WAITING = 60

/** Seconds that were counted and are not yet in the spool, oldest first. */
export interface Backlog {
  readonly rows: number
  /** Adds the newest. Where that is too much, neighbours are added up: the longer the wait, the coarser the seconds. */
  push: (tally: Tally) => void
  /** Takes the oldest out. */
  shift: () => Tally | undefined
  /** Puts it back: it did not go through. */
  unshift: (tally: Tally) => void
}

const decisionsOf = (tally: Tally): number => [...tally.groups()].reduce((sum, { count }) => sum + count, 0)

const sum = (first: Tally, second: Tally): Tally => {
  const both = createTally(first.second)
  both.add(first)
  both.add(second)
  return both
}

/**
 * @param onFolded told how many decisions now count for an earlier second, and how many more are without their client
 */
export const createBacklog = (onFolded: (folded: { second: number; client: number }) => void): Backlog => {
  let tallies: Tally[] = []
  const rows = (): number => tallies.reduce((all, { size }) => all + size, 0)

  const addUp = (): void => {
    const pairs: Tally[] = []
    for (let index = 0; index < tallies.length; index += 2) {
      const [first, second] = [tallies[index]!, tallies[index + 1]]
      if (!second) {
        pairs.push(first)
        continue
      }
      const both = sum(first, second)
      onFolded({ second: decisionsOf(second), client: both.folded - first.folded - second.folded })
      pairs.push(both)
    }
    tallies = pairs
  }
  const bound = (): void => {
    while (tallies.length > 1 && (tallies.length > MOST_TALLIES_WAITING || rows() > MOST_GROUPS_WAITING)) addUp()
  }

  return {
    get rows() {
      return rows()
    },
    push: (tally) => {
      tallies.push(tally)
      bound()
    },
    shift: () => tallies.shift(),
    unshift: (tally) => {
      tallies.unshift(tally)
      bound()
    },
  }
}
