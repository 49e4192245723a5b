import { join, param, type Sql, sql } from '../clickhouse/index.ts'
import { bucketSql } from './aggregate-sql.ts'
import { type BucketInput, type Buckets, type Granularity, resolveBuckets } from './buckets.ts'
import { invalid } from './errors.ts'
import { LIMITS } from './limits.ts'
import { toInteger } from './log-row.ts'
import { type Episode, type ErrorRates, errorRatesOf, findEpisodes } from './rate-limit-episodes.ts'
import type { Asker, Run } from './run.ts'
import { rowsOf } from './scope.ts'
import { resolveTimeRange, type TimeRange, type TimeRangeInput } from './time-range.ts'
import { createZone, formatLocal, isTimeZone, type Zone } from './time-zone.ts'

export interface EffectivenessInput {
  timeRange: TimeRangeInput
  bucket?: BucketInput | null | undefined
  policyIds?: readonly string[] | null | undefined
  services?: readonly string[] | null | undefined
  /** What of the answer is wanted: only that is computed. Error rates read the requests, too. */
  selection: { rows: boolean; totals: boolean; errorRates: boolean; verdicts?: boolean }
}

/** A SELECT of the addresses of which people said so, as detectors count them. */
export type AddressesTold = (verdict: 'CONFIRMED' | 'FALSE_POSITIVE') => Sql

/** What the decisions of one bucket, policy and service came to. */
export interface EffectivenessRow {
  bucket: { start: Date; local: string } | null
  /** Null: none was asked, such as where the block list decided before; or the totals. */
  policyId: string | null
  service: string | null
  /** Decisions that a policy was asked for. */
  evaluated: number | bigint
  /** Of these, what passed. */
  allowed: number | bigint
  limited: number | bigint
  /** Passed, but over the limit of a policy in SHADOW. */
  shadowLimited: number | bigint
  /** Denied by the block list before any policy was asked. */
  blocked: number | bigint
  limitedRate: number | null
  /** Clients that went over the limit, in SHADOW too. */
  uniqLimitedClients: number | bigint
  /** Of these, such as did so again a window or more after the first time in the range. */
  repeatOffenders: number | bigint
  /** Requests within the limit by clients that had gone over it before in the range. */
  passedAfterLimit: number | bigint
  /** Of the limited clients, such as people called attackers, and such as they called none. 0 where that is not asked. */
  limitedConfirmedAbusive: number
  limitedFalsePositive: number
  /** confirmed / (confirmed + false positives); null: none of them was reviewed. */
  precision: number | null
  serverErrorRateBefore: number | null
  serverErrorRateAfter: number | null
}

export interface Effectiveness {
  rows: EffectivenessRow[]
  totals: EffectivenessRow | undefined
  /** There are policies or services beyond those in `rows`. */
  truncated: boolean
  range: TimeRange
  granularity: Exclude<Granularity, 'AUTO'> | null
  timeZone: string
}

/** The arguments, checked and made plain. */
interface Question {
  range: TimeRange
  zone: Zone
  buckets: Buckets | undefined
  fillGaps: boolean
  asker: Asker
  policies: Sql
  services: Sql
  addressesTold: AddressesTold | undefined
}

interface Stored {
  bucket?: number
  policy: string
  service: string
  evaluated: string
  limited: string
  shadow: string
  blocked: string
  clients: string
  repeated: string
  passed: string
  confirmed: string
  mistaken: string
}

const listed = (argument: string, column: Sql, given: readonly string[] | null | undefined): Sql => {
  if (!given) return sql`true`
  if (given.length > LIMITS.maxFilterListLength)
    throw invalid(argument, `${given.length} entries`, `${LIMITS.maxFilterListLength} at most`)
  return sql`${column} IN ${[...given]}`
}

const resolve = (
  input: EffectivenessInput,
  asker: Asker,
  now: number,
  addressesTold: AddressesTold | undefined,
): Question => {
  const range = resolveTimeRange('timeRange', input.timeRange, now)
  const timezone = input.bucket?.timezone ?? 'UTC'
  if (!isTimeZone(timezone)) throw invalid('bucket.timezone', timezone, 'an IANA time zone such as Europe/Paris')
  const zone = createZone(timezone)
  return {
    range,
    zone,
    buckets: input.bucket ? resolveBuckets(input.bucket, range, zone) : undefined,
    fillGaps: input.bucket?.fillGaps ?? true,
    asker,
    policies: listed('policyIds', sql`policy_id`, input.policyIds),
    services: listed('services', sql`service`, input.services),
    addressesTold: input.selection.verdicts ? addressesTold : undefined,
  }
}

