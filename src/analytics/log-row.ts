import { ident, join, type Sql, sql } from '../clickhouse/index.ts'
import { shownIp } from './address.ts'
import type { Position } from './cursor.ts'
import type { RequestAction } from './dimensions.ts'

/** A raw request log as it is shown. Absent is null. */
export interface RequestLog {
  position: Position
  timestamp: Date
  ingestedAt: Date
  service: string
  host: string | null
  method: string
  path: string
  route: string | null
  query: string | null
  statusCode: number
  durationMs: number | null
  requestBytes: number | bigint | null
  responseBytes: number | bigint | null
  protocol: string | null
  clientIp: string
  clientAsn: number | null
  clientAsOrganization: string | null
  clientCountry: string | null
  clientCity: string | null
  userId: string | null
  userAgent: string | null
  referer: string | null
  action: RequestAction
  policyId: string | null
  traceId: string | null
  /** Flat: strings, numbers, booleans. */
  attributes: Record<string, unknown> | null
}

export type LogField = Exclude<keyof RequestLog, 'position'>

type Stored = string | number | null

interface Column {
  expression: Sql
  shown: (stored: Stored) => unknown
}

const text = (expression: Sql): Column => ({ expression, shown: (stored) => (stored === '' ? null : stored) })
const whole = (expression: Sql): Column => ({
  expression,
  shown: (stored) => (stored === null ? null : toInteger(stored)),
})

/** 64-bit numbers come as text: exact as a number up to 2^53, as a bigint beyond. */
export const toInteger = (stored: string | number): number | bigint => {
  const number = Number(stored)
  return Number.isSafeInteger(number) ? number : BigInt(stored)
}

/** What each field needs; `timestamp` and `clientIp` come with the position, which is always read. */
const COLUMNS: Record<Exclude<LogField, 'timestamp' | 'clientIp'>, Column> = {
  ingestedAt: { expression: sql`toUnixTimestamp(ingested_at)`, shown: (stored) => new Date(Number(stored) * 1_000) },
  service: text(sql`service`),
  host: text(sql`host`),
  method: text(sql`method`),
  path: text(sql`path`),
  route: text(sql`route`),
  query: text(sql`query`),
  statusCode: whole(sql`status_code`),
  durationMs: { expression: sql`duration_ms`, shown: (stored) => stored },
  requestBytes: whole(sql`request_bytes`),
  responseBytes: whole(sql`response_bytes`),
  protocol: text(sql`protocol`),
  clientAsn: { expression: sql`asn`, shown: (stored) => Number(stored) || null },
  clientAsOrganization: text(sql`as_organization`),
  clientCountry: text(sql`country`),
  clientCity: text(sql`city`),
  userId: text(sql`user_id`),
  userAgent: text(sql`user_agent`),
  referer: text(sql`referer`),
  action: { expression: sql`CAST(action, 'String')`, shown: (stored) => String(stored).toUpperCase() },
  policyId: text(sql`policy_id`),
  traceId: text(sql`trace_id`),
  attributes: { expression: sql`attributes`, shown: (stored) => (stored ? JSON.parse(String(stored)) : null) },
}

export const LOG_FIELDS = ['timestamp', 'clientIp', ...Object.keys(COLUMNS)] as readonly LogField[]

const columnsOf = (fields: ReadonlySet<LogField>) =>
  Object.entries(COLUMNS).filter(([field]) => fields.has(field as LogField))

/** Order by duration needs a place for rows without one: after all others. */
export const STORED_DURATION = sql`ifNull(duration_ms, -1)`

export interface StoredLog {
  key_timestamp: string
  key_ip: string
  key_batch: string
  key_row: number
  key_duration: number
  [field: string]: Stored
}

/** What follows SELECT for these fields. The names must not be those of columns, which ORDER BY would take for them. */
export const logColumns = (fields: ReadonlySet<LogField>): Sql =>
  join([
    sql`toUnixTimestamp64Milli(timestamp) AS key_timestamp`,
    sql`toString(ip) AS key_ip`,
    sql`toString(batch) AS key_batch`,
    sql`row AS key_row`,
    sql`${STORED_DURATION} AS key_duration`,
    ...columnsOf(fields).map(([field, { expression }]) => sql`${expression} AS ${ident(`field_${field}`)}`),
  ])

const positionOfRow = (stored: StoredLog): Position => ({
  timestamp: Number(stored.key_timestamp),
  ip: stored.key_ip,
  batch: BigInt(stored.key_batch),
  row: stored.key_row,
})

/** Fields that were not read are undefined. */
export const logOf = (stored: StoredLog, fields: ReadonlySet<LogField>): RequestLog => ({
  position: positionOfRow(stored),
  timestamp: new Date(Number(stored.key_timestamp)),
  clientIp: shownIp(stored.key_ip),
  ...(Object.fromEntries(
    columnsOf(fields).map(([field, { shown }]) => [field, shown(stored[`field_${field}`]!)]),
  ) as Omit<RequestLog, 'position' | 'timestamp' | 'clientIp'>),
})
