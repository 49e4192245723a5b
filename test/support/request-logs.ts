import type { ClickHouse } from '../../src/clickhouse/index.ts'

/** A row of request_logs as a test gives it; what is left out is absent. */
export interface LogRow {
  timestamp: Date
  ip: string
  batch?: number
  row?: number
  ingestedAt?: Date
  service?: string
  host?: string
  method?: string
  path?: string
  route?: string
  query?: string
  protocol?: string
  status?: number
  durationMs?: number | null
  requestBytes?: number | string | null
  responseBytes?: number | null
  country?: string
  city?: string
  asn?: number
  asOrganization?: string
  userId?: string
  userAgent?: string
  referer?: string
  traceId?: string
  action?: 'allowed' | 'rate_limited' | 'blocked' | 'challenged'
  policyId?: string
  attributes?: Record<string, unknown>
}

const COLUMNS = [
  'timestamp',
  'ingested_at',
  'batch',
  'row',
  'service',
  'host',
  'method',
  'path',
  'route',
  'query',
  'protocol',
  'status_code',
  'duration_ms',
  'request_bytes',
  'response_bytes',
  'ip',
  'country',
  'city',
  'asn',
  'as_organization',
  'user_id',
  'user_agent',
  'referer',
  'trace_id',
  'action',
  'policy_id',
  'attributes',
]

const stamp = (date: Date): string => date.toISOString().replace('T', ' ').slice(0, -1)

const line = (row: LogRow, index: number): string =>
  JSON.stringify([
    stamp(row.timestamp),
    stamp(row.ingestedAt ?? new Date()).slice(0, 19),
    row.batch ?? 1,
    row.row ?? index,
    row.service ?? 'shop',
    row.host ?? '',
    row.method ?? 'GET',
    row.path ?? '/',
    row.route ?? '',
    row.query ?? '',
    row.protocol ?? '',
    row.status ?? 200,
    row.durationMs ?? null,
    row.requestBytes ?? null,
    row.responseBytes ?? null,
    row.ip.includes(':') ? row.ip : `::ffff:${row.ip}`,
    row.country ?? '',
    row.city ?? '',
    row.asn ?? 0,
    row.asOrganization ?? '',
    row.userId ?? '',
    row.userAgent ?? '',
    row.referer ?? '',
    row.traceId ?? '',
    row.action ?? 'allowed',
    row.policyId ?? '',
    row.attributes ? JSON.stringify(row.attributes) : '',
  ])

let batches = 0

/** Inserts rows as the collector's batches are inserted. Rows without a time of arrival arrive now, since retention counts from there. */
export const insertLogs = async (clickhouse: ClickHouse, rows: readonly LogRow[]): Promise<void> => {
  await clickhouse.insert({
    table: 'request_logs',
    columns: COLUMNS,
    rows: Buffer.from(rows.map(line).join('\n')),
    deduplicationToken: `test-${process.pid}-${++batches}`,
  })
}

/** Repeatable numbers from 0 to 1 (mulberry32). */
export const random = (seed: number): (() => number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
