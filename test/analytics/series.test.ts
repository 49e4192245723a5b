import { beforeAll, describe, expect, it } from 'vitest'

import { type Analytics, createAnalytics } from '../../src/analytics/index.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { insertLogs, type LogRow } from '../support/request-logs.ts'
import { makeRows, measure } from './naive.ts'

const database = testDatabase()
const asker = { services: null, comment: 'test' }
const REQUESTS = { field: 'requests' } as const
const RATE = { field: 'requestsPerSecond' } as const
let analytics: Analytics
const now = Date.parse('2026-12-01T00:00:00Z')

/** One request every ten minutes, so that every bucket's count is its length. */
const everyTenMinutes = (from: string, to: string, service: string): LogRow[] => {
  const rows: LogRow[] = []
  for (let at = Date.parse(from); at < Date.parse(to); at += 600_000)
    rows.push({ timestamp: new Date(at), ip: '10.0.0.1', service })
  return rows
}

const busy = makeRows(2_000, new Date('2026-06-01T00:00:00Z'), new Date('2026-06-05T00:00:00Z'), 3)

beforeAll(async () => {
  await insertLogs(database.clickhouse, everyTenMinutes('2026-03-27T00:00:00Z', '2026-04-01T00:00:00Z', 'clock'))
  await insertLogs(database.clickhouse, everyTenMinutes('2026-10-23T00:00:00Z', '2026-10-28T00:00:00Z', 'clock'))
  await insertLogs(database.clickhouse, busy)
  analytics = createAnalytics({ clickhouse: database.clickhouse, now: () => now })
})

const ask = (from: string, to: string, input: object = {}) =>
  analytics.requestAnalytics(
    { timeRange: { from: new Date(from), to: new Date(to) }, selection: { rows: [REQUESTS, RATE] }, ...input },
    asker,
  )

describe('where clocks change in Paris', () => {
  it.each([
    ['March', '2026-03-27T23:00:00Z', '2026-03-30T22:00:00Z', [144, 138, 144]],
    ['October', '2026-10-23T22:00:00Z', '2026-10-26T23:00:00Z', [144, 150, 144]],
  ])('days of %s hold their requests', async (_, from, to, counts) => {
    const { rows, granularity, timeZone } = await ask(from, to, {
      bucket: { granularity: 'DAY', timezone: 'Europe/Paris' },
    })
    expect(rows.map(({ values }) => values['requests'])).toEqual(counts)
    expect(rows.map(({ values }) => values['requestsPerSecond'])).toEqual([1 / 600, 1 / 600, 1 / 600])
    expect(rows.map(({ bucket }) => bucket!.local.slice(10, 19))).toEqual(['T00:00:00', 'T00:00:00', 'T00:00:00'])
    expect({ granularity, timeZone }).toEqual({ granularity: 'DAY', timeZone: 'Europe/Paris' })
  })

  it('every hour has its six requests, the one that comes twice and the ones around the one that does not come', async () => {
    for (const [from, to, hours] of [
      ['2026-03-28T23:00:00Z', '2026-03-29T22:00:00Z', 23],
      ['2026-10-24T22:00:00Z', '2026-10-25T23:00:00Z', 25],
    ] as const) {
      const { rows } = await ask(from, to, { bucket: { granularity: 'HOUR' }, timezone: 'Europe/Paris' })
      expect(rows.map(({ values }) => values['requests'])).toEqual(Array.from({ length: hours }, () => 6))
    }
  })

  it('compares a day with the day before by the clock', async () => {
    const { rows } = await ask('2026-03-28T23:00:00Z', '2026-03-29T22:00:00Z', {
      bucket: { granularity: 'DAY', timezone: 'Europe/Paris' },
      compareTo: { period: 'PREVIOUS_DAY' },
      selection: { rows: [REQUESTS], previous: [REQUESTS] },
    })
    expect(rows.map(({ values, previous }) => [values['requests'], previous!['requests']])).toEqual([[138, 144]])
  })
})

it('buckets of any length hold what a count by hand finds', async () => {
  const { rows } = await ask('2026-06-01T00:00:00Z', '2026-06-05T00:00:00Z', {
    bucket: { interval: { ms: 1_200_000, months: 0, text: '20m' } },
  })
  const expected = Map.groupBy(busy, ({ timestamp }) => Math.floor(timestamp.getTime() / 1_200_000) * 1_200_000)
  expect(rows).toHaveLength(288)
  for (const { bucket, values } of rows)
    expect(values['requests']).toBe(expected.get(bucket!.start.getTime())?.length ?? 0)
})

