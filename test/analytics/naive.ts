import type { Dimension } from '../../src/analytics/index.ts'
import { type LogRow, random } from '../support/request-logs.ts'

const pick = <T>(from: readonly T[], at: number): T => from[Math.floor(at * from.length)]!

const AGENTS = [
  '',
  'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36 Edg/126.0',
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36',
  'Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15',
  'curl/8.5.0',
  'sqlmap/1.7',
  'something else',
]
/** What a person says these are. */
export const FAMILIES: Record<string, string | null> = {
  '': null,
  [AGENTS[1]!]: 'Googlebot',
  [AGENTS[2]!]: 'Edge',
  [AGENTS[3]!]: 'Chrome',
  [AGENTS[4]!]: 'Safari',
  [AGENTS[5]!]: 'curl',
  [AGENTS[6]!]: 'Scanner',
  [AGENTS[7]!]: 'Other',
}

/** Rows that are the same for the same seed, spread over a time, with absent values of every sort. */
export const makeRows = (count: number, from: Date, to: Date, seed = 1): Required<LogRow>[] => {
  const next = random(seed)
  const maybe = <T>(value: T, absent: T, share = 0.3): T => (next() < share ? absent : value)
  return Array.from({ length: count }, (_, row) => {
    const country = pick(['DE', 'FR', 'US', ''], next())
    const timestamp = new Date(from.getTime() + Math.floor(next() * (to.getTime() - from.getTime())))
    return {
      timestamp,
      ingestedAt: new Date(),
      batch: 7,
      row,
      ip:
        next() < 0.7
          ? `10.${pick([0, 1], next())}.${pick([2, 3], next())}.${Math.floor(next() * 40)}`
          : `2001:db8:0:${pick(['a', 'b'], next())}::${pick(['1', '2', 'ff'], next())}`,
      service: pick(['shop', 'blog', 'api'], next()),
      host: maybe('example.com', ''),
      method: pick(['GET', 'POST', 'HEAD'], next()),
      path: `/p/${Math.floor(next() * 30)}`,
      route: maybe('/p/:id', ''),
      query: '',
      protocol: maybe('HTTP/1.1', ''),
      status: pick([200, 200, 201, 304, 404, 429, 500, 503], next()),
      durationMs: maybe<number | null>(Math.round(next() ** 4 * 500_000) / 100, null),
      requestBytes: maybe<number | null>(Math.floor(next() * 1_000), null),
      responseBytes: maybe<number | null>(Math.floor(next() * 100_000), null),
      country,
      city: country === 'DE' ? 'Köln' : '',
      asn: maybe(pick([64_500, 64_501], next()), 0),
      asOrganization: 'Example',
      userId: maybe(`u${Math.floor(next() * 5)}`, ''),
      userAgent: pick(AGENTS, next()),
      referer: '',
      traceId: '',
      action: pick(['allowed', 'allowed', 'allowed', 'rate_limited', 'blocked', 'challenged'] as const, next()),
      policyId: maybe('default', '', 0.8),
      attributes: {},
    }
  })
}

/** Wall clock of a zone as the platform's own formatter has it. */
const clock = (at: Date, timeZone: string) => {
  const parts = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    hour: '2-digit',
    hourCycle: 'h23',
    weekday: 'short',
  }).formatToParts(at)
  const part = (type: string) => parts.find((one) => one.type === type)!.value
  return {
    hour: Number(part('hour')),
    day: ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'].indexOf(part('weekday')) + 1,
  }
}

/** The dimension of one row, by hand. */
export const dimensionOf = (row: Required<LogRow>, dimension: Dimension, timeZone = 'UTC'): string | number | null => {
  const isV6 = row.ip.includes(':')
  switch (dimension) {
    case 'SERVICE':
      return row.service
    case 'HOST':
      return row.host || null
    case 'METHOD':
      return row.method
    case 'PATH':
      return row.path
    case 'ROUTE':
      return row.route || null
    case 'STATUS_CODE':
      return row.status
    case 'STATUS_CLASS':
      return `${String(row.status)[0]}xx`
    case 'CLIENT_IP':
      return row.ip
    case 'CLIENT_SUBNET':
      return isV6 ? `${row.ip.split('::')[0]}::/64` : `${row.ip.split('.').slice(0, 3).join('.')}.0/24`
    case 'CLIENT_ASN':
      return row.asn || null
    case 'CLIENT_COUNTRY':
      return row.country || null
    case 'CLIENT_CITY':
      return row.city || null
    case 'USER_ID':
      return row.userId || null
    case 'USER_AGENT':
      return row.userAgent || null
    case 'USER_AGENT_FAMILY':
      return FAMILIES[row.userAgent]!
    case 'ACTION':
      return row.action.toUpperCase()
    case 'POLICY_ID':
      return row.policyId || null
    case 'HOUR_OF_DAY':
      return clock(row.timestamp, timeZone).hour
    case 'DAY_OF_WEEK':
      return clock(row.timestamp, timeZone).day
  }
}

const sum = (values: readonly (number | string | null)[]): number =>
  values.reduce<number>((total, value) => total + Number(value ?? 0), 0)
const share = (part: number, of: number): number | null => (of === 0 ? null : part / of)

/** Metrics by hand; quantiles as the two neighbours between which an answer may lie. */
export const measure = (rows: readonly Required<LogRow>[], seconds: number, all: number) => {
  const durations = rows
    .flatMap(({ durationMs }) => (durationMs === null ? [] : [Math.fround(durationMs)]))
    .toSorted((a, b) => a - b)
  const status = (test: (code: number) => boolean) => rows.filter((row) => test(row.status)).length
  const action = (name: string) => rows.filter((row) => row.action === name).length
  const quantile = (level: number) => {
    if (durations.length === 0) return null
    const rank = level * (durations.length - 1)
    return { low: durations[Math.floor(rank)]!, high: durations[Math.ceil(rank)]! }
  }
  return {
    requests: rows.length,
    requestsPerSecond: rows.length / seconds,
    errors: status((code) => code >= 400),
    errorRate: share(
      status((code) => code >= 400),
      rows.length,
    ),
    clientErrorRate: share(
      status((code) => code >= 400 && code < 500),
      rows.length,
    ),
    serverErrorRate: share(
      status((code) => code >= 500),
      rows.length,
    ),
    limited: action('rate_limited'),
    limitedRate: share(action('rate_limited'), rows.length),
    blocked: action('blocked'),
    requestBytes: sum(rows.map((row) => row.requestBytes)),
    responseBytes: sum(rows.map((row) => row.responseBytes)),
    durationMsAvg:
      durations.length === 0 ? null : sum(durations.map((ms) => Math.round(ms * 1_000))) / 1_000 / durations.length,
    durationMsMax: durations.length === 0 ? null : Number(durations.at(-1)!.toPrecision(7)),
    uniqClientIps: new Set(rows.map(({ ip }) => ip)).size,
    uniqPaths: new Set(rows.map(({ path }) => path)).size,
    uniqUserAgents: new Set(rows.map(({ userAgent }) => userAgent).filter(Boolean)).size,
    sharePercent: share(rows.length * 100, all),
    quantile,
  }
}
