import { beforeAll, describe, expect, it } from 'vitest'

import { type BacktestPolicy, createAnalytics } from '../../src/analytics/index.ts'
import { backtestRateLimit } from '../../src/analytics/rate-limit-backtest.ts'
import { createRunner } from '../../src/analytics/run.ts'
import { sql } from '../../src/clickhouse/index.ts'
import { patternToRegExp, serviceToRegExp } from '../../src/ratelimit/index.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { insertLogs, type LogRow, random } from '../support/request-logs.ts'

const database = testDatabase()
const asker = { services: null, comment: 'test' }
const FROM = Date.parse('2026-05-01')
const HOUR = 3_600_000
const timeRange = { from: new Date(FROM), to: new Date(FROM + HOUR) }

const next = random(11)
const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)]!

/** Bursts and lone requests of a few clients; some of them users, some of one IPv6 line, some denied already. */
const ROWS: LogRow[] = Array.from({ length: 400 }, () => {
  const client = pick([
    { ip: '203.0.113.1' },
    { ip: '203.0.113.2' },
    { ip: '203.0.113.2', userId: 'ada' },
    { ip: '203.0.113.3', userId: 'ada' },
    { ip: '203.0.113.3', userId: 'bob' },
    { ip: '2001:db8:0:1::1' },
    { ip: '2001:db8:0:1:ffff::2' },
    { ip: '2001:db8:0:2::1' },
  ])
  const start = Math.floor(next() * (HOUR + 60_000))
  return Array.from({ length: pick([1, 1, 2, 7, 15]) }, (_, index) => ({
    ...client,
    timestamp: new Date(FROM + start + Math.floor(index * next() * 20_000)),
    service: pick(['shop', 'shop-eu', 'blog']),
    path: pick(['/login', '/login/', '/%6Cogin', '/users/1', '/users/2']),
    method: pick(['GET', 'POST']),
    action: pick(['allowed', 'allowed', 'allowed', 'rate_limited', 'blocked'] as const),
  }))
}).flat()

beforeAll(() =>
  insertLogs(
    database.clickhouse,
    ROWS.map((row, index) => ({ ...row, row: index })),
  ),
)

const POLICY: BacktestPolicy = {
  servicePattern: serviceToRegExp('*'),
  pathPattern: patternToRegExp('/*'),
  methods: [],
  key: 'IP',
  limit: 5,
  authenticatedLimit: null,
  windowSeconds: 60,
  algorithm: 'FIXED_WINDOW',
  blockSeconds: 0,
}

const network = (ip: string): string =>
  ip.includes(':') ? `${ip.split('::')[0]!.split(':').slice(0, 4).join(':')}::/64` : ip

/** Who a request counts for, and by which limit. */
const clientOf = (row: LogRow, policy: BacktestPolicy): { client: string; limit: number } => {
  const known = (row.userId ?? '') !== ''
  const limit = known ? (policy.authenticatedLimit ?? policy.limit) : policy.limit
  const isUser = known && (policy.key === 'USER' || (policy.key === 'IP' && policy.authenticatedLimit !== null))
  if (isUser) return { client: `user:${row.userId}`, limit }
  return { client: network(row.ip) + (policy.key === 'IP_AND_PATH' ? ` ${row.path}` : ''), limit }
}