describe('gaps', () => {
  const around = ['2026-03-26T22:00:00Z', '2026-03-27T02:00:00Z'] as const

  it('are filled with zeros and nulls', async () => {
    const { rows } = await ask(...around, {
      bucket: { granularity: 'HOUR' },
      selection: { rows: [REQUESTS, { field: 'errorRate' }, { field: 'durationMsP95' }, { field: 'uniqPaths' }] },
    })
    expect(rows.map(({ values }) => values['requests'])).toEqual([0, 0, 6, 6])
    expect(rows[0]!.values).toMatchObject({ errorRate: null, durationMsP95: null, uniqPaths: 0 })
  })

  it('are left open with fillGaps false', async () => {
    const { rows } = await ask(...around, { bucket: { granularity: 'HOUR', fillGaps: false } })
    expect(rows.map(({ bucket }) => bucket!.start.toISOString().slice(11, 13))).toEqual(['00', '01'])
  })

  it('are filled for each group, with buckets first and groups in their order', async () => {
    await insertLogs(database.clickhouse, [
      { timestamp: new Date('2026-03-26T22:30:00Z'), ip: '10.0.0.1', service: 'rare' },
    ])
    const { rows } = await ask(...around, { bucket: { granularity: 'HOUR' }, groupBy: ['SERVICE'] })
    expect(rows.map(({ dimensions, values }) => [dimensions['service'], values['requests']])).toEqual([
      ['clock', 0],
      ['rare', 1],
      ['clock', 0],
      ['rare', 0],
      ['clock', 6],
      ['rare', 0],
      ['clock', 6],
      ['rare', 0],
    ])
  })
})

it('a bucket is complete when all of it is in the range, in the past and stored', async () => {
  const pending = Date.parse('2026-10-27T22:30:00Z')
  const late = createAnalytics({
    clickhouse: database.clickhouse,
    now: () => Date.parse('2026-10-27T23:30:00Z'),
    oldestPending: () => new Date(pending),
  })
  const { rows } = await late.requestAnalytics(
    {
      timeRange: { from: new Date('2026-10-27T19:30:00Z'), to: new Date('2026-10-28T00:00:00Z') },
      bucket: { granularity: 'HOUR' },
      selection: { rows: [REQUESTS, RATE] },
    },
    asker,
  )
  expect(rows.map(({ bucket }) => bucket!.complete)).toEqual([false, true, true, false, false])
  // Half of the first bucket is in the range, half of the last is past.
  expect(rows.map(({ values }) => values['requestsPerSecond'])).toEqual([
    3 / 1_800,
    6 / 3_600,
    6 / 3_600,
    6 / 3_600,
    6 / 1_800,
  ])
})

it('limit counts groups, each with all its buckets, chosen over the whole range', async () => {
  const { rows, totalGroups, truncated } = await ask('2026-06-01T00:00:00Z', '2026-06-05T00:00:00Z', {
    bucket: { granularity: 'DAY' },
    groupBy: ['PATH'],
    limit: 3,
    having: [{ metric: 'REQUESTS', lt: 75 }],
  })
  const byPath = [...Map.groupBy(busy, ({ path }) => path)].filter(([, group]) => group.length < 75)
  const top = byPath.toSorted(([a, one], [b, other]) => other.length - one.length || (a < b ? -1 : 1)).slice(0, 3)
  expect(rows.slice(0, 3).map((row) => row.dimensions['path'])).toEqual(top.map(([path]) => path))
  expect(rows).toHaveLength(12)
  for (const { bucket, dimensions, values } of rows) {
    const day = bucket!.start.toISOString().slice(0, 10)
    const group = top.find(([path]) => path === dimensions['path'])![1]
    expect(values['requests']).toBe(group.filter(({ timestamp }) => timestamp.toISOString().startsWith(day)).length)
  }
  expect({ totalGroups, truncated }).toEqual({ totalGroups: byPath.length, truncated: true })
})

it('without dimensions having, orderBy and limit choose among the buckets', async () => {
  const { rows } = await ask('2026-03-26T22:00:00Z', '2026-03-27T02:00:00Z', {
    bucket: { granularity: 'HOUR' },
    having: [{ metric: 'REQUESTS', lt: 7 }],
    where: { service: { eq: 'clock' } },
    orderBy: [{ metric: 'REQUESTS', direction: 'ASC' }],
    offset: 1,
    limit: 2,
  })
  expect(rows.map(({ bucket, values }) => [bucket!.start.toISOString().slice(11, 13), values['requests']])).toEqual([
    ['23', 0],
    ['00', 6],
  ])
})

it('never gives more than 10,000 rows: with many buckets there are fewer groups', async () => {
  const { rows, truncated } = await ask('2026-06-01T00:00:00Z', '2026-06-05T00:00:00Z', {
    bucket: { granularity: 'MINUTE', maxBuckets: 10_000 },
    groupBy: ['PATH'],
    limit: 100,
  })
  expect(rows).toHaveLength(5_760)
  expect(truncated).toBe(true)
})

const count = (day: string) => busy.filter(({ timestamp }) => timestamp.toISOString().startsWith(day)).length

