import type { Asker, Run } from '../../analytics/index.ts'
import { param, type Sql, sql } from '../../clickhouse/index.ts'
import { findingId, instantOf } from '../findings.ts'
import { shownAddress } from '../judge.ts'
import { evidenceRowsSql } from '../sql/compile.ts'
import type { Detector, DetectorMode, Finding, ParameterValue, Severity } from '../types.ts'
import { flagging, type Range } from './merge.ts'

const HOUR_MS = 3_600_000

interface Row {
  address: string
  ip: string
  detector: string
  severity: Severity
  mode: DetectorMode
  repeated: boolean
  run_id: string
  hour: string
  window_from: string
  window_to: string
  observed: number
  threshold: number
  score: number
  requests: number
  errors: number
  services: string[]
  country: string
  city: string
  asn: number
  as_organization: string
  user_agent: string
  referers: string[]
  target: string
  first_seen: string
  last_seen: string
  details: string
  parameters: string
}

const COLUMNS = sql`toString(f.address) AS address, toString(f.ip) AS ip, detector, toString(severity) AS severity, toString(mode) AS mode, repeated, toString(run_id) AS run_id, toString(f.hour) AS hour, toString(window_from) AS window_from, toString(window_to) AS window_to, observed, threshold, score, requests, errors, services, country, city, asn, as_organization, user_agent, referers, target, toString(first_seen) AS first_seen, toString(last_seen) AS last_seen, details, parameters`

const jsonOf = (text: string): Record<string, unknown> =>
  JSON.parse(text === '' ? '{}' : text) as Record<string, unknown>

/** @param services of the asker, who is not told what others were asked for */
const findingOf = (row: Row, services: readonly string[] | null): Finding => {
  const isTheirs = !services || row.services.every((service) => services.includes(service))
  return {
    id: findingId(row.address, row.detector, instantOf(row.hour)),
    detector: row.detector,
    address: row.address,
    ip: shownAddress(row.ip),
    severity: row.severity,
    mode: row.mode,
    repeated: row.repeated,
    runId: row.run_id,
    flaggedAt: new Date(instantOf(row.hour).getTime() + HOUR_MS),
    window: { from: instantOf(row.window_from), to: instantOf(row.window_to) },
    observed: row.observed,
    threshold: row.threshold,
    score: Math.round(row.score * 10) / 10,
    requests: row.requests,
    errors: row.errors,
    services: row.services.filter((service) => !services || services.includes(service)),
    country: row.country || null,
    city: row.city || null,
    asn: row.asn || null,
    asOrganization: row.as_organization || null,
    userAgent: row.user_agent || null,
    referers: row.referers,
    target: (isTheirs && row.target) || null,
    firstSeen: instantOf(row.first_seen),
    lastSeen: instantOf(row.last_seen),
    details: isTheirs ? jsonOf(row.details) : {},
    parameters: jsonOf(row.parameters) as Record<string, ParameterValue>,
  }
}

/** The newest findings of each of the addresses, `first` at most of one. */
export const findDetections = async (
  { addresses, range, first }: { addresses: readonly string[]; range: Range; first: number },
  asker: Asker,
  run: Run,
): Promise<Map<string, Finding[]>> => {
  if (addresses.length === 0) return new Map()
  const rows = await run<Row>(
    sql`SELECT ${COLUMNS} FROM findings AS f WHERE ${flagging(range, asker)} AND f.address IN ${param('Array(IPv6)', [...addresses])} ORDER BY f.address, f.hour DESC, f.score DESC, f.detector LIMIT ${param('UInt32', first)} BY f.address`,
  )
  return Map.groupBy(
    rows.map((row) => findingOf(row, asker.services)),
    ({ address }) => address,
  )
}

/** A detector whose file is there no more: all rows of the address are what is left to look at. */
const GONE: Detector = {
  id: 'gone',
  name: '',
  description: '',
  severity: 'LOW',
  mode: 'OFF',
  windowSeconds: 3_600,
  unit: '',
  references: [],
  parameters: [],
  own: false,
  stage: 'statement',
  path: '',
  sql: '',
  evidence: '',
  probe: false,
  values: {},
  exceptions: [],
  version: 0,
}

/** Which rows of request_logs prove a finding: the detector's own evidence with the parameters and exceptions of that time. */
export const evidenceOf = (finding: Finding, detector: Detector = GONE): Sql => {
  const { window, parameters, address, flaggedAt } = finding
  const view = { hour: new Date(flaggedAt.getTime() - HOUR_MS), ...window, runId: undefined }
  const then: Detector = {
    ...detector,
    values: { ...detector.values, ...parameters },
    exceptions: detector.exceptions.filter(({ createdAt }) => createdAt < flaggedAt),
  }
  return sql`(batch, row) IN (${evidenceRowsSql(then, view, address)})`
}

const lengthOf = ({ from, to }: Finding['window']): string => {
  const hours = Math.round((to.getTime() - from.getTime()) / HOUR_MS)
  if (hours === 1) return 'an hour'
  return hours % 24 === 0 && hours > 24 ? `${hours / 24} days` : `${hours} hours`
}

const rounded = (value: number): string => String(Math.round(value * 100) / 100)

/** `1 request`, `2 requests`, `1 address`; units that count nothing, such as `share of requests`, stay. */
const unitOf = (unit: string, observed: string): string =>
  observed === '1' && unit.split(' ').length < 3 ? unit.replace(/(?<=ss|sh|x)es$|(?<![su])s$/, '') : unit

/** A sentence for people: "Not-found probing: 57 paths within an hour, from 11 on it is flagged; most asked for /wp-login.php." */
export const summaryOf = (finding: Finding, detector: Pick<Detector, 'name' | 'unit'> | undefined): string => {
  const { observed, threshold, target, window } = finding
  const seen = rounded(observed)
  const unit = detector?.unit ? ` ${unitOf(detector.unit, seen)}` : ''
  const most = target === null ? '' : `; most asked for ${target}`
  return `${detector?.name ?? finding.detector}: ${seen}${unit} within ${lengthOf(window)}, from ${rounded(threshold)} on it is flagged${most}.`
}
