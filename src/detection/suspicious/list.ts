import { AnalyticsError, type Asker, LIMITS, type Run } from '../../analytics/index.ts'
import { join, param, type Sql, sql } from '../../clickhouse/index.ts'
import { shownAddress } from '../judge.ts'
import { addressRange } from '../sql/address-range.ts'
import type { ReviewStatus, Severity } from '../types.ts'
import {
  all,
  flagging,
  MERGED_COLUMNS,
  mergedSql,
  type MergedRow,
  type Range,
  type Suspect,
  suspectOf,
} from './merge.ts'

type Maybe<T> = T | null | undefined

export const SUSPICIOUS_IP_ORDERS = ['SCORE_DESC', 'LAST_SEEN_DESC', 'FIRST_SEEN_DESC', 'REQUESTS_DESC'] as const
export type SuspiciousIpOrder = (typeof SUSPICIOUS_IP_ORDERS)[number]

/** What is given holds together; an empty list fits nothing, null is as if it were not given. */
export interface SuspiciousIpFilter {
  ip?: Maybe<{
    eq?: Maybe<string>
    neq?: Maybe<string>
    in?: Maybe<readonly string[]>
    notIn?: Maybe<readonly string[]>
  }>
  severity?: Maybe<readonly Severity[]>
  status?: Maybe<readonly ReviewStatus[]>
  detector?: Maybe<readonly string[]>
  minScore?: Maybe<number>
  country?: Maybe<readonly string[]>
  asn?: Maybe<readonly number[]>
  service?: Maybe<readonly string[]>
}

export interface ListInput {
  range: Range
  /** True: who was last seen before the range is left out, though flagged in it by a look back. */
  seenInRange?: boolean
  where?: Maybe<SuspiciousIpFilter>
  orderBy?: Maybe<SuspiciousIpOrder>
  first?: Maybe<number>
  after?: Maybe<string>
  last?: Maybe<number>
  before?: Maybe<string>
}

export interface SuspectPage {
  edges: { cursor: string; node: Suspect }[]
  hasNextPage: boolean
  hasPreviousPage: boolean
}

const DEFAULT_PAGE = 100
const MOST_ADDRESSES = 1_000

const invalid = (argument: string, message: string): AnalyticsError =>
  new AnalyticsError('INVALID_ARGUMENT', `${argument} ${message}`, { argument })

/** Whole numbers, so that a cursor holds them exactly. */
const KEYS: Record<SuspiciousIpOrder, Sql> = {
  SCORE_DESC: sql`toInt64(tenths)`,
  LAST_SEEN_DESC: sql`toUnixTimestamp64Milli(last)`,
  FIRST_SEEN_DESC: sql`toUnixTimestamp64Milli(first)`,
  REQUESTS_DESC: sql`toInt64(all_requests)`,
}

interface Cursor {
  order: SuspiciousIpOrder
  key: number
  address: string
}

const encodeCursor = ({ order, key, address }: Cursor): string =>
  Buffer.from(`${SUSPICIOUS_IP_ORDERS.indexOf(order)} ${key} ${address}`).toString('base64url')

const cursorOf = (argument: string, text: Maybe<string>, order: SuspiciousIpOrder): Cursor | undefined => {
  if (text === null || text === undefined) return undefined
  const [, number, key, address] =
    /^(\d) (\d{1,15}) ([\da-f.:]{2,45})$/.exec(Buffer.from(text, 'base64url').toString()) ?? []
  const known = number === undefined ? undefined : SUSPICIOUS_IP_ORDERS[Number(number)]
  if (!known) throw invalid(argument, 'is not a cursor from an earlier answer, whole and unchanged')
  if (known !== order)
    throw invalid(
      argument,
      `is a cursor of order ${known}, but orderBy is ${order}; a cursor goes on only in its own order`,
    )
  return { order, key: Number(key), address: address! }
}

const within = (cidrs: readonly string[], argument: string): Sql => {
  if (cidrs.length > MOST_ADDRESSES)
    throw invalid(argument, `has ${cidrs.length} values; allowed are ${MOST_ADDRESSES} at most`)
  return cidrs.length === 0
    ? sql`false`
    : sql`(${join(
        cidrs.map((cidr) => addressRange(sql`f.address`, counted(cidr))),
        ' OR ',
      )})`
}

/** Of IPv6 a /64 is counted as one, so what is narrower means the whole. */
const counted = (cidr: string): string => {
  const [address, bits] = cidr.split('/')
  return address!.includes(':') && Number(bits ?? 128) > 64 ? `${address}/64` : cidr
}

/** By findings, before they are merged. */
const addressCondition = (ip: SuspiciousIpFilter['ip']): Sql =>
  all([
    ...(ip?.eq ? [within([ip.eq], 'where.ip.eq')] : []),
    ...(ip?.neq ? [sql`NOT ${within([ip.neq], 'where.ip.neq')}`] : []),
    ...(ip?.in ? [within(ip.in, 'where.ip.in')] : []),
    ...(ip?.notIn ? [sql`NOT ${within(ip.notIn, 'where.ip.notIn')}`] : []),
  ])

const texts = (values: readonly string[]) => param('Array(String)', [...values])

/** By merged rows. */
const mergedCondition = ({ where, range, seenInRange }: ListInput): Sql => {
  const { severity, status, detector, minScore, country, asn, service } = where ?? {}
  return all([
    ...(seenInRange ? [sql`last >= ${new Date(range.from)}`] : []),
    ...(severity ? [sql`has(${texts(severity)}, toString(worst))`] : []),
    ...(status ? [sql`has(${texts(status)}, status)`] : []),
    ...(detector ? [sql`hasAny(detectors, ${texts(detector)})`] : []),
    ...(minScore !== null && minScore !== undefined
      ? [sql`tenths >= ${param('Float64', Math.round(minScore * 10))}`]
      : []),
    ...(country ? [sql`has(${texts(country)}, tupleElement(place, 1))`] : []),
    ...(asn ? [sql`has(${param('Array(UInt64)', [...asn])}, toUInt64(tupleElement(place, 3)))`] : []),
    ...(service ? [sql`hasAny(seen_in, ${texts(service)})`] : []),
  ])
}