const OVER = sql`outcome IN ('limited', 'shadow_limited')`
/** A client of a policy by a hash, which takes half the time of the texts to join and to tell apart. */
const CLIENT = sql`sipHash64(policy_id, counted)`

/**
 * Decisions with the second in which their client first went over the policy's limit (1970: it never did, or is not told),
 * on whatever service: a policy counts a client on all of them at once.
 */
const fromSql = ({ range, asker, policies, services }: Question): Sql => {
  const within = rowsOf(range, asker, policies)
  const first = sql`SELECT ${CLIENT} AS client, min(timestamp) AS first FROM decisions WHERE ${within} AND ${OVER} AND counted != '' GROUP BY client`
  return sql`(SELECT *, ${CLIENT} AS client FROM decisions WHERE ${within} AND ${services} AND (outcome = 'blocked' OR window_seconds > 0)) AS decision LEFT ANY JOIN (${first}) AS earlier USING (client)`
}

const clientsOver = (when: Sql): Sql => sql`uniqExactIf(sipHash64(counted), ${OVER} AND counted != '' AND ${when})`

/** The address as detectors count it: of IPv6 its /64. */
const ADDRESS = sql`if(ip BETWEEN toIPv6('::ffff:0.0.0.0') AND toIPv6('::ffff:255.255.255.255'), ip, tupleElement(IPv6CIDRToRange(ip, 64), 1))`

const verdictsSql = ({ addressesTold }: Question): Sql =>
  addressesTold
    ? sql`${clientsOver(sql`${ADDRESS} IN (${addressesTold('CONFIRMED')})`)} AS confirmed, ${clientsOver(sql`${ADDRESS} IN (${addressesTold('FALSE_POSITIVE')})`)} AS mistaken`
    : sql`toUInt64(0) AS confirmed, toUInt64(0) AS mistaken`

/** One statement over the decisions, by these columns. */
const decisionsSql = (question: Question, by: readonly Sql[], rest: Sql): Sql => {
  const keys = by.length > 0 ? sql`${join(by)}, ` : sql``
  return sql`SELECT ${keys}sumIf(count, outcome != 'blocked') AS evaluated, sumIf(count, outcome = 'limited') AS limited, sumIf(count, outcome = 'shadow_limited') AS shadow, sumIf(count, outcome = 'blocked') AS blocked, ${clientsOver(sql`true`)} AS clients, ${clientsOver(sql`timestamp >= first + window_seconds`)} AS repeated, sumIf(count, outcome = 'allowed' AND counted != '' AND first > 0 AND timestamp > first) AS passed, ${verdictsSql(question)} FROM ${fromSql(question)} ${rest}`
}

const POLICY = sql`policy_id AS policy`
const BUSIEST = sql`GROUP BY policy, service ORDER BY evaluated + blocked DESC, policy, service`

type Place = Pick<EffectivenessRow, 'bucket' | 'policyId' | 'service'>

const NOTHING = {
  evaluated: '0',
  limited: '0',
  shadow: '0',
  blocked: '0',
  clients: '0',
  repeated: '0',
  passed: '0',
  confirmed: '0',
  mistaken: '0',
}

const rowOf = (place: Place, stored: Omit<Stored, 'policy' | 'service'> = NOTHING, rates?: ErrorRates) => {
  const [evaluated, limited] = [BigInt(stored.evaluated), BigInt(stored.limited)]
  const [confirmed, mistaken] = [Number(stored.confirmed), Number(stored.mistaken)]
  return {
    ...place,
    evaluated: toInteger(stored.evaluated),
    allowed: toInteger((evaluated - limited).toString()),
    limited: toInteger(stored.limited),
    shadowLimited: toInteger(stored.shadow),
    blocked: toInteger(stored.blocked),
    limitedRate: evaluated > 0n ? Number(limited) / Number(evaluated) : null,
    uniqLimitedClients: toInteger(stored.clients),
    repeatOffenders: toInteger(stored.repeated),
    passedAfterLimit: toInteger(stored.passed),
    limitedConfirmedAbusive: confirmed,
    limitedFalsePositive: mistaken,
    precision: confirmed + mistaken > 0 ? confirmed / (confirmed + mistaken) : null,
    serverErrorRateBefore: rates?.before ?? null,
    serverErrorRateAfter: rates?.after ?? null,
  }
}

