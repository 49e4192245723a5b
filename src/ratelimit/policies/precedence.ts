import { parsePattern } from './pattern.ts'
import type { Policy } from './types.ts'

/** Always there, and the last where nothing else tells two policies apart. */
export const DEFAULT_ID = 'default'

/** What a segment of a pattern says, most first. `end`: nothing follows, so `/api` goes before `/api/*`. */
const SEGMENT = { literal: 0, one: 1, end: 2, rest: 3 } as const

/** How specific a policy is: of two lists the one that is smaller where they differ first. */
type Rank = readonly (number | string)[]

/** The text last, so that policies of one pattern stay together and a service is looked for pattern by pattern. */
const byService = (service: string): Rank => {
  const star = service.indexOf('*')
  return star < 0 ? [0, service] : [1, -star, -service.replaceAll('*', '').length, service]
}

const byPath = (pathPattern: string): Rank => {
  const { segments, rest } = parsePattern(pathPattern)
  const ranks = segments.map((segment) => (segment === null ? SEGMENT.one : SEGMENT.literal))
  return [...ranks, rest ? SEGMENT.rest : SEGMENT.end]
}

const byMethods = (methods: readonly string[]): number => (methods.length === 0 ? Infinity : methods.length)

const rankOf = ({ service, pathPattern, methods, id }: Policy): readonly Rank[] => [
  byService(service),
  byPath(pathPattern),
  [byMethods(methods), id === DEFAULT_ID ? 1 : 0, id],
]

const compareRanks = (a: Rank, b: Rank): number => {
  for (let index = 0; index < Math.min(a.length, b.length); index++) {
    if (a[index]! < b[index]!) return -1
    if (a[index]! > b[index]!) return 1
  }
  return a.length - b.length
}

const compare = (a: readonly Rank[], b: readonly Rank[]): number =>
  compareRanks(a[0]!, b[0]!) || compareRanks(a[1]!, b[1]!) || compareRanks(a[2]!, b[2]!)

/**
 * The policies, most specific first. Of those that fit a request the first one applies and no other:
 *
 * 1. service: the exact name, then patterns with more characters before their first `*`, then with more in all;
 * 2. path, segment by segment from the left: literal, then `:name` or `*` for one segment, then the end, then a `*` for
 *    any rest. So `/users/me` goes before `/users/:id` before `/users/*`, and `/api` before `/api/*`;
 * 3. methods: named before all, fewer before more;
 * 4. id, and `default` after all others.
 *
 * The mode has no say: an OFF policy on `/healthz` exempts it, and where a SHADOW policy is the most specific one nothing is
 * denied, even if a wider one in ENFORCE would.
 */
export const bySpecificity = (policies: readonly Policy[]): Policy[] =>
  policies
    .map((policy) => ({ policy, rank: rankOf(policy) }))
    .toSorted((a, b) => compare(a.rank, b.rank))
    .map(({ policy }) => policy)