const sizeOf = ({ first, last, after, before }: ListInput): { size: number; backwards: boolean } => {
  const backwards = (last ?? undefined) !== undefined
  if (backwards && (first ?? undefined) !== undefined)
    throw invalid('last', 'and first are both given; give first (with after) or last (with before)')
  if (backwards && after) throw invalid('after', 'goes with first; with last give before')
  if (before && !backwards) throw invalid('before', 'goes with last; with first give after')
  const [name, size] = backwards ? (['last', last!] as const) : (['first', first ?? DEFAULT_PAGE] as const)
  if (!Number.isInteger(size) || size < 1 || size > LIMITS.maxPageSize)
    throw invalid(name, `is ${size}; allowed is a whole number from 1 to ${LIMITS.maxPageSize}`)
  return { size, backwards }
}

/**
 * The addresses of a page are found by what puts them in order and what they are chosen by; only theirs are put together
 * whole: all 131,072 of a month took seconds, so it is tenths of one.
 * @throws {AnalyticsError} INVALID_ARGUMENT at once, others from `page` and `count`
 */
export const planList = (input: ListInput, asker: Asker, run: Run) => {
  const order = input.orderBy ?? 'SCORE_DESC'
  const { size, backwards } = sizeOf(input)
  const cursor = backwards ? cursorOf('before', input.before, order) : cursorOf('after', input.after, order)
  const which = sql`${flagging(input.range, asker)} AND ${addressCondition(input.where?.ip)}`
  const verdicts = Boolean(input.where?.status)
  const condition = mergedCondition(input)
  const key = KEYS[order]

  const page = async (): Promise<SuspectPage> => {
    const beyond = cursor
      ? sql` AND (${key}, address) ${backwards ? sql`>` : sql`<`} (${param('Int64', cursor.key)}, ${param('IPv6', cursor.address)})`
      : sql``
    const direction = backwards ? sql`ASC` : sql`DESC`
    const requests = order === 'REQUESTS_DESC'
    const rows = await run<Place & { key: string }>(
      sql`SELECT toString(address) AS address_text, ${key} AS key FROM (${mergedSql(which, { requests, verdicts })}) WHERE ${condition}${beyond} ORDER BY key ${direction}, address ${direction} LIMIT ${param('UInt32', size + 1)}`,
    )
    const hasMore = rows.length > size
    const shown = rows.slice(0, size)
    if (backwards) shown.reverse()
    const suspects = await wholes(shown, input.range, asker, run)
    return {
      edges: shown.flatMap(({ address_text: address, key }) => {
        const node = suspects.get(address)
        return node ? [{ cursor: encodeCursor({ order, key: Number(key), address }), node }] : []
      }),
      hasNextPage: backwards ? cursor !== undefined : hasMore,
      hasPreviousPage: backwards ? hasMore : cursor !== undefined,
    }
  }

  const count = async (): Promise<number> => {
    const [row] = await run<{ rows: string }>(
      sql`SELECT count() AS rows FROM (${mergedSql(which, { verdicts })}) WHERE ${condition}`,
    )
    return Number(row!.rows)
  }
  return { page, count }
}

interface Place {
  address_text: string
}

const wholes = (places: readonly Place[], range: Range, asker: Asker, run: Run): Promise<Map<string, Suspect>> =>
  findSuspects(
    places.map((place) => place.address_text),
    range,
    asker,
    run,
  )

/** Rows by their number, flagged last first, for readers that page by number. */
export const listByNumber = async (
  { range, detector, offset, limit }: { range: Range; detector?: string | undefined; offset: number; limit: number },
  asker: Asker,
  run: Run,
): Promise<{ count: number; rows: Suspect[] }> => {
  const merged = mergedSql(flagging(range, asker))
  const condition = detector === undefined ? sql`true` : sql`tupleElement(strongest, 1) = ${detector}`
  const [[counted], places] = await Promise.all([
    run<{ rows: string }>(sql`SELECT count() AS rows FROM (${merged}) WHERE ${condition}`),
    run<Place>(
      sql`SELECT toString(address) AS address_text FROM (${merged}) WHERE ${condition} ORDER BY flagged DESC, tenths DESC, address LIMIT ${param('UInt32', limit)} OFFSET ${param('UInt64', offset)}`,
    ),
  ])
  const suspects = await wholes(places, range, asker, run)
  return {
    count: Number(counted!.rows),
    rows: places.flatMap((place) => suspects.get(place.address_text) ?? []),
  }
}

/** Addresses in the text of the store; those that are not suspicious, or not for the asker, are missing. */
export const findSuspects = async (
  addresses: readonly string[],
  range: Range,
  asker: Asker,
  run: Run,
): Promise<Map<string, Suspect>> => {
  if (addresses.length === 0) return new Map()
  const which = sql`${flagging(range, asker)} AND f.address IN ${param('Array(IPv6)', [...addresses])}`
  const rows = await run<MergedRow>(
    sql`SELECT ${MERGED_COLUMNS} FROM (${mergedSql(which, { requests: true, verdicts: addresses.map(shownAddress) })})`,
  )
  return new Map(rows.map((row) => [row.address_text, suspectOf(row, asker.services)]))
}
