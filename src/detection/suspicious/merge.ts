import { type Asker } from '../../analytics/index.ts'
import { join, param, type Sql, sql } from '../../clickhouse/index.ts'
import { instantOf } from '../findings.ts'
import { shownAddress } from '../judge.ts'
import type { ReviewStatus, Severity, SuspiciousIp } from '../types.ts'
import { suspiciousIpId } from './address.ts'

/** Epoch ms, half-open. Findings of every hour that touches it count. */
export interface Range {
  from: number
  to: number
}

const HOUR_MS = 3_600_000
const MOST_SERVICES = 20

const seconds = (ms: number) => sql`toDateTime(${param('UInt32', Math.max(0, Math.floor(ms / 1_000)))}, 'UTC')`

/** Findings that flag somebody, of the hours that touch the range, as far as the asker may see them. */
export const flagging = ({ from, to }: Range, { services }: Pick<Asker, 'services'>): Sql =>
  sql`f.mode != 'REPORT_ONLY' AND f.hour > ${seconds(from - HOUR_MS)} AND f.hour < ${seconds(to)}${services ? sql` AND hasAny(f.services, ${[...services]})` : sql``}`

/** The newest verdict on each address, or on those of `ids`, which the key of the table leads to. */
const verdictsSql = (ids: readonly string[] | undefined): Sql =>
  sql`SELECT toIPv6(id) AS whose, JSONExtractString(body, 'status') AS verdict, JSONExtractString(body, 'note') AS note, JSONExtract(body, 'detectors', 'Array(String)') AS about, JSONExtractInt(body, 'flaggedUntil') AS until, toUnixTimestamp64Milli(changed_at) AS reviewed_at, changed_by AS reviewed_by FROM (SELECT * FROM store_versions WHERE kind = 'verdict'${ids ? sql` AND id IN ${ids}` : sql``} ORDER BY id, version DESC, changed_at, changed_by, body LIMIT 1 BY id) WHERE body != ''`

/** What of a merged row costs a pass of its own, and is made only where it is asked for. */
export interface Parts {
  /** all_requests, all_errors */
  requests?: boolean
  /** status and what the verdict says; of these addresses alone, as people write them, or of all */
  verdicts?: boolean | readonly string[]
}

/**
 * Windows overlap, and one request lies in the windows of many detectors: requests are added up over the hours in which an
 * hourly detector flagged the address, once an hour; a longer window counts where it alone holds more than these.
 */
export const requestsSql = (which: Sql): Sql => sql`
SELECT
    address AS whose,
    sum(hourly) AS in_hours,
    greatest(in_hours, toUInt64(max(most))) AS all_requests,
    if(in_hours >= max(most), sum(hourly_errors), toUInt64(tupleElement(max(longest), 2))) AS all_errors
FROM
(
    SELECT
        f.address AS address,
        maxIf(f.requests, f.window_from = f.hour) AS hourly,
        maxIf(f.errors, f.window_from = f.hour) AS hourly_errors,
        max(f.requests) AS most,
        max((f.requests, f.errors)) AS longest
    FROM findings AS f
    WHERE ${which}
    GROUP BY f.address, f.hour
)
GROUP BY address`

const STATUS = sql`multiIf(
    v.verdict IN ('CONFIRMED', 'IGNORED'), v.verdict,
    v.verdict = 'RESOLVED' AND toInt64(toUnixTimestamp(m.flagged)) * 1000 <= v.until, 'RESOLVED',
    v.verdict = 'FALSE_POSITIVE' AND hasAll(v.about, m.detectors), 'FALSE_POSITIVE',
    'OPEN')`

/**
 * One row for each suspicious address. Scores are counted in tenths, and their product is taken in a fixed order, so that an
 * order by score is the same in every statement. Columns that nobody asks for cost nothing: the store leaves their aggregates out.
 * Grouped by detector first: arrays of pairs took thrice the time at 500,000 findings.
 * @param which of `findings AS f`
 */
