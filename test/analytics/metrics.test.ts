import { beforeAll, describe, expect, it } from 'vitest'

import {
  type Analytics,
  type AnalyticsRow,
  createAnalytics,
  type Dimension,
  DIMENSIONS,
  dimensions,
  type MetricRef,
  METRIC_FIELDS,
  type MetricValues,
} from '../../src/analytics/index.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { insertLogs } from '../support/request-logs.ts'
import { dimensionOf, makeRows, measure } from './naive.ts'

const database = testDatabase()
const from = new Date('2026-05-04T00:00:00Z')
const to = new Date('2026-05-07T00:00:00Z')
const rows = makeRows(3_000, from, to)
const timeRange = { from, to }
const seconds = (to.getTime() - from.getTime()) / 1_000
const asker = { services: null, comment: 'test' }
let analytics: Analytics

beforeAll(async () => {
  // Two parts, so that answers are put together from several.
  await insertLogs(database.clickhouse, rows.slice(0, 1_000))
  await insertLogs(database.clickhouse, rows.slice(1_000))
  analytics = createAnalytics({ clickhouse: database.clickhouse })
})

const ALL: MetricRef[] = METRIC_FIELDS.flatMap((field): MetricRef[] => {
  if (field === 'durationMsQuantile')
    return [
      { field, level: 0 },
      { field, level: 0.25 },
      { field, level: 1 },
    ]
  return field.startsWith('uniq') ? [{ field }, { field, exact: true }] : [{ field }]
})

const expectMetrics = (values: MetricValues, of: typeof rows, over = seconds, all = rows.length) => {
  const { quantile, ...naive } = measure(of, over, all)
  for (const [field, expected] of Object.entries(naive)) {
    if (expected === null) expect(values[field], field).toBeNull()
    else expect(Number(values[field]), field).toBeCloseTo(expected, 6)
  }
  const levels = {
    durationMsP50: 0.5,
    durationMsP95: 0.95,
    durationMsP99: 0.99,
    'durationMsQuantile(0)': 0,
    'durationMsQuantile(0.25)': 0.25,
    'durationMsQuantile(1)': 1,
  }
  for (const [field, level] of Object.entries(levels)) {
    const between = quantile(level)
    if (!between) expect(values[field], field).toBeNull()
    else {
      expect(Number(values[field]), field).toBeGreaterThanOrEqual(between.low * 0.99 - 0.01)
      expect(Number(values[field]), field).toBeLessThanOrEqual(between.high * 1.01 + 0.01)
    }
  }
  for (const field of ['uniqClientIps', 'uniqPaths', 'uniqUserAgents'] as const)
    expect(values[`${field}(exact)`]).toBe(naive[field])
}

const groupsOf = (by: readonly Dimension[], timeZone = 'UTC') =>
  Map.groupBy(rows, (row) => JSON.stringify(by.map((dimension) => dimensionOf(row, dimension, timeZone))))

const keyOf = (row: AnalyticsRow, by: readonly Dimension[]) =>
  JSON.stringify(by.map((dimension) => row.dimensions[dimensions[dimension].field]))

it.each(DIMENSIONS)('groups by %s as a count by hand does, with every metric', async (dimension) => {
  const answer = await analytics.requestAnalytics(
    { timeRange, groupBy: [dimension], timezone: 'Asia/Kolkata', limit: 10_000, selection: { rows: ALL } },
    asker,
  )
  const expected = groupsOf([dimension], 'Asia/Kolkata')
  expect(answer.rows.map((row) => keyOf(row, [dimension])).toSorted()).toEqual([...expected.keys()].toSorted())
  for (const row of answer.rows) expectMetrics(row.values, expected.get(keyOf(row, [dimension]))!)
})

it('groups by several dimensions at once, most requests first', async () => {
  const by = ['SERVICE', 'STATUS_CLASS', 'CLIENT_COUNTRY'] as const
  const answer = await analytics.requestAnalytics({ timeRange, groupBy: by, selection: { rows: ALL } }, asker)
  const expected = groupsOf(by)
  expect(answer.rows).toHaveLength(expected.size)
  expect(answer.totalGroups).toBe(expected.size)
  for (const row of answer.rows) expectMetrics(row.values, expected.get(keyOf(row, by))!)
  const counts = answer.rows.map(({ values }) => values['requests'])
  expect(counts).toEqual(counts.toSorted((a, b) => Number(b) - Number(a)))
})

it('measures totals over the whole range, not as the sum of rows', async () => {
  const answer = await analytics.requestAnalytics(
    { timeRange, groupBy: ['SERVICE'], limit: 1, selection: { rows: ALL, totals: ALL } },
    asker,
  )
  expectMetrics(answer.totals!, rows)
  expect(answer.truncated).toBe(true)
})

it('folds everything outside the shown groups into others, which is null where nothing is left', async () => {
  const answer = await analytics.requestAnalytics(
    { timeRange, groupBy: ['PATH'], limit: 5, offset: 2, selection: { rows: [{ field: 'requests' }], others: ALL } },
    asker,
  )
  const shown = new Set(answer.rows.map((row) => row.dimensions['path']))
  expect(shown.size).toBe(5)
  expectMetrics(
    answer.others!,
    rows.filter(({ path }) => !shown.has(path)),
  )
  const whole = await analytics.requestAnalytics({ timeRange, groupBy: ['SERVICE'], selection: { others: ALL } }, asker)
  expect(whole.others).toBeNull()
})

