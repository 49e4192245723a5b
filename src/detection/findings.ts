import { createHash } from 'node:crypto'

import { type ClickHouse, param, sql } from '../clickhouse/index.ts'
import { type Candidate, HOUR_MS, viewOf } from './find.ts'
import { type Facts } from './enrich.ts'
import { scoreOf } from './score.ts'
import type { DetectorMode, Finding } from './types.ts'

const COLUMNS = [
  'hour',
  'run_id',
  'address',
  'ip',
  'detector',
  'severity',
  'mode',
  'repeated',
  'window_from',
  'window_to',
  'observed',
  'threshold',
  'score',
  'requests',
  'errors',
  'services',
  'country',
  'city',
  'asn',
  'as_organization',
  'user_agent',
  'referers',
  'target',
  'first_seen',
  'last_seen',
  'details',
  'parameters',
]

export const findingId = (address: string, detector: string, hour: Date): string =>
  `fnd_${createHash('sha256').update(`${address} ${detector} ${hour.getTime()}`).digest('base64url').slice(0, 16)}`

/** `YYYY-MM-DD hh:mm:ss.mmm` of the store, UTC. */
export const instantOf = (text: string): Date => new Date(`${text.replace(' ', 'T')}Z`)

const stampOf = (date: Date): string => date.toISOString().slice(0, 19).replace('T', ' ')
const preciseStampOf = (date: Date): string => date.toISOString().slice(0, 23).replace('T', ' ')

/** 24 hours in which nobody is told of the same again. */
const QUIET_MS = 24 * HOUR_MS

const at = (time: number) => param("DateTime('UTC')", time / 1_000)

/** Which of the addresses the same detector flagged within the day before, as `detector address`. */
export const findRepeated = async (
  clickhouse: ClickHouse,
  candidates: readonly Candidate[],
  hour: Date,
): Promise<ReadonlySet<string>> => {
  if (candidates.length === 0) return new Set()
  const { rows } = await clickhouse.query<{ address: string; detector: string }>(
    sql`SELECT DISTINCT address, detector FROM findings WHERE hour >= ${at(hour.getTime() - QUIET_MS)} AND hour < ${at(hour.getTime())} AND mode != 'REPORT_ONLY'`,
  )
  return new Set(rows.map(({ address, detector }) => `${detector} ${address}`))
}

/** What is written of candidates, and when the address was seen last. One of whom nothing is known is left out: its rows went meanwhile. */
export const toFindings = (
  candidates: readonly Candidate[],
  { facts, repeated, hour, runId }: { facts: Facts; repeated: ReadonlySet<string>; hour: Date; runId: string },
): (Finding & { lastActive: Date })[] =>
  candidates.flatMap((candidate) => {
    const { detector, address, observed, threshold, details } = candidate
    const who = facts.address(candidate)
    if (!who) return []
    const what = facts.evidence(candidate)
    const { from, to } = viewOf(hour, detector.windowSeconds, runId)
    return [
      {
        id: findingId(address, detector.id, hour),
        detector: detector.id,
        address,
        ip: who.ip,
        severity: detector.severity,
        mode: detector.mode,
        repeated: repeated.has(`${detector.id} ${address}`),
        runId,
        flaggedAt: to,
        window: { from, to },
        observed,
        threshold,
        score: scoreOf(detector.severity, observed, threshold),
        requests: who.requests,
        errors: who.errors,
        services: who.services,
        country: who.country || null,
        city: who.city || null,
        asn: who.asn || null,
        asOrganization: who.as_organization || null,
        userAgent: who.user_agent || null,
        referers: who.referers,
        target: what?.target ?? null,
        firstSeen: instantOf(what?.first_seen ?? who.first_seen),
        lastSeen: instantOf(what?.last_seen ?? who.last_seen),
        details,
        parameters: { ...detector.values },
        lastActive: instantOf(who.last_seen),
      },
    ]
  })

const line = (finding: Finding): string =>
  JSON.stringify([
    stampOf(new Date(finding.window.to.getTime() - HOUR_MS)),
    finding.runId,
    finding.address,
    finding.ip,
    finding.detector,
    finding.severity,
    finding.mode satisfies DetectorMode,
    finding.repeated,
    stampOf(finding.window.from),
    stampOf(finding.window.to),
    finding.observed,
    finding.threshold,
    finding.score,
    finding.requests,
    finding.errors,
    finding.services,
    finding.country ?? '',
    finding.city ?? '',
    finding.asn ?? 0,
    finding.asOrganization ?? '',
    finding.userAgent ?? '',
    finding.referers,
    finding.target ?? '',
    preciseStampOf(finding.firstSeen),
    preciseStampOf(finding.lastSeen),
    JSON.stringify(finding.details),
    JSON.stringify(finding.parameters),
  ]).replaceAll(LONE_SURROGATE, '\\ufffd')

/** The store refuses them; JSON.stringify writes them as escapes. */
const LONE_SURROGATE = /\\ud[89a-f][0-9a-f]{2}/g

export const writeFindings = async (
  clickhouse: ClickHouse,
  findings: readonly Finding[],
  { runId, part, signal }: { runId: string; part: string; signal?: AbortSignal | undefined },
): Promise<void> => {
  if (findings.length === 0) return
  const sorted = findings.toSorted((a, b) =>
    a.address < b.address ? -1 : a.address > b.address ? 1 : a.detector < b.detector ? -1 : 1,
  )
  await clickhouse.insert({
    table: 'findings_by_run',
    columns: COLUMNS,
    rows: Buffer.from(sorted.map(line).join('\n')),
    deduplicationToken: `findings:${runId}:${part}`,
    signal,
  })
}
