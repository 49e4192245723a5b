import { join, param, type Sql, sql } from '../clickhouse/index.ts'
import { shownIp } from './address.ts'
import { conflicting } from './errors.ts'
import { toInteger } from './log-row.ts'
import { createSimulation, type LimitNumbers, type Simulation } from './rate-limit-simulation.ts'
import type { Asker, Run } from './run.ts'
import { rowsOf } from './scope.ts'
import { resolveTimeRange, type TimeRange, type TimeRangeInput } from './time-range.ts'

/** A policy as far as it decides which requests it counts, and how. */
export interface BacktestPolicy {
  /** Regular expressions of RE2, anchored: the path is decoded before it is compared. */
  servicePattern: string
  pathPattern: string
  /** Upper case; empty: all. */
  methods: readonly string[]
  key: 'IP' | 'USER' | 'API_KEY' | 'IP_AND_PATH'
  limit: number
  /** Where the user is known; null: `limit`. */
  authenticatedLimit: number | null
  windowSeconds: number
  algorithm: LimitNumbers['algorithm']
  blockSeconds: number
}

export interface BacktestInput {
  policy: BacktestPolicy
  timeRange: TimeRangeInput
}

/** Requests by clients in windows in which they made any; null where there are none. */
export type RatePercentiles = Record<(typeof PERCENTILES)[number]['name'] | 'max', number | null>

export interface BacktestClient {
  /** As the policy would count it: `203.0.113.7`, `2001:db8::/64`, `user:42`, `203.0.113.7 /login`. */
  client: string
  requests: number
  wouldLimit: number
  /** Most requests within any one window's length. */
  peak: number
}

export interface Backtest {
  evaluated: number | bigint
  wouldLimit: number
  wouldLimitClients: number
  clientRatePercentiles: RatePercentiles
  /** Those that would be limited, most limited first, 50 at most. */
  topClients: BacktestClient[]
  range: TimeRange
}

const PERCENTILES = [
  { name: 'p50', level: 0.5 },
  { name: 'p75', level: 0.75 },
  { name: 'p90', level: 0.9 },
  { name: 'p95', level: 0.95 },
  { name: 'p99', level: 0.99 },
  { name: 'p999', level: 0.999 },
] as const

const MOST_CLIENTS = 50
/** Requests a line of the stream, some 100 kB: less than a millisecond to read. */
const REQUESTS_A_LINE = 10_000
/** Requests that the store holds at once; with 20 million, grouped by client and window, a statement ran out of its 2 GiB. */
const REQUESTS_A_SHARE = 10_000_000

const IS_IPV4 = sql`ip BETWEEN toIPv6('::ffff:0.0.0.0') AND toIPv6('::ffff:255.255.255.255')`
/** What counts as one client: an IPv4 address, or the /64 of an IPv6 address. */
const NETWORK = sql`if(${IS_IPV4}, ip, tupleElement(IPv6CIDRToRange(ip, 64), 1))`

/**
 * Who is counted: a user where one is known and the policy counts users, else an address, with IP_AND_PATH by path. Those
 * whose user is known count apart where they have a limit of their own.
 */
const clientSql = ({ key, authenticatedLimit }: BacktestPolicy): Sql => {
  const isKnown = key === 'USER' || authenticatedLimit !== null ? sql`user_id != ''` : sql`false`
  const isUser = key === 'IP_AND_PATH' ? sql`false` : isKnown
  const columns = [
    sql`${isKnown} AS isKnown`,
    sql`if(${isUser}, user_id, '') AS user`,
    sql`if(${isUser}, toIPv6('::'), ${NETWORK}) AS network`,
    key === 'IP_AND_PATH' ? sql`path AS place` : sql`'' AS place`,
  ]
  return join(columns)
}

interface Question {
  policy: BacktestPolicy
  range: TimeRange
  asker: Asker
}

/** One of so many shares of the clients: what a client does does not depend on the others. */
interface Share {
  number: number
  of: number
}

