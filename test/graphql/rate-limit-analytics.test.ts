import { beforeAll, describe, expect, it } from 'vitest'

import { testDatabase } from '../support/clickhouse.ts'
import { insertDecisions } from '../support/decisions.ts'
import { insertLogs } from '../support/request-logs.ts'
import { testGraphql } from './support.ts'

const database = testDatabase()
const api = testGraphql(database)
const FROM = Date.parse('2026-05-01')
const RANGE = 'timeRange: { from: "2026-05-01", to: "2026-05-02" }'
const at = (seconds: number): Date => new Date(FROM + seconds * 1000)

beforeAll(async () => {
  await insertDecisions(
    database.clickhouse,
    [
      { timestamp: at(10), outcome: 'allowed' as const, count: 90 },
      { timestamp: at(4000), outcome: 'limited' as const, ip: '203.0.113.7', count: 6 },
      { timestamp: at(4100), outcome: 'limited' as const, ip: '203.0.113.7', count: 2 },
      { timestamp: at(4200), outcome: 'allowed' as const, ip: '203.0.113.7', count: 2 },
      {
        timestamp: at(4300),
        outcome: 'shadow_limited' as const,
        policyId: 'trial',
        service: 'blog',
        ip: '203.0.113.8',
      },
    ].map((row, index) => ({ ...row, row: index })),
  )
  await insertLogs(
    database.clickhouse,
    Array.from({ length: 120 }, (_, row) => ({
      row,
      timestamp: at(4000 - 60 + row),
      ip: row % 2 ? '203.0.113.7' : `203.0.113.${row}`,
      userId: row % 4 === 1 ? 'ada' : '',
      service: row % 10 === 0 ? 'blog' : 'shop',
      status: row < 60 && row % 3 === 0 ? 503 : 200,
    })),
  )
})

describe('rateLimitEffectiveness', () => {
  it('has a flat row for each policy and service, and totals that are not their sum', async () => {
    const { json } = await api.ask(
      `{ rateLimitEffectiveness(${RANGE}) { rows { policyId service evaluated allowed limited shadowLimited blocked limitedRate uniqLimitedClients repeatOffenders passedAfterLimit serverErrorRateBefore serverErrorRateAfter } totals { policyId evaluated uniqLimitedClients } meta { truncated cost } } }`,
    )
    expect(json.data.rateLimitEffectiveness).toEqual({
      rows: [
        {
          policyId: 'default',
          service: 'shop',
          evaluated: 100,
          allowed: 92,
          limited: 8,
          shadowLimited: 0,
          blocked: 0,
          limitedRate: 0.08,
          uniqLimitedClients: 1,
          repeatOffenders: 1,
          passedAfterLimit: 2,
          serverErrorRateBefore: 18 / 54,
          serverErrorRateAfter: 0,
        },
        {
          policyId: 'trial',
          service: 'blog',
          evaluated: 1,
          allowed: 1,
          limited: 0,
          shadowLimited: 1,
          blocked: 0,
          limitedRate: 0,
          uniqLimitedClients: 1,
          repeatOffenders: 0,
          passedAfterLimit: 0,
          serverErrorRateBefore: null,
          serverErrorRateAfter: null,
        },
      ],
      totals: { policyId: null, evaluated: 101, uniqLimitedClients: 2 },
      meta: { truncated: false, cost: 40 },
    })
  })

  it('comes as CSV, bucket by bucket', async () => {
    const { text } = await api.ask(
      `{ rateLimitEffectiveness(${RANGE}, policyIds: ["default"], services: ["shop"], bucket: { granularity: HOUR, timezone: "Europe/Paris", fillGaps: false }) { rows { bucketStart bucketLocal policyId service evaluated limited } } }`,
      { format: 'csv' },
    )
    expect(text.split('\r\n')).toEqual([
      'bucketStart,bucketLocal,policyId,service,evaluated,limited',
      '2026-05-01T00:00:00.000Z,2026-05-01T02:00:00+02:00,default,shop,90,0',
      '2026-05-01T01:00:00.000Z,2026-05-01T03:00:00+02:00,default,shop,10,8',
    ])
  })

  it('shows a key that is bound to services those alone', async () => {
    const secret = await api.key(['SECURITY_READ'], ['blog'])
    const { json } = await api.ask(`{ rateLimitEffectiveness(${RANGE}) { rows { service } totals { evaluated } } }`, {
      secret,
    })
    expect(json.data.rateLimitEffectiveness).toEqual({ rows: [{ service: 'blog' }], totals: { evaluated: 1 } })
  })
})

const backtest = (policy: string, options = {}) =>
  api.ask(
    `{ backtestRateLimit(policy: ${policy}, ${RANGE}) { evaluated wouldLimit wouldLimitClients clientRatePercentiles topClients { client requests wouldLimit peak } } }`,
    options,
  )

