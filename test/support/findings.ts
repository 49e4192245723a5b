import { type ClickHouse, param, sql } from '../../src/clickhouse/index.ts'

/** A finding as a test gives it; what is left out is that of an hourly detector with one hit at its threshold. */
export interface FindingRow {
  /** The hour that was closed. */
  hour: Date
  /** IPv4, or the first address of a /64. */
  address: string
  ip?: string
  detector?: string
  severity?: 'LOW' | 'MEDIUM' | 'HIGH' | 'CRITICAL'
  mode?: 'REPORT_ONLY' | 'FLAG' | 'FLAG_AND_BLOCK'
  windowFrom?: Date
  observed?: number
  threshold?: number
  score?: number
  requests?: number
  errors?: number
  services?: string[]
  country?: string
  city?: string
  asn?: number
  asOrganization?: string
  userAgent?: string
  referers?: string[]
  target?: string
  firstSeen?: Date
  lastSeen?: Date
  details?: Record<string, unknown>
  parameters?: Record<string, unknown>
}

const HOUR = 3_600_000
const stored = (address: string): string => (address.includes(':') ? address : `::ffff:${address}`)
const second = (date: Date): string => date.toISOString().slice(0, 19).replace('T', ' ')
const millisecond = (date: Date): string => date.toISOString().slice(0, 23).replace('T', ' ')

const COLUMNS =
  'hour run_id address ip detector severity mode repeated window_from window_to observed threshold score requests errors services country city asn as_organization user_agent referers target first_seen last_seen details parameters'.split(
    ' ',
  )

/** Makes a run of the hourly job the one that counts. */
export const noteRun = async (clickhouse: ClickHouse, hour: Date, runId: number): Promise<void> => {
  const at = Math.floor(hour.getTime() / 1_000)
  await clickhouse.command(
    sql`INSERT INTO job_runs (job, window_from, window_to, run_id, status, finished_at, recorded_at) SELECT 'hourly', ${param("DateTime('UTC')", at)}, ${param("DateTime('UTC')", at + 3_600)}, ${param('UInt64', runId)}, 'succeeded', now64(3), now64(6)`,
  )
}

/** Findings as a run of the hourly job leaves them; the run counts, and those of earlier runs of its hours no longer do. */
export const insertFindings = async (
  clickhouse: ClickHouse,
  findings: readonly FindingRow[],
  { runId = 1 } = {},
): Promise<void> => {
  const lines = findings.map((finding) => {
    const to = new Date(finding.hour.getTime() + HOUR)
    return JSON.stringify([
      second(finding.hour),
      runId,
      stored(finding.address),
      stored(finding.ip ?? finding.address),
      finding.detector ?? 'not_found_probing',
      finding.severity ?? 'MEDIUM',
      finding.mode ?? 'FLAG',
      false,
      second(finding.windowFrom ?? finding.hour),
      second(to),
      finding.observed ?? 11,
      finding.threshold ?? 11,
      finding.score ?? 35,
      finding.requests ?? 20,
      finding.errors ?? 10,
      finding.services ?? ['shop'],
      finding.country ?? '',
      finding.city ?? '',
      finding.asn ?? 0,
      finding.asOrganization ?? '',
      finding.userAgent ?? '',
      finding.referers ?? [],
      finding.target ?? '',
      millisecond(finding.firstSeen ?? finding.hour),
      millisecond(finding.lastSeen ?? new Date(to.getTime() - 1_000)),
      JSON.stringify(finding.details ?? {}),
      JSON.stringify(finding.parameters ?? {}),
    ])
  })
  await clickhouse.insert({
    table: 'findings_by_run',
    columns: COLUMNS,
    rows: Buffer.from(lines.join('\n')),
    deduplicationToken: `test findings ${runId} ${Math.random()}`,
  })
  for (const hour of new Set(findings.map(({ hour }) => hour.getTime())))
    await noteRun(clickhouse, new Date(hour), runId)
}