const named = (text: string): string | null => (text === '' ? null : text)
const keyOf = (start: number | undefined, policy: string, service: string): string =>
  JSON.stringify([start ?? null, policy, service])

/** Beginning of the bucket that holds the instant. */
const startOf = ({ starts }: Buckets, at: number): number => starts.findLast((start) => start <= at)!

type RatesOf = (start: number | undefined, policy: string, service: string) => ErrorRates | undefined

/** The rows of all buckets of these groups, gaps filled where that is wanted. */
const inBuckets = async (
  question: Question & { buckets: Buckets },
  groups: readonly Stored[],
  ratesOf: RatesOf,
  run: Run,
): Promise<EffectivenessRow[]> => {
  const { buckets, zone, fillGaps } = question
  if (groups.length === 0) return []
  const [policies, services] = (['policy', 'service'] as const).map((of) => groups.map((group) => group[of]))
  const stored = await run<Stored>(
    decisionsSql(
      question,
      [sql`${bucketSql(buckets, undefined)} AS bucket`, POLICY, sql`service`],
      sql`WHERE has(arrayZip(${policies!}, ${services!}), (CAST(policy_id, 'String'), CAST(service, 'String'))) GROUP BY bucket, policy, service`,
    ),
  )
  const found = new Map(stored.map((row) => [keyOf(row.bucket! * 1_000, row.policy, row.service), row]))
  return buckets.starts.flatMap((start) =>
    groups.flatMap(({ policy, service }) => {
      const row = found.get(keyOf(start, policy, service))
      if (!row && !fillGaps) return []
      const bucket = { start: new Date(start), local: formatLocal(start, zone) }
      const place = { bucket, policyId: named(policy), service: named(service) }
      return [rowOf(place, row, ratesOf(start, policy, service))]
    }),
  )
}

/** Error rates around the episodes of a bucket, policy and service. */
const ratesBy = (episodes: readonly Episode[], buckets: Buckets | undefined): RatesOf => {
  const byKey = Map.groupBy(episodes, ({ policy, service, at }) =>
    keyOf(buckets && startOf(buckets, at), policy, service),
  )
  return (start, policy, service) => {
    const found = byKey.get(keyOf(start, policy, service))
    return found && errorRatesOf(found)
  }
}

/**
 * What limits and blocks came to, by policy and service, the busiest first.
 * @throws {AnalyticsError}
 */
export const rateLimitEffectiveness = async (
  input: EffectivenessInput,
  asker: Asker,
  run: Run,
  now: number,
  addressesTold?: AddressesTold,
): Promise<Effectiveness> => {
  const question = resolve(input, asker, now, addressesTold)
  const { range, zone, buckets, policies, services } = question
  const { selection } = input
  const most = Math.max(1, Math.floor(LIMITS.maxRows / (buckets?.starts.length ?? 1)))
  const [found, totals, episodes] = await Promise.all([
    selection.rows
      ? run<Stored>(decisionsSql(question, [POLICY, sql`service`], sql`${BUSIEST} LIMIT ${param('UInt32', most + 1)}`))
      : [],
    selection.totals ? run<Stored>(decisionsSql(question, [], sql``)) : [],
    selection.errorRates ? findEpisodes({ range, condition: sql`${policies} AND ${services}` }, asker, run) : [],
  ])
  const groups = found.slice(0, most)
  const rows = buckets
    ? await inBuckets({ ...question, buckets }, groups, ratesBy(episodes, buckets), run)
    : groups.map((stored) => {
        const { policy, service } = stored
        const place = { bucket: null, policyId: named(policy), service: named(service) }
        return rowOf(place, stored, ratesBy(episodes, undefined)(undefined, policy, service))
      })
  return {
    rows,
    totals: totals[0] && rowOf({ bucket: null, policyId: null, service: null }, totals[0], errorRatesOf(episodes)),
    truncated: found.length > most,
    range,
    granularity: buckets?.granularity ?? null,
    timeZone: zone.name,
  }
}
