/** The contract's fields, in the order of their slots in `validate.ts`. */
export const FIELDS = [
  'timestamp',
  'ip',
  'method',
  'path',
  'status',
  'service',
  'host',
  'route',
  'query',
  'protocol',
  'userAgent',
  'referer',
  'userId',
  'traceId',
  'durationMs',
  'requestBytes',
  'responseBytes',
  'action',
  'policyId',
  'attributes',
] as const
export type Field = (typeof FIELDS)[number]

/** Other names of the same: the original's, OpenTelemetry's and what shippers commonly send. */
const ALIASES: Partial<Record<Field, readonly string[]>> = {
  timestamp: ['time', '@timestamp'],
  ip: ['ipAddress', 'clientIp', 'remoteAddr', 'client.address'],
  method: ['requestMethod', 'http.request.method'],
  path: ['requestPath', 'url.path'],
  status: ['statusCode', 'responseStatus', 'http.response.status_code'],
  host: ['server.address'],
  route: ['http.route'],
  query: ['queryString', 'url.query'],
  userAgent: ['user_agent.original'],
  referer: ['referrer'],
  durationMs: ['responseTimeMs'],
}

const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** Every name that is read, with the slot it fills. All other names go into `attributes`. */
export const SLOTS: ReadonlyMap<string, number> = new Map(
  FIELDS.flatMap((field, slot) =>
    [field, ...(ALIASES[field] ?? [])].flatMap((name) => [name, snakeCase(name)].map((each) => [each, slot] as const)),
  ),
)
