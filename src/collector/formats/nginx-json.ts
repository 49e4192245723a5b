import { Fault } from '../fault.ts'
import { logTime, requestLine } from './log-values.ts'

/** nginx writes every variable as text, and a missing one as empty or `-`. */
const text = (value: unknown): string | undefined => {
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' && value !== '' && value !== '-' ? value : undefined
}

const number = (value: unknown): number | undefined => {
  const given = text(value)
  return given === undefined || !/^\d+(\.\d+)?$/.test(given) ? undefined : Number(given)
}

const seconds = (value: unknown): number | undefined => {
  const given = number(value)
  return given === undefined ? undefined : given * 1000
}

/** nginx' own variable names → the contract's; what has none stays as it is and becomes an attribute. */
export const nginxRow = (line: string): unknown => {
  let raw: unknown
  try {
    raw = JSON.parse(line)
  } catch (error) {
    return new Fault('', `the line is not JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) return raw
  const {
    remote_addr,
    time_iso8601,
    time_local,
    msec,
    request,
    request_method,
    request_uri,
    uri,
    args,
    server_protocol,
    status,
    body_bytes_sent,
    bytes_sent,
    request_length,
    request_time,
    http_referer,
    http_user_agent,
    http_host,
    host,
    server_name,
    remote_user,
    request_id,
    ...rest
  } = raw as Record<string, unknown>
  const firstLine = text(request)
  const local = text(time_local)
  return {
    ...rest,
    ...(firstLine !== undefined && requestLine(firstLine)),
    ...given({
      ip: text(remote_addr),
      timestamp: text(time_iso8601) ?? (local === undefined ? undefined : logTime(local)) ?? text(msec),
      method: text(request_method),
      path: text(request_uri) ?? text(uri),
      query: text(request_uri) === undefined ? text(args) : undefined,
      protocol: text(server_protocol),
      status: number(status),
      responseBytes: number(body_bytes_sent) ?? number(bytes_sent),
      requestBytes: number(request_length),
      durationMs: seconds(request_time),
      referer: text(http_referer),
      userAgent: text(http_user_agent),
      host: text(http_host) ?? text(host) ?? text(server_name),
      userId: text(remote_user),
      traceId: text(request_id),
    }),
  }
}

const given = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
