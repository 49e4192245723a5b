import type { NotedDecision, Outcome } from './types.ts'

/** Decisions that have all of this in common. */
export interface Group {
  outcome: Outcome
  policyId: string
  windowSeconds: number
  service: string
  /** Of the first of them; empty: the client is not told, or unknown. */
  ip: string
  /** What the client's address counts as; empty like `ip`. */
  network: string
  counted: string
  entryId: string
  /** Of the first of them; empty where the client is not told. */
  method: string
  path: string
  count: number
  /** Another with the same outcome, policy, service and `counted`. */
  next: Group | undefined
}

/** How closely decisions are told apart: by client and entry; by policy and service alone; by policy alone. */
type Detail = 'client' | 'service' | 'policy'

/** Groups of one tally, about 300 bytes each. Past them clients are no longer told apart. */
export const MOST_GROUPS = 20_000
/** Past these services are not, either: their names may come from strangers. Policies are the operator's. */
const MOST_GROUPS_IN_ALL = 21_000

type Groups = Map<string, Group>

/** Groups of one policy and service, by outcome and what was counted. */
type Series = Record<Outcome, Groups>

const newSeries = (): Series => ({
  allowed: new Map(),
  limited: new Map(),
  blocked: new Map(),
  shadow_limited: new Map(),
})

/** What a tally needs of a decision, or of a group of them. */
type Counted = Omit<NotedDecision, 'address'> & { ip: string; network: string }

/** Counts of one second, or of several that were added up. */
export interface Tally {
  /** Seconds since 1970; of several the first. */
  readonly second: number
  /** How many groups. */
  readonly size: number
  /** Decisions whose client (entry, service) is not told for want of room. */
  readonly folded: number
  /** @returns whether it made a group of its own */
  note: (decision: NotedDecision, detail: 'client' | 'service') => boolean
  /** Adds what another one counted. */
  add: (other: Tally) => void
  groups: () => Iterable<Group>
}

/** The same without what there is no room for. */
const less = (like: Counted, detail: Detail): Counted => ({
  ...like,
  ip: '',
  network: '',
  counted: '',
  entryId: '',
  method: '',
  path: '',
  service: detail === 'policy' ? '' : like.service,
})

const find = (
  groups: Groups | undefined,
  counted: string,
  network: string,
  entryId: string,
  windowSeconds: number,
): Group | undefined => {
  let group = groups?.get(counted)
  while (group && (group.network !== network || group.entryId !== entryId || group.windowSeconds !== windowSeconds))
    group = group.next
  return group
}

/**
 * Counts decisions in groups. Maps within maps, each by a text that is at hand, since this runs for every decision: one key
 * for all of it would have to be put together and hashed each time.
 */
export const createTally = (second: number): Tally => {
  const policies = new Map<string, Map<string, Series>>()
  let size = 0
  let folded = 0

  const seriesOf = (policyId: string, service: string): Series => {
    let services = policies.get(policyId)
    if (!services) policies.set(policyId, (services = new Map()))
    let series = services.get(service)
    if (!series) services.set(service, (series = newSeries()))
    return series
  }

  const create = (like: Counted, count: number): void => {
    const groups = seriesOf(like.policyId, like.service)[like.outcome]
    groups.set(like.counted, {
      outcome: like.outcome,
      policyId: like.policyId,
      windowSeconds: like.windowSeconds,
      service: like.service,
      ip: like.ip,
      network: like.network,
      counted: like.counted,
      entryId: like.entryId,
      method: like.method,
      path: like.path,
      count,
      next: groups.get(like.counted),
    })
    size++
  }

  const fold = (like: Counted, count: number): void => {
    for (const detail of ['service', 'policy'] as const) {
      const coarse = less(like, detail)
      const { policyId, service, outcome, counted, network, entryId, windowSeconds } = coarse
      const known = find(policies.get(policyId)?.get(service)?.[outcome], counted, network, entryId, windowSeconds)
      if (!known && size >= MOST_GROUPS_IN_ALL && detail === 'service') continue
      if (known) known.count += count
      else create(coarse, count)
      // What had no client to begin with loses nothing.
      if (like.counted !== '' || like.network !== '' || like.entryId !== '' || like.service !== service) folded += count
      return
    }
  }

  /** @returns whether it made a group of its own */
  const put = (like: Counted, count: number): boolean => {
    const hasRoom = size < MOST_GROUPS
    if (hasRoom) create(like, count)
    else fold(like, count)
    return hasRoom
  }

  return {
    second,
    get size() {
      return size
    },
    get folded() {
      return folded
    },
    note: (decision, detail) => {
      const { outcome, policyId, windowSeconds, service, address, entryId } = decision
      const isTold = detail === 'client'
      const counted = isTold ? decision.counted : ''
      const network = isTold && address ? address.counted : ''
      const groups = policies.get(policyId)?.get(service)?.[outcome]
      const known = find(groups, counted, network, entryId, windowSeconds)
      if (known) {
        known.count++
        return false
      }
      const ip = isTold && address ? address.text : ''
      const [method, path] = isTold ? [decision.method, decision.path] : ['', '']
      return put({ outcome, policyId, windowSeconds, service, ip, network, counted, entryId, method, path }, 1)
    },
    add: (other) => {
      folded += other.folded
      for (const group of other.groups()) {
        const { outcome, policyId, windowSeconds, service, network, counted, entryId, count } = group
        const groups = policies.get(policyId)?.get(service)?.[outcome]
        const known = find(groups, counted, network, entryId, windowSeconds)
        if (known) known.count += count
        else put(group, count)
      }
    },
    groups: function* () {
      for (const services of policies.values())
        for (const series of services.values())
          for (const groups of Object.values(series))
            for (const first of groups.values())
              for (let group: Group | undefined = first; group; group = group.next) yield group
    },
  }
}