/** Patterns of policies for every service and every path. */
const ANYTHING: ReadonlySet<string> = new Set(['^', '^.*$'])
const fits = (column: Sql, pattern: string): Sql[] => (ANYTHING.has(pattern) ? [] : [sql`match(${column}, ${pattern})`])

/** The requests that the policy would have been asked for: the block list comes before it. */
const conditionSql = ({ policy, range, asker }: Question): Sql => {
  const { servicePattern, pathPattern, methods } = policy
  const conditions = [
    sql`action NOT IN ('blocked', 'challenged')`,
    ...fits(sql`service`, servicePattern),
    ...fits(sql`decodeURLComponent(path)`, pathPattern),
    ...(methods.length > 0 ? [sql`method IN ${[...methods]}`] : []),
  ]
  return rowsOf(range, asker, join(conditions, ' AND '))
}

const CLIENT = sql`isKnown, user, network, place`

/** Each client of the share with the instants of its requests in their order, ms since the beginning of the range. */
const clientsSql = (question: Question, { number, of }: Share): Sql => {
  const { policy, range } = question
  const requests = sql`SELECT ${clientSql(policy)}, toUnixTimestamp64Milli(timestamp) - ${param('Int64', range.from)} AS at FROM request_logs WHERE ${conditionSql(question)}`
  const share = of > 1 ? sql`WHERE cityHash64(${CLIENT}) % ${param('UInt32', of)} = ${param('UInt32', number)}` : sql``
  return sql`SELECT ${CLIENT}, arraySort(groupArray(at)) AS times, length(times) AS requests FROM (${requests}) ${share} GROUP BY ${CLIENT}`
}

/** How many windows hold so many requests of a client; windows are counted from the beginning of the range. */
const ratesSql = (question: Question, share: Share): Sql => {
  const windowMs = param('Int64', question.policy.windowSeconds * 1_000)
  const windows = sql`arrayMap(at -> intDiv(at, ${windowMs}), times)`
  const counts = sql`arrayMap(one -> length(one), arraySplit((window, step) -> step > 0, ${windows}, arrayDifference(${windows})))`
  return sql`SELECT toUInt32(arrayJoin(${counts})) AS requests, count() AS windows FROM (${clientsSql(question, share)}) GROUP BY requests`
}

/** A line of the stream: a client, how many requests it has in all, and some of them in their order. */
type Line = [isKnown: boolean, user: string, network: string, place: string, requests: number, times: number[]]

/**
 * The requests of clients that could go over the limit at all: such as have more than it within some window's length. For
 * all others nothing needs to be simulated, so most requests never leave the store.
 */
const suspectsSql = (question: Question, share: Share): Sql => {
  const { limit, authenticatedLimit, windowSeconds } = question.policy
  const most = sql`if(isKnown, ${param('UInt32', authenticatedLimit ?? limit)}, ${param('UInt32', limit)})`
  const windowMs = param('Int64', windowSeconds * 1_000)
  const isOver = sql`arrayExists((first, later) -> later - first < ${windowMs}, arraySlice(times, 1, requests - most), arraySlice(times, most + 1))`
  const parts = sql`arraySplit((at, number) -> number % ${param('UInt32', REQUESTS_A_LINE)} = 1, times, arrayEnumerate(times))`
  return sql`SELECT ${CLIENT}, requests, part FROM (SELECT *, ${most} AS most FROM (${clientsSql(question, share)}) WHERE requests > most AND ${isOver}) ARRAY JOIN ${parts} AS part`
}

const shownClient = ([, user, network, place]: Line): string => {
  if (user !== '') return `user:${user}`
  const shown = shownIp(network)
  return `${shown.includes(':') ? `${shown}/64` : shown}${place === '' ? '' : ` ${place}`}`
}

/** The most limited of them. */
const top = (clients: readonly BacktestClient[]): BacktestClient[] =>
  clients
    .toSorted((a, b) => b.wouldLimit - a.wouldLimit || b.requests - a.requests || (a.client < b.client ? -1 : 1))
    .slice(0, MOST_CLIENTS)

