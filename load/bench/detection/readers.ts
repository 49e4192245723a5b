import { isIP } from 'node:net'

import { Fault } from '../../../src/collector/fault.ts'
import { accessLog } from '../../../src/collector/formats/access-log.ts'
import { logTime, requestLine } from '../../../src/collector/formats/log-values.ts'
import { validate } from '../../../src/collector/validate.ts'
import type { LogRow } from '../../../test/support/request-logs.ts'

const checked = (raw: unknown): LogRow | undefined => {
  const log = validate(raw, {
    locate: (ip) => (isIP(ip) === 0 ? undefined : ip),
    mask: (query) => query,
    now: Date.now(),
    principal: { services: null },
  })
  if (log instanceof Fault) return undefined
  const { located, timestamp, attributes: _, action: __, ...rest } = log
  return { ...rest, ip: located, timestamp: new Date(timestamp) }
}

/** Lines of the formats that the collector itself knows (common, combined, nginx JSON), by its own parser and checks. */
export const collectorRow = (line: string): LogRow | undefined => {
  for (const rows of accessLog.rows(Buffer.from(line))) return checked(rows[0])
  return undefined
}

/** `192.0.2.1:4711`, `[2001:db8::1]:4711`, an address alone, or the client of a chain of proxies: it comes first. */
const bareAddress = (text: unknown): string => {
  const first = String(text).split(',')[0]!
  const [, v6, v4] = /^(?:\[([^\]]+)\](?::\d+)?|([\d.]+):\d+)$/.exec(first) ?? []
  return v6 ?? v4 ?? first
}

const given = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' && value !== '-' ? value : undefined

/** The JSON object in a line that may have something in front of it. */
const jsonIn = (line: string): Record<string, any> | undefined => {
  const start = line.indexOf('{')
  if (start < 0) return undefined
  try {
    return JSON.parse(line.slice(start)) as Record<string, any>
  } catch {
    return undefined
  }
}

const traefik = (line: string): LogRow | undefined => {
  const log = jsonIn(line)
  return (
    log &&
    checked({
      ip: bareAddress(log['ClientHost']),
      timestamp: log['StartUTC'] ?? log['time'],
      method: log['RequestMethod'],
      path: log['RequestPath'],
      protocol: given(log['RequestProtocol']),
      status: log['DownstreamStatus'],
      host: given(log['RequestHost']),
      referer: given(log['request_Referer']),
      userAgent: given(log['request_User-Agent']),
      responseBytes: log['DownstreamContentSize'],
    })
  )
}

const caddy = (line: string): LogRow | undefined => {
  const log = jsonIn(line)
  const request = log?.['request'] as Record<string, any> | undefined
  if (!log || !request) return undefined
  const header = (name: string) => given(request['headers']?.[name]?.[0])
  return checked({
    ip: request['client_ip'] ?? request['remote_ip'],
    timestamp: log['ts'],
    method: request['method'],
    path: request['uri'],
    protocol: request['proto'],
    // Caddy writes 0 where nothing was answered.
    status: log['status'] || 499,
    host: request['host'],
    referer: header('Referer'),
    userAgent: header('User-Agent'),
    responseBytes: log['size'],
  })
}

const fastly = (line: string): LogRow | undefined => {
  const log = jsonIn(line)
  return (
    log &&
    checked({
      ip: log['client_ip'],
      timestamp: String(log['timestamp']).replace(/([+-]\d{2})(\d{2})$/, '$1:$2'),
      method: log['request_method'],
      path: log['url'],
      protocol: log['request_protocol'],
      status: log['response_status'],
      host: log['host'],
      referer: given(log['request_referer']),
      userAgent: given(log['request_user_agent']),
    })
  )
}

const envoyText = /^\[([^\]]+)\] "([^"]*)" (\d{3}) \S+ \d+ \d+ \d+ \S+ "([^"]*)" "([^"]*)"/

/** Containers' lines: Envoy by JSON or text, or nginx. */
const container = (line: string): LogRow | undefined => {
  const bare = line.replace(/^\S+ (?:stdout|stderr) [FP] /, '')
  const [, time, request, status, ip, userAgent] = envoyText.exec(bare) ?? []
  if (request !== undefined)
    return checked({ ip: bareAddress(ip), timestamp: time, ...requestLine(request), status: Number(status), userAgent })
  const log = jsonIn(bare)
  if (!log) return collectorRow(bare)
  return checked({
    ip: bareAddress(log['downstream_remote_address']),
    timestamp: log['start_time'],
    method: log['method'],
    path: log['x-envoy-origin-path'],
    protocol: given(log['protocol']),
    status: log['response_code'],
    host: given(log[':authority']),
    userAgent: given(log['user-agent']),
  })
}