export const mergedSql = (which: Sql, { requests = false, verdicts = false }: Parts = {}): Sql => sql`
SELECT
    m.*${requests ? sql`, n.all_requests AS all_requests, n.all_errors AS all_errors` : sql``}${verdicts ? sql`, v.verdict AS verdict, v.note AS note, v.about AS about, v.reviewed_at AS reviewed_at, v.reviewed_by AS reviewed_by, ${STATUS} AS status` : sql``}
FROM
(
    SELECT
        address,
        min(d.lowest) AS lowest,
        max(d.worst) AS worst,
        max(d.flagged) AS flagged,
        min(d.first_flagged) AS first_flagged,
        min(d.first) AS first,
        max(d.last) AS last,
        arraySort(groupArray(toString(d.detector))) AS detectors,
        toUInt32(round(1000 * (1 - arrayProduct(arrayMap(s -> 1 - s / 1000, arraySort(groupArray(d.best))))))) AS tenths,
        arraySort(groupUniqArrayArray(d.services)) AS seen_in,
        argMax(d.place, (d.newest, d.detector)) AS place,
        argMax(d.strongest, (d.best, d.detector)) AS strongest
    FROM
    (
        SELECT
            f.address AS address,
            f.detector AS detector,
            min(f.ip) AS lowest,
            max(f.severity) AS worst,
            max(f.window_to) AS flagged,
            min(f.window_to) AS first_flagged,
            min(f.first_seen) AS first,
            max(f.last_seen) AS last,
            max(f.hour) AS newest,
            max(toUInt32(round(f.score * 10))) AS best,
            groupUniqArrayArray(f.services) AS services,
            argMax((f.country, f.city, f.asn, f.as_organization), f.hour) AS place,
            argMax((f.detector, f.observed, f.threshold, f.window_from, f.window_to, f.severity, f.score), (round(f.score * 10), f.hour)) AS strongest
        FROM findings AS f
        WHERE ${which}
        GROUP BY f.address, f.detector
    ) AS d
    GROUP BY address
) AS m${requests ? sql` INNER JOIN (${requestsSql(which)}) AS n ON n.whose = m.address` : sql``}${verdicts ? sql` LEFT JOIN (${verdictsSql(verdicts === true ? undefined : verdicts)}) AS v ON v.whose = m.address` : sql``}`

/** What is read of a merged row; times in ms. */
export const MERGED_COLUMNS = sql`toString(address) AS address_text, toString(lowest) AS lowest_text, toString(worst) AS severity, toUnixTimestamp(flagged) AS flagged_at, toUnixTimestamp64Milli(first) AS first_at, toUnixTimestamp64Milli(last) AS last_at, detectors, tenths, all_requests, all_errors, seen_in, place, strongest, status, verdict, note, about, reviewed_at, reviewed_by`

export interface MergedRow {
  address_text: string
  lowest_text: string
  severity: Severity
  flagged_at: number
  first_at: string
  last_at: string
  detectors: string[]
  tenths: number
  all_requests: string
  all_errors: string
  seen_in: string[]
  place: [country: string, city: string, asn: number, asOrganization: string]
  strongest: [
    detector: string,
    observed: number,
    threshold: number,
    from: string,
    to: string,
    severity: Severity,
    score: number,
  ]
  status: ReviewStatus
  verdict: string
  note: string
  about: string[]
  reviewed_at: string
  reviewed_by: string
}

/** The finding that says most. */
export interface Strongest {
  detector: string
  observed: number
  threshold: number
  window: { from: Date; to: Date }
  severity: Severity
  score: number
}

export interface Suspect extends Omit<SuspiciousIp, 'isBlocked'> {
  strongest: Strongest
}

const strongestOf = ([
  detector,
  observed,
  threshold,
  from,
  to,
  severity,
  score,
]: MergedRow['strongest']): Strongest => ({
  detector,
  observed,
  threshold,
  window: { from: instantOf(from), to: instantOf(to) },
  severity,
  score: Math.round(score * 10) / 10,
})

/** @param services of the asker, who is told of no other */
export const suspectOf = (row: MergedRow, services: readonly string[] | null): Suspect => {
  const [country, city, asn, asOrganization] = row.place
  const [requests, errors] = [Number(row.all_requests), Number(row.all_errors)]
  const isReviewed = row.verdict !== ''
  return {
    id: suspiciousIpId(row.address_text),
    address: row.address_text,
    ip: shownAddress(row.lowest_text),
    score: row.tenths / 10,
    severity: row.severity,
    flaggedAt: new Date(row.flagged_at * 1_000),
    firstSeenAt: new Date(Number(row.first_at)),
    lastSeenAt: new Date(Number(row.last_at)),
    requests,
    errorRate: requests > 0 ? errors / requests : null,
    country: country || null,
    city: city || null,
    asn: asn || null,
    asOrganization: asOrganization || null,
    services: row.seen_in.filter((service) => !services || services.includes(service)).slice(0, MOST_SERVICES),
    detectors: row.detectors,
    review: {
      status: row.status,
      note: row.note || null,
      reviewedBy: isReviewed ? row.reviewed_by : null,
      reviewedAt: isReviewed ? new Date(Number(row.reviewed_at)) : null,
      detectors: row.about,
    },
    strongest: strongestOf(row.strongest),
  }
}

export const all = (conditions: readonly Sql[]): Sql =>
  conditions.length === 0 ? sql`true` : join(conditions, ' AND ')
