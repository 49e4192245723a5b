import { param, type Sql, sql } from '../clickhouse/index.ts'
import { MINUTE } from './interval.ts'
import type { Asker, Run } from './run.ts'
import { rowsOf } from './scope.ts'
import type { TimeRange } from './time-range.ts'

/** A stretch in which a policy limits clients of a service; it begins with the first after this long without one. */
export interface Episode {
  policy: string
  service: string
  /** Its first limited decision, ms since 1970. */
  at: number
  /** Requests that the service served in the five minutes before, and of them those that it failed with 500 or above. */
  before: Served
  /** The same in the five minutes from `at` on. */
  after: Served
}

interface Served {
  requests: number
  failed: number
}

/** Of 5xx among what was served; null where nothing was. */
export interface ErrorRates {
  before: number | null
  after: number | null
}

const SPAN = 5 * MINUTE
const SPAN_SECONDS = SPAN / 1_000
/** The newest; a policy that limits for a moment every five minutes makes 2,000 a week. */
const MOST_EPISODES = 5_000

interface StoredEpisode {
  policy: string
  service: string
  at: number
}

interface StoredRates {
  /** Its place in the list. */
  episode: string
  requestsBefore: string
  failedBefore: string
  requestsAfter: string
  failedAfter: string
}

/** Where limiting began within the range. The five minutes before it are looked at to tell whether it had begun already. */
const beginnings = (range: TimeRange, condition: Sql, asker: Asker): Sql => {
  const earlier = { from: Math.max(0, range.from - SPAN), to: range.to }
  const seconds = sql`SELECT policy_id, service, arraySort(groupUniqArray(toUnixTimestamp(timestamp))) AS seconds FROM decisions WHERE ${rowsOf(earlier, asker, condition)} AND outcome = 'limited' GROUP BY policy_id, service`
  const first = sql`arrayFilter((second, gap, number) -> number = 1 OR gap > ${param('UInt32', SPAN_SECONDS)}, seconds, arrayDifference(seconds), arrayEnumerate(seconds))`
  return sql`SELECT policy_id AS policy, service, arrayJoin(${first}) AS at FROM (${seconds}) WHERE at >= ${param('UInt32', Math.ceil(range.from / 1_000))} ORDER BY at DESC, policy, service LIMIT ${param('UInt32', MOST_EPISODES)}`
}

/**
 * Requests around the episodes. Each lies within three slots of five minutes, so that requests find theirs by an equal
 * join; only the hours around them are read.
 */
const around = (found: readonly StoredEpisode[], asker: Asker): Sql => {
  const instants = found.map(({ at }) => at)
  const span = param('UInt32', SPAN_SECONDS)
  const [first, last] = [Math.min(...instants), Math.max(...instants)]
  const range = { from: Math.max(0, first - SPAN_SECONDS) * 1_000, to: (last + SPAN_SECONDS) * 1_000 }
  const hours = [
    ...new Set(
      instants.flatMap((at) => [at - SPAN_SECONDS, at, at + SPAN_SECONDS - 1].map((s) => Math.floor(s / 3_600))),
    ),
  ].map((hour) => hour * 3_600)
  const services = found.map(({ service }) => service)
  const condition = sql`action = 'allowed' AND toStartOfHour(timestamp) IN (SELECT toDateTime(arrayJoin(${param('Array(UInt32)', hours)}), 'UTC')) AND service IN ${[...new Set(services)]}`
  const requests = sql`SELECT CAST(service, 'String') AS service, toUnixTimestamp(timestamp) AS second, toInt64(intDiv(toUnixTimestamp(timestamp), ${span})) AS slot, status_code FROM request_logs WHERE ${rowsOf(range, asker, condition)}`
  const episodes = sql`SELECT tupleElement(pair, 1) AS service, tupleElement(pair, 2) AS at, episode, toInt64(intDiv(at, ${span})) + arrayJoin([-1, 0, 1]) AS slot FROM (SELECT arrayJoin(arrayZip(${services}, ${param('Array(UInt32)', instants)}, arrayEnumerate(${services}))) AS pair, tupleElement(pair, 3) - 1 AS episode)`
  return sql`SELECT episode, countIf(second < at) AS requestsBefore, countIf(second < at AND status_code >= 500) AS failedBefore, countIf(second >= at) AS requestsAfter, countIf(second >= at AND status_code >= 500) AS failedAfter FROM (${requests}) AS request INNER JOIN (${episodes}) AS episodes USING (service, slot) WHERE second + ${span} >= at AND second < at + ${span} GROUP BY episode`
}

const served = (requests = '0', failed = '0'): Served => ({ requests: Number(requests), failed: Number(failed) })

/**
 * The episodes that begin within the range, with how the service fared around each. What the block list or a limit denied
 * was not served and does not count.
 * @throws {AnalyticsError}
 */
export const findEpisodes = async (
  { range, condition }: { range: TimeRange; condition: Sql },
  asker: Asker,
  run: Run,
): Promise<Episode[]> => {
  const found = await run<StoredEpisode>(beginnings(range, condition, asker))
  if (found.length === 0) return []
  const rates = new Map((await run<StoredRates>(around(found, asker))).map((row) => [Number(row.episode), row]))
  return found.map(({ policy, service, at }, index) => {
    const row = rates.get(index)
    return {
      policy,
      service,
      at: at * 1_000,
      before: served(row?.requestsBefore, row?.failedBefore),
      after: served(row?.requestsAfter, row?.failedAfter),
    }
  })
}

const rate = (parts: readonly Served[]): number | null => {
  const requests = parts.reduce((sum, part) => sum + part.requests, 0)
  return requests > 0 ? parts.reduce((sum, part) => sum + part.failed, 0) / requests : null
}

/** Over all of these together: each request counts, in each episode that it lies around. */
export const errorRatesOf = (episodes: readonly Episode[]): ErrorRates => ({
  before: rate(episodes.map(({ before }) => before)),
  after: rate(episodes.map(({ after }) => after)),
})