/** The plainest reading of what a limit is: every request looks at all that came before it. */
const naive = (policy: BacktestPolicy) => {
  const windowMs = policy.windowSeconds * 1000
  const blockMs = policy.blockSeconds * 1000
  const considered = ROWS.filter(
    (row) =>
      row.timestamp.getTime() < FROM + HOUR &&
      row.action !== 'blocked' &&
      new RegExp(policy.servicePattern).test(row.service!) &&
      new RegExp(policy.pathPattern).test(decodeURIComponent(row.path!)) &&
      (policy.methods.length === 0 || policy.methods.includes(row.method!)),
  ).toSorted((a, b) => a.timestamp.getTime() - b.timestamp.getTime())
  const groups = Map.groupBy(considered, (row) => {
    const { client, limit } = clientOf(row, policy)
    return `${limit} ${client}`
  })
  const clients = [...groups].map(([key, rows]) => {
    const [limit, client] = [Number(key.split(' ')[0]), key.slice(key.indexOf(' ') + 1)]
    const times = rows.map(({ timestamp }) => timestamp.getTime())
    const passed: number[] = []
    let [wouldLimit, denyUntil, windowStart, inWindow] = [0, -1, -1, 0]
    for (const at of times) {
      let isOver: boolean
      if (at < denyUntil) isOver = true
      else if (policy.algorithm === 'SLIDING_WINDOW') {
        isOver = passed.filter((before) => before > at - windowMs).length >= limit
        if (isOver && blockMs > 0) denyUntil = at + blockMs
      } else {
        // A block that has ended leaves a new window behind.
        if (windowStart < 0 || at >= windowStart + windowMs || (denyUntil >= 0 && at >= denyUntil)) {
          windowStart = at
          inWindow = 0
          denyUntil = -1
        }
        inWindow++
        isOver = inWindow > limit
        if (isOver && blockMs > 0) denyUntil = at + blockMs
      }
      if (isOver) wouldLimit++
      else passed.push(at)
    }
    const peak = Math.max(...times.map((at) => times.filter((other) => other >= at && other < at + windowMs).length))
    return { client, requests: times.length, wouldLimit, peak }
  })
  const inWindows = Object.values(
    Object.groupBy(considered, (row) => {
      const { client, limit } = clientOf(row, policy)
      return `${limit} ${client} ${Math.floor((row.timestamp.getTime() - FROM) / windowMs)}`
    }),
  )
    .map((rows) => rows!.length)
    .toSorted((a, b) => a - b)
  const quantile = (level: number) => inWindows[Math.ceil(level * inWindows.length) - 1] ?? null
  const limited = clients.filter(({ wouldLimit }) => wouldLimit > 0)
  return {
    evaluated: considered.length,
    wouldLimit: limited.reduce((sum, { wouldLimit }) => sum + wouldLimit, 0),
    wouldLimitClients: limited.length,
    clientRatePercentiles: {
      p50: quantile(0.5),
      p75: quantile(0.75),
      p90: quantile(0.9),
      p95: quantile(0.95),
      p99: quantile(0.99),
      p999: quantile(0.999),
      max: inWindows.at(-1) ?? null,
    },
    topClients: limited
      .toSorted((a, b) => b.wouldLimit - a.wouldLimit || b.requests - a.requests || (a.client < b.client ? -1 : 1))
      .slice(0, 50),
  }
}

const backtest = async (
  policy: Partial<BacktestPolicy>,
  range = timeRange,
  who: { services: readonly string[] | null; comment: string } = asker,
) => {
  const analytics = createAnalytics({ clickhouse: database.clickhouse })
  const {
    spent: _,
    range: __,
    ...found
  } = await analytics.backtestRateLimit({ policy: { ...POLICY, ...policy }, timeRange: range }, who)
  return found
}

describe('a backtest says for each request what the limit would have done', () => {
  const numbers = [
    { limit: 1, windowSeconds: 1 },
    { limit: 5, windowSeconds: 60 },
    { limit: 20, windowSeconds: 300 },
    { limit: 3, windowSeconds: 3600 },
  ]
  const blocks = [0, 10, 600]
  const algorithms = ['FIXED_WINDOW', 'SLIDING_WINDOW'] as const
  const cases = algorithms.flatMap((algorithm) =>
    numbers.flatMap((each) => blocks.map((blockSeconds) => ({ algorithm, ...each, blockSeconds }))),
  )
  it.each(cases)('$algorithm, $limit in $windowSeconds s, blocked for $blockSeconds s', async (policy) => {
    const found = await backtest(policy)
    expect(found).toEqual(naive({ ...POLICY, ...policy }))
    expect(found.wouldLimit).toBeGreaterThan(0)
  })

  it.each([
    { key: 'USER' },
    { key: 'USER', authenticatedLimit: 2 },
    { key: 'IP', authenticatedLimit: 12 },
    { key: 'IP_AND_PATH', limit: 2 },
    { key: 'IP_AND_PATH', limit: 2, authenticatedLimit: 4 },
  ] as const)('by $key with $authenticatedLimit for known users', async (policy) => {
    const found = await backtest(policy)
    expect(found).toEqual(naive({ ...POLICY, ...policy }))
    expect(found.topClients.some(({ client }) => client.startsWith('user:'))).toBe(
      policy.key === 'USER' || policy.key === 'IP',
    )
  })

  it('for the requests that its service, path and methods mean', async () => {
    const policy = {
      limit: 2,
      servicePattern: serviceToRegExp('shop*'),
      pathPattern: patternToRegExp('/login'),
      methods: ['POST'],
    }
    const found = await backtest(policy)
    expect(found).toEqual(naive({ ...POLICY, ...policy }))
    // A slash at the end and percent sequences walk round nothing.
    const logins = ROWS.filter(({ path, timestamp }) => path!.includes('ogin') && +timestamp < FROM + HOUR)
    const fit = logins.filter(
      ({ service, method, action }) => service !== 'blog' && method === 'POST' && action !== 'blocked',
    )
    expect(found.evaluated).toBe(fit.length)
  })
})

