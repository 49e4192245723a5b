import type { RequestLog } from './request-log.ts'
import { formatTimestamp } from './timestamp.ts'

/** A JSON string that ClickHouse takes: one lone surrogate would refuse the whole batch. */
export const quote = (text: string): string => JSON.stringify(text.toWellFormed())

/** Whether rows read from it may hold lone surrogates: UTF-8 has none, so only JSON's escapes bring them. */
export const mayBeIllFormed = (body: Buffer): boolean =>
  body.includes(String.raw`\ud`) || body.includes(String.raw`\uD`)

const wellFormed = (value: string | number | null): string | number | null =>
  typeof value === 'string' ? value.toWellFormed() : value

export interface Batch {
  id: string
  /** `YYYY-MM-DD hh:mm:ss`, UTC. */
  ingestedAt: string
  illFormed: boolean
}

/**
 * One row of JSONCompactEachRow with its newline, in the order of REQUEST_LOGS.columns. One JSON.stringify for all that
 * varies: 1.4 µs a row where quoting each string by itself took 1.9.
 */
export const encodeRow = (log: RequestLog, { id, ingestedAt, illFormed }: Batch, row: number): string => {
  const values = [
    log.service,
    log.host,
    log.method,
    log.path,
    log.route,
    log.query,
    log.protocol,
    log.status,
    log.durationMs,
    log.requestBytes,
    log.responseBytes,
    log.userId,
    log.userAgent,
    log.referer,
    log.traceId,
    log.action,
    log.policyId,
    log.attributes,
  ]
  const rest = JSON.stringify(illFormed ? values.map(wellFormed) : values)
  return `["${formatTimestamp(log.timestamp)}","${ingestedAt}",${id},${row},${log.located},${rest.slice(1)}\n`
}