it('answers without dimensions and buckets with one row, also where there are no requests', async () => {
  const answer = await analytics.requestAnalytics({ timeRange, selection: { rows: ALL } }, asker)
  expect(answer.rows).toHaveLength(1)
  expectMetrics(answer.rows[0]!.values, rows)
  const empty = { from: new Date('2020-01-01'), to: new Date('2020-01-02') }
  const none = await analytics.requestAnalytics({ timeRange: empty, selection: { rows: ALL, totals: ALL } }, asker)
  expect(none.rows[0]!.values).toMatchObject({
    requests: 0,
    errorRate: null,
    durationMsP95: null,
    responseBytes: 0,
    requestsPerSecond: 0,
    sharePercent: null,
    uniqPaths: 0,
  })
})

const askPage = (offset: number) =>
  analytics.requestAnalytics(
    {
      timeRange,
      groupBy: ['PATH', 'SERVICE'],
      limit: 20,
      offset,
      selection: { rows: [{ field: 'requests' }], totalGroups: true },
    },
    asker,
  )

it('pages through groups by limit and offset in one total order, and counts them beyond the last page', async () => {
  const pages = await Promise.all([0, 20, 40, 60, 80].map(askPage))
  const keys = pages.flatMap((page) => page.rows.map((row) => keyOf(row, ['PATH', 'SERVICE'])))
  const expected = groupsOf(['PATH', 'SERVICE'])
  expect(new Set(keys)).toEqual(new Set(expected.keys()))
  expect(keys).toHaveLength(expected.size)
  expect(pages.at(-1)!.truncated).toBe(false)
  const beyond = await askPage(5_000)
  expect(beyond).toMatchObject({ rows: [], totalGroups: expected.size })
})

const ask = (input: object) =>
  analytics.requestAnalytics({ timeRange, groupBy: ['PATH'], limit: 100, selection: { rows: ALL }, ...input }, asker)

describe('having and orderBy', () => {
  const byPath = groupsOf(['PATH'])

  it.each([
    'REQUESTS',
    'ERROR_RATE',
    'LIMITED_RATE',
    'RESPONSE_BYTES',
    'DURATION_MS_AVG',
    'UNIQ_CLIENT_IPS',
    'REQUESTS_PER_SECOND',
  ] as const)('order by %s both ways', async (metric) => {
    const field = {
      REQUESTS: 'requests',
      ERROR_RATE: 'errorRate',
      LIMITED_RATE: 'limitedRate',
      RESPONSE_BYTES: 'responseBytes',
      DURATION_MS_AVG: 'durationMsAvg',
      UNIQ_CLIENT_IPS: 'uniqClientIps',
      REQUESTS_PER_SECOND: 'requestsPerSecond',
    }[metric]
    for (const [direction, sign] of [
      ['ASC', 1],
      ['DESC', -1],
    ] as const) {
      const values = (await ask({ orderBy: [{ metric, direction }] })).rows.map((row) => Number(row.values[field]))
      expect(values).toHaveLength(byPath.size)
      expect(values).toEqual(values.toSorted((a, b) => sign * (a - b)))
    }
  })

  it('orders by a dimension', async () => {
    const paths = (await ask({ orderBy: [{ dimension: 'PATH', direction: 'ASC' }] })).rows.map((row) =>
      String(row.dimensions['path']),
    )
    expect(paths).toEqual(paths.toSorted())
  })

  it('keeps the groups within the bounds', async () => {
    const answer = await ask({
      having: [
        { metric: 'REQUESTS', gte: 100, lt: 110 },
        { metric: 'ERROR_RATE', gt: 0.45 },
      ],
    })
    const expected = [...byPath.values()].filter((group) => {
      const { requests, errorRate } = measure(group, seconds, rows.length)
      return requests >= 100 && requests < 110 && errorRate! > 0.45
    })
    expect(expected.length).toBeGreaterThan(0)
    expect(answer.rows.map((row) => String(row.dimensions['path'])).toSorted()).toEqual(
      expected.map((group) => group[0]!.path).toSorted(),
    )
    expect(answer.totalGroups).toBe(expected.length)
  })
})

it('computes only the metrics that were asked for', async () => {
  const answer = await analytics.requestAnalytics(
    { timeRange, groupBy: ['SERVICE'], selection: { rows: [{ field: 'errors' }] } },
    asker,
  )
  const [statement, ...more] = answer.spent.statements
  expect(more).toEqual([])
  expect(statement).not.toMatch(/duration_ms|uniq|sum\(/)
})

it('keeps a sum beyond 2^53 exact', async () => {
  const at = new Date('2026-06-01T00:00:00Z')
  await insertLogs(database.clickhouse, [{ timestamp: at, ip: '10.0.0.1', requestBytes: '9007199254740993' }])
  const answer = await analytics.requestAnalytics(
    { timeRange: { from: at, to: new Date('2026-06-02') }, selection: { rows: [{ field: 'requestBytes' }] } },
    asker,
  )
  expect(answer.rows[0]!.values['requestBytes']).toBe(9_007_199_254_740_993n)
})