it('counts an IPv6 line as one client and shows clients as policies count them', async () => {
  const { topClients } = await backtest({ limit: 1 })
  expect(topClients.map(({ client }) => client).toSorted()).toEqual([
    '2001:db8:0:1::/64',
    '2001:db8:0:2::/64',
    '203.0.113.1',
    '203.0.113.2',
    '203.0.113.3',
  ])
})

it('is empty where there are no requests, and where no client goes over', async () => {
  const nobody = { wouldLimit: 0, wouldLimitClients: 0, topClients: [] }
  expect(await backtest({ limit: 1_000_000 })).toMatchObject({ ...nobody, evaluated: naive(POLICY).evaluated })
  const before = { from: new Date(FROM - HOUR), to: new Date(FROM) }
  const nothing = { p50: null, p75: null, p90: null, p95: null, p99: null, p999: null, max: null }
  expect(await backtest({}, before)).toEqual({ ...nobody, evaluated: 0, clientRatePercentiles: nothing })
})

it('says the same whether clients are taken all at once or in shares', async () => {
  const run = createRunner(database.clickhouse, () => crypto.randomUUID())(asker)
  const policy = { ...POLICY, key: 'USER' as const, authenticatedLimit: 3 }
  const { range: _, ...found } = await backtestRateLimit({ policy, timeRange }, asker, run, FROM + HOUR, 100)
  expect(found).toEqual(naive(policy))
  // One to count, then two for each share.
  expect(run.spent.statements.length).toBe(1 + 2 * Math.ceil(Number(found.evaluated) / 100))
})

it('sees the services of its asker alone', async () => {
  const { evaluated } = await backtest({}, timeRange, { services: ['blog'], comment: 'test' })
  expect(evaluated).toBe((await backtest({ servicePattern: serviceToRegExp('blog') })).evaluated)
  expect(evaluated).toBeGreaterThan(0)
})

it('is refused for API keys, which the log does not hold', async () => {
  await expect(backtest({ key: 'API_KEY' })).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    argument: 'policy.key',
    message: expect.stringContaining('allowed here are IP, USER and IP_AND_PATH'),
  })
})

it('takes a client of a million requests among two million by seconds', async () => {
  const from = Date.parse('2026-06-01')
  await database.clickhouse.command(
    sql`INSERT INTO request_logs (timestamp, ingested_at, batch, row, service, method, path, status_code, ip) SELECT toDateTime64('2026-06-01 00:00:00', 3, 'UTC') + intDiv(number, 2) * 0.05, now(), 1, number, 'shop', 'GET', '/', 200, toIPv6(if(number % 2 = 0, '198.51.100.1', concat('10.0.', toString(intDiv(number, 512) % 200), '.', toString(number % 256)))) FROM numbers(2000000)`,
  )
  const range = { from: new Date(from), to: new Date(from + 86_400_000) }
  const found = await backtest({ limit: 600, windowSeconds: 60 }, range)
  // 20 a second: 1,200 a minute, of which 600 pass.
  expect(found).toMatchObject({
    evaluated: 2_000_000,
    wouldLimitClients: 1,
    topClients: [{ client: '198.51.100.1', requests: 1_000_000, peak: 1200 }],
  })
  expect(found.wouldLimit).toBe(1_000_000 - Math.floor(1_000_000 / 1200) * 600 - Math.min(600, 1_000_000 % 1200))
})
