import { formatTimestamp } from './timestamp.ts'
import type { RequestLog } from './request-log.ts'

// oxlint-disable-next-line no-control-regex -- control characters are just what JSON must escape
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/

/** A JSON string that ClickHouse takes: one lone surrogate would refuse the whole batch. */
export const quote = (text: string): string => {
  if (text === '') return '""'
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text.toWellFormed())
}

/** Values that come again and again: services, hosts, user agents, referers. */
const MOST_REMEMBERED = 20_000
const LONGEST_REMEMBERED = 512
const remembered = new Map<string, string>()

const quoteAgain = (text: string): string => {
  if (text === '') return '""'
  const known = remembered.get(text)
  if (known !== undefined) return known
  const quoted = quote(text)
  if (text.length <= LONGEST_REMEMBERED) {
    if (remembered.size >= MOST_REMEMBERED) remembered.clear()
    remembered.set(text, quoted)
  }
  return quoted
}

/** One row of JSONCompactEachRow with its newline, in the order of REQUEST_LOGS.columns. */
export const encodeRow = (log: RequestLog, ingestedAt: string, batch: string, row: number): string =>
  `["${formatTimestamp(log.timestamp)}","${ingestedAt}",${batch},${row},${log.located},${quoteAgain(log.service)},${quoteAgain(log.host)},${quoteAgain(log.method)},${quote(log.path)},${quoteAgain(log.route)},${quote(log.query)},${quoteAgain(log.protocol)},${log.status},${log.durationMs},${log.requestBytes},${log.responseBytes},${quote(log.userId)},${quoteAgain(log.userAgent)},${quoteAgain(log.referer)},${quote(log.traceId)},"${log.action}",${quoteAgain(log.policyId)},${log.attributes === '' ? '""' : JSON.stringify(log.attributes)}]\n`