const alb = (line: string): LogRow | undefined => {
  const [, time, ip, status, request, userAgent] =
    /^\S+ (\S+) \S+ (\S+) \S+ \S+ \S+ \S+ (\d{3}) \S+ \S+ \S+ "([^"]*)" "([^"]*)"/.exec(line) ?? []
  if (request === undefined) return undefined
  const { path, ...rest } = requestLine(request)
  // The balancer writes whole URLs, with its own port, for what came as a path.
  const url = URL.canParse(path) ? new URL(path) : undefined
  return checked({
    ip: bareAddress(ip),
    timestamp: time,
    ...rest,
    path: url ? path.slice(url.origin.length).replace(/^[^/]*/, '') || '/' : path,
    host: url?.hostname,
    status: Number(status),
    userAgent: given(userAgent),
  })
}

const cloudfront = (line: string): LogRow | undefined => {
  const fields = line.split('\t')
  const [day, clock, , bytes, ip, method, host, path, status, referer, userAgent, query] = fields
  return checked({
    ip,
    timestamp: `${day}T${clock}Z`,
    method,
    path,
    query: given(query),
    status: Number(status),
    host,
    responseBytes: Number(bytes),
    referer: given(referer),
    userAgent: given(userAgent) && decodeURIComponent(userAgent!),
  })
}

const haproxy = (line: string): LogRow | undefined => {
  const [, ip, time, status, bytes, request] =
    /(\S+) \[([^\]]+)\] \S+ \S+ [\d/+-]+ (\d{3}) (\d+) .*"([^"]*)"$/.exec(line) ?? []
  if (request === undefined) return undefined
  return checked({
    ip: bareAddress(ip),
    timestamp: logTime(`${time} +0000`),
    ...requestLine(request),
    status: Number(status),
    responseBytes: Number(bytes),
  })
}

/** `host address - request-id user [time] …`: combined but for the id. */
const bunkerweb = (line: string): LogRow | undefined => collectorRow(line.replace(/^(\S+ \S+ -) \S+ (\S+ \[)/, '$1 $2'))

const zoraxy = (line: string): LogRow | undefined => {
  const [, time, ip, userAgent, method, path, status] =
    /\[(\d{4}-\d\d-\d\d [\d:.]+)\].*\[client: ([^\]]+)\] \[useragent: ([^\]]*)\] (\S+) (\S+) (\d{3})$/.exec(line) ?? []
  return checked({
    ip,
    timestamp: time && `${time.replace(' ', 'T')}Z`,
    userAgent,
    method,
    path,
    status: Number(status),
  })
}

const upsun = (line: string): LogRow | undefined =>
  collectorRow(String(jsonIn(line)?.['message']).replace(/^\S+ nginx: /, ''))

/** What a syslog daemon writes in front of a line. */
const SYSLOG = /^[A-Z][a-z]{2} [ \d]\d [\d:]{8} \S+ [\w/.-]+(?:\[\d+\])?: /

/** Nginx Proxy Manager's own layouts. */
const proxyManager = (line: string): LogRow | undefined => {
  const [, time, host, ip, request, status, bytes, userAgent] =
    /^\[([^\]]+)\] (\S+) (\S+) [\d.]+ "(.*)" (\d{3}) (\d+) \d+ \S+ (.+)$/.exec(line) ?? []
  if (request !== undefined)
    return collectorRow(`${host} ${ip} - - [${time}] "${request}" ${status} ${bytes} "-" "${userAgent}"`)
  const [, when, code, method, site, path, client, agent, referer] =
    /^\[([^\]]+)\] (?:- )?(?:\d{3} )?(\d{3}) (?:- )?(\S+) \w+ (\S+) "([^"]*)" \[Client ([^\]]+)\].* "([^"]*)" "([^"]*)"$/.exec(
      line,
    ) ?? []
  return path === undefined
    ? undefined
    : collectorRow(`${site} ${client} - - [${when}] "${method} ${path}" ${code} 0 "${referer}" "${agent}"`)
}

const READERS: Readonly<Record<string, (line: string) => LogRow | undefined>> = {
  traefik,
  caddy,
  syslog: fastly,
  containerd: container,
  'aws-alb': alb,
  'aws-cloudfront': cloudfront,
  haproxy,
  bunkerweb,
  zoraxy,
  'upsun-httplog': upsun,
}

/** One line of a scenario test, by the collector's own parser wherever it knows the format. Undefined: no request, such as a line of an error log. */
export const readLine = (line: string, logType: string): LogRow | undefined => {
  const reader = READERS[logType]
  if (reader) return reader(line)
  const bare = line.replace(SYSLOG, '')
  return collectorRow(bare) ?? proxyManager(bare)
}