/** What the clients add up to, share by share. */
interface Sum {
  /** Windows by the number of a client's requests in them. */
  windows: Map<number, number>
  wouldLimit: number
  wouldLimitClients: number
  clients: BacktestClient[]
}

const simulate = async (question: Question, share: Share, sum: Sum, run: Run): Promise<void> => {
  const { limit, authenticatedLimit, windowSeconds, algorithm, blockSeconds } = question.policy
  const numbers = { windowMs: windowSeconds * 1_000, blockMs: blockSeconds * 1_000, algorithm }
  /** Clients of which some lines are still to come. */
  const open = new Map<string, Simulation>()

  for await (const line of run.stream<Line>(suspectsSql(question, share))) {
    const [isKnown, user, network, place, requests, times] = line
    const key = JSON.stringify([isKnown, user, network, place])
    const simulation =
      open.get(key) ?? createSimulation({ ...numbers, limit: isKnown ? (authenticatedLimit ?? limit) : limit })
    for (const at of times) simulation.request(at)
    if (simulation.requests < requests) {
      open.set(key, simulation)
      continue
    }
    open.delete(key)
    const { limited, peak } = simulation
    if (limited === 0) continue
    sum.wouldLimit += limited
    sum.wouldLimitClients++
    sum.clients.push({ client: shownClient(line), requests, wouldLimit: limited, peak })
    if (sum.clients.length > 20 * MOST_CLIENTS) sum.clients = top(sum.clients)
  }
}

/** Each the smallest number of requests that so large a part of the windows does not exceed. */
const percentilesOf = (windows: ReadonlyMap<number, number>): RatePercentiles => {
  const rising = [...windows].toSorted(([a], [b]) => a - b)
  const all = rising.reduce((total, [, count]) => total + count, 0)
  const at = (level: number): number | null => {
    let seen = 0
    return rising.find(([, count]) => (seen += count) >= Math.ceil(level * all))?.[0] ?? null
  }
  return {
    ...(Object.fromEntries(PERCENTILES.map(({ name, level }) => [name, at(level)])) as Omit<RatePercentiles, 'max'>),
    max: rising.at(-1)?.[0] ?? null,
  }
}

/**
 * What a limit would have done to the requests of a range, one by one. It begins with nothing counted, and other policies
 * that fit better are not considered. Clients are taken in shares, so that the store holds a bounded number of requests.
 * @param requestsAShare about as many
 * @throws {AnalyticsError}
 */
export const backtestRateLimit = async (
  { policy, timeRange }: BacktestInput,
  asker: Asker,
  run: Run,
  now: number,
  requestsAShare = REQUESTS_A_SHARE,
): Promise<Backtest> => {
  if (policy.key === 'API_KEY')
    throw conflicting(
      'policy.key',
      'policy.key is API_KEY; request logs hold no API keys, so allowed here are IP, USER and IP_AND_PATH',
    )
  const range = resolveTimeRange('timeRange', timeRange, now)
  const question = { policy, range, asker }
  const [row] = await run<{ evaluated: string }>(
    sql`SELECT count() AS evaluated FROM request_logs WHERE ${conditionSql(question)}`,
  )
  const evaluated = toInteger(row!.evaluated)
  const sum: Sum = { windows: new Map(), wouldLimit: 0, wouldLimitClients: 0, clients: [] }
  const of = Math.ceil(Number(evaluated) / requestsAShare)
  for (let number = 0; number < of; number++) {
    for await (const [requests, windows] of run.stream<[number, number]>(ratesSql(question, { number, of })))
      sum.windows.set(requests, (sum.windows.get(requests) ?? 0) + windows)
    await simulate(question, { number, of }, sum, run)
  }
  return {
    evaluated,
    wouldLimit: sum.wouldLimit,
    wouldLimitClients: sum.wouldLimitClients,
    clientRatePercentiles: percentilesOf(sum.windows),
    topClients: top(sum.clients),
    range,
  }
}