describe('compareTo', () => {
  const [early, late] = [
    busy.filter(({ timestamp }) => timestamp < new Date('2026-06-03')),
    busy.filter(({ timestamp }) => timestamp >= new Date('2026-06-03')),
  ]
  const span = ['2026-06-03T00:00:00Z', '2026-06-05T00:00:00Z'] as const

  it('measures the same groups one period earlier, and the totals', async () => {
    const { rows, totals, previousTotals, previousRange } = await ask(...span, {
      groupBy: ['CLIENT_IP'],
      limit: 1_000,
      compareTo: {},
      selection: {
        rows: [REQUESTS],
        previous: [REQUESTS, { field: 'errorRate' }, { field: 'uniqPaths', exact: true }],
        totals: [REQUESTS],
        previousTotals: [REQUESTS, { field: 'uniqClientIps', exact: true }],
      },
    })
    expect(previousRange).toEqual({ from: Date.parse('2026-06-01'), to: Date.parse('2026-06-03') })
    const [current, previous] = [Map.groupBy(late, ({ ip }) => ip), Map.groupBy(early, ({ ip }) => ip)]
    // Groups that are gone are not rows: a comparison adds columns.
    expect(new Set(rows.map((row) => row.dimensions['clientIp']))).toEqual(new Set(current.keys()))
    for (const row of rows) {
      const ip = String(row.dimensions['clientIp'])
      const naive = measure(previous.get(ip) ?? [], 172_800, 1)
      expect(row.values['requests']).toBe(current.get(ip)!.length)
      expect(row.previous).toMatchObject({
        requests: naive.requests,
        errorRate: naive.errorRate,
        'uniqPaths(exact)': naive.uniqPaths,
      })
    }
    expect(totals!['requests']).toBe(late.length)
    expect(previousTotals).toMatchObject({
      requests: early.length,
      'uniqClientIps(exact)': new Set(early.map(({ ip }) => ip)).size,
    })
  })

  it('measures ranges that overlap, bucket by bucket', async () => {
    const { rows } = await ask('2026-06-02T00:00:00Z', '2026-06-05T00:00:00Z', {
      bucket: { granularity: 'DAY' },
      compareTo: { period: 'PREVIOUS_DAY' },
      selection: { rows: [REQUESTS], previous: [REQUESTS] },
    })
    expect(rows.map(({ values, previous }) => [values['requests'], previous!['requests']])).toEqual([
      [count('2026-06-02'), count('2026-06-01')],
      [count('2026-06-03'), count('2026-06-02')],
      [count('2026-06-04'), count('2026-06-03')],
    ])
  })

  it('orders and keeps groups by REQUESTS_CHANGE', async () => {
    const change = { metric: 'REQUESTS_CHANGE', gt: 0.2 } as const
    const { rows, others } = await ask(...span, {
      groupBy: ['PATH'],
      compareTo: {},
      having: [change],
      orderBy: [{ metric: 'REQUESTS_CHANGE', direction: 'DESC' }],
      selection: { rows: [REQUESTS], previous: [REQUESTS], others: [REQUESTS] },
    })
    const [current, previous] = [Map.groupBy(late, ({ path }) => path), Map.groupBy(early, ({ path }) => path)]
    const expected = [...current]
      .map(([path, group]) => ({ path, change: group.length / previous.get(path)!.length - 1, requests: group.length }))
      .filter((one) => one.change > 0.2)
      .toSorted((a, b) => b.change - a.change || (a.path < b.path ? -1 : 1))
    expect(expected.length).toBeGreaterThan(1)
    expect(rows.map((row) => row.dimensions['path'])).toEqual(expected.map(({ path }) => path))
    expect(others!['requests']).toBe(late.length - expected.reduce((sum, { requests }) => sum + requests, 0))
  })
})

const refuse = (input: object) => expect(ask('2026-06-01T00:00:00Z', '2026-06-02T00:00:00Z', input)).rejects

it('refuses what cannot be asked, naming the argument', async () => {
  await refuse({ limit: 0 }).toThrow('limit is 0; allowed is a whole number from 1 to 10000')
  await refuse({ offset: -1 }).toThrow('offset is -1; allowed is a whole number from 0 to 1000000')
  await refuse({ groupBy: ['PATH', 'PATH'] }).toThrow('groupBy names PATH twice')
  await refuse({ orderBy: [{ dimension: 'PATH' }] }).toThrow(
    /orderBy\[0\].dimension is "PATH"; allowed is a dimension of groupBy/,
  )
  await refuse({ orderBy: [{}] }).toThrow('orderBy[0] needs either metric or dimension')
  await refuse({ having: [{ metric: 'REQUESTS' }] }).toThrow(/having\[0\] of REQUESTS has no bound/)
  await refuse({ having: [{ metric: 'REQUESTS_CHANGE', gt: 1 }] }).toThrow(/needs compareTo/)
  await refuse({ timezone: 'Mars/Olympus' }).toThrow(/timezone is "Mars\/Olympus"; allowed is an IANA time zone/)
  await refuse({ timezone: 'UTC', bucket: { timezone: 'Europe/Paris' } }).toThrow(/give one of them/)
})