describe('backtestRateLimit', () => {
  it('says what a policy would have done, without a name for it', async () => {
    const { json } = await backtest('{ limit: 20, windowSeconds: 60 }')
    expect(json.data.backtestRateLimit).toEqual({
      evaluated: 120,
      wouldLimit: 20,
      wouldLimitClients: 1,
      clientRatePercentiles: { p50: 1, p75: 1, p90: 1, p95: 1, p99: 30, p999: 30, max: 30 },
      topClients: [{ client: '203.0.113.7', requests: 60, wouldLimit: 20, peak: 30 }],
    })
  })

  it('takes service, path, methods, key and authenticatedLimit as policies do', async () => {
    const { json } = await backtest(
      '{ limit: 100, authenticatedLimit: 10, windowSeconds: 3600, key: USER, service: "sh*", pathPattern: "/*", methods: ["get"], algorithm: SLIDING_WINDOW }',
    )
    expect(json.data.backtestRateLimit.topClients).toEqual([
      { client: 'user:ada', requests: 30, wouldLimit: 20, peak: 30 },
    ])
  })

  it('tries a stored policy by its id, with what is named changed', async () => {
    // The built-in policy lets five a minute pass, ten of a user.
    const asItIs = (await backtest('{ id: "default" }')).json.data.backtestRateLimit
    const looser = (await backtest('{ id: "default", limit: 25 }')).json.data.backtestRateLimit
    expect(asItIs.wouldLimit).toBeGreaterThan(looser.wouldLimit)
    expect(looser.topClients.map(({ client }: { client: string }) => client)).toEqual(['user:ada'])
  })

  it('shows the requests of a bound key alone', async () => {
    const secret = await api.key(['SECURITY_READ'], ['blog'])
    expect((await backtest('{ limit: 1, windowSeconds: 60 }', { secret })).json.data.backtestRateLimit.evaluated).toBe(
      12,
    )
  })

  it('comes as CSV: one row for each client', async () => {
    const { text } = await api.ask(
      `{ backtestRateLimit(policy: { limit: 20, windowSeconds: 60 }, ${RANGE}) { topClients { client requests wouldLimit } } }`,
      { format: 'csv' },
    )
    expect(text).toBe('client,requests,wouldLimit\r\n203.0.113.7,60,20')
  })

  it.each([
    ['{ limit: 0, windowSeconds: 60 }', 'policy.limit', 'policy.limit is 0; allowed is a whole number from 1'],
    ['{ windowSeconds: 60 }', 'policy.limit', 'policy.limit is missing'],
    ['{ limit: 5, windowSeconds: 60, pathPattern: "login" }', 'policy.pathPattern', 'does not begin with /'],
    ['{ limit: 5, windowSeconds: 60, key: API_KEY }', 'policy.key', 'request logs hold no API keys'],
    ['{ id: "none" }', 'policy.id', 'policy.id is "none"; allowed is the id of a policy'],
  ])('refuses %s and names the field', async (policy, argument, message) => {
    const { status, json } = await backtest(policy)
    expect(status).toBe(400)
    expect(json.errors[0]).toMatchObject({
      message: expect.stringContaining(message),
      extensions: { code: 'INVALID_ARGUMENT', argument },
    })
  })

  it('is dear, so that a few of them are an operation of their own', async () => {
    const six = Array.from(
      { length: 6 },
      (_, index) => `a${index}: backtestRateLimit(policy: { limit: 5, windowSeconds: 60 }, ${RANGE}) { wouldLimit }`,
    )
    const { status, json } = await api.ask(`{ ${six.join(' ')} }`)
    expect([status, json.errors[0].extensions.cost]).toEqual([422, 300])
  })
})

describe('hits of block-list entries', () => {
  it('cost a statement for each range', async () => {
    const ranges = Array.from({ length: 25 }, (_, index) => `h${index}: hits(timeRange: { last: "${index + 1}h" })`)
    const { status, json } = await api.ask(`{ blockList { nodes { ${ranges.join(' ')} } } }`)
    expect([status, json.errors[0].extensions.cost]).toEqual([422, 251])
  })

  it('are counted for each entry of a page, and each range by itself', async () => {
    const add = async (cidr: string): Promise<string> => {
      const { json } = await api.ask(
        `mutation { addBlockListEntry(input: { cidr: "${cidr}", reason: "test" }) { entry { id } userErrors { message } } }`,
      )
      return json.data.addBlockListEntry.entry.id as string
    }
    const [first, second, idle] = [await add('192.0.2.1'), await add('192.0.2.0/28'), await add('192.0.2.200')]
    await insertDecisions(
      database.clickhouse,
      [
        { timestamp: at(20_000), outcome: 'blocked' as const, ip: '192.0.2.1', entryId: first, count: 3 },
        { timestamp: at(20_001), outcome: 'blocked' as const, ip: '192.0.2.1', entryId: first, count: 4 },
        { timestamp: at(20_001), outcome: 'blocked' as const, ip: '192.0.2.2', entryId: second },
        { timestamp: at(100_000), outcome: 'blocked' as const, ip: '192.0.2.2', entryId: second, count: 9 },
      ].map((row, index) => ({ ...row, row: index, batch: 2 })),
    )
    const { json } = await api.ask(
      `{ blockList { nodes { id hits(${RANGE}) later: hits(timeRange: { from: "2026-05-02", to: "2026-05-03" }) } } }`,
    )
    expect(json.errors).toBeUndefined()
    const found = new Map(
      json.data.blockList.nodes.map(({ id, hits, later }: Record<string, unknown>) => [id, [hits, later]]),
    )
    expect(found).toEqual(
      new Map([
        [first, [7, 0]],
        [second, [1, 9]],
        [idle, [0, 0]],
      ]),
    )
  })
})
