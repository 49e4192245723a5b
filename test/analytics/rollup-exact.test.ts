import * as fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'

import {
  type Analytics,
  type Asker,
  createAnalytics,
  type Dimension,
  type Metric,
  type MetricRef,
  type RequestAnalyticsInput,
} from '../../src/analytics/index.ts'
import { close, closeIdle } from '../rollups/support.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { insertLogs } from '../support/request-logs.ts'
import { makeRows } from './naive.ts'

const [rolled, plain] = [testDatabase(), testDatabase()]
const now = Date.parse('2026-11-23T12:30:00Z')
const asker = { services: null, comment: 'test' }
let fromRollups: Analytics
let fromRaw: Analytics

// Closed until 12:00, and one day; two stretches of requests, one of them in the hour that is still open.
const rows = [
  ...makeRows(1_500, new Date('2026-11-22T20:00:00Z'), new Date('2026-11-23T01:30:00Z'), 11),
  ...makeRows(800, new Date('2026-11-23T10:00:00Z'), new Date('2026-11-23T12:25:00Z'), 12),
]

beforeAll(async () => {
  for (const { clickhouse } of [rolled, plain]) await insertLogs(clickhouse, rows)
  const { clickhouse } = rolled
  await closeIdle(clickhouse, '2026-11-22T00:00:00Z', '2026-11-22T20:00:00Z')
  await close(clickhouse, '2026-11-22T20:00:00Z', '2026-11-23T02:00:00Z')
  await closeIdle(clickhouse, '2026-11-23T02:00:00Z', '2026-11-23T10:00:00Z')
  await close(clickhouse, '2026-11-23T10:00:00Z', '2026-11-23T12:00:00Z')
  await close(clickhouse, '2026-11-22T00:00:00Z', '2026-11-23T00:00:00Z', { job: 'daily' })
  fromRollups = createAnalytics({ clickhouse, now: () => now })
  fromRaw = createAnalytics({ clickhouse: plain.clickhouse, now: () => now })
})

const COUNTS = [
  'requests',
  'requestsPerSecond',
  'errors',
  'errorRate',
  'clientErrorRate',
  'serverErrorRate',
  'limited',
  'limitedRate',
  'blocked',
  'requestBytes',
  'responseBytes',
  'durationMsAvg',
  'durationMsMax',
  'sharePercent',
] as const
const SKETCHED: MetricRef[] = [
  { field: 'durationMsP50' },
  { field: 'durationMsP99' },
  { field: 'durationMsQuantile', level: 0.9 },
  { field: 'uniqClientIps' },
  { field: 'uniqPaths' },
  { field: 'uniqUserAgents' },
]

/** What each table can be asked. */
const TABLES: { dimensions: Dimension[]; where: object[]; metrics: MetricRef[] }[] = [
  {
    dimensions: ['SERVICE'],
    where: [{ service: { neq: 'api' } }],
    metrics: [...COUNTS.map((field) => ({ field })), ...SKETCHED],
  },
  {
    dimensions: ['SERVICE', 'ROUTE', 'HOUR_OF_DAY'],
    where: [{ route: { isNull: false } }, { not: { service: { eq: 'shop' } } }],
    metrics: COUNTS.map((field) => ({ field })),
  },
  {
    dimensions: ['SERVICE', 'CLIENT_COUNTRY', 'STATUS_CODE', 'STATUS_CLASS', 'METHOD', 'ACTION', 'DAY_OF_WEEK'],
    where: [
      { statusClass: { eq: '4xx' } },
      { statusCode: { gte: 400 } },
      { or: [{ clientCountry: { in: ['DE', ''] } }, { method: { eq: 'POST' } }] },
      { action: { notIn: ['BLOCKED'] } },
    ],
    metrics: COUNTS.map((field) => ({ field })),
  },
]

/** Starts and ends on and off the hour. */
const minutes = (from: string, to: string) =>
  fc
    .tuple(
      fc.integer({ min: Date.parse(from) / 3_600_000, max: Date.parse(to) / 3_600_000 }),
      fc.constantFrom(0, 0, 17, 40),
    )
    .map(([hour, minute]) => new Date(hour * 3_600_000 + minute * 60_000))

const question = fc.constantFrom(...TABLES).chain(({ dimensions, where, metrics }) =>
  fc.record({
    timeRange: fc.record({
      from: minutes('2026-11-21T20:00:00Z', '2026-11-22T21:00:00Z'),
      to: minutes('2026-11-22T23:00:00Z', '2026-11-23T13:00:00Z'),
    }),
    timezone: fc.constantFrom('UTC', 'UTC', 'America/New_York'),
    groupBy: fc.subarray(dimensions, { maxLength: Math.min(3, dimensions.length) }),
    where: fc.option(fc.constantFrom(...where), { nil: undefined }),
    bucket: fc.option(fc.constantFrom({ granularity: 'HOUR' as const }, { granularity: 'DAY' as const }), {
      nil: undefined,
    }),
    compareTo: fc.option(fc.constant({ period: 'PREVIOUS_DAY' as const }), { nil: undefined }),
    orderBy: fc.constantFrom<Metric>('REQUESTS', 'ERROR_RATE', 'DURATION_MS_AVG').map((metric) => [{ metric }]),
    having: fc.constantFrom([], [{ metric: 'ERRORS' as const, gte: 2 }]),
    limit: fc.constantFrom(3, 1_000),
    services: fc.constantFrom(null, ['shop', 'blog']),
    selection: fc.subarray(metrics, { minLength: 1 }),
  }),
)

it('whatever a roll-up can answer is what raw rows say, by the same sketches to the last digit', async () => {
  const sources = new Set<string>()
  await fc.assert(
    fc.asyncProperty(question, async ({ services, selection, ...input }) => {
      const previous = input.compareTo ? { previous: selection, previousTotals: selection } : {}
      const asked: RequestAnalyticsInput = {
        ...input,
        selection: { rows: selection, totals: selection, others: selection, totalGroups: true, ...previous },
      }
      const by: Asker = { ...asker, services }
      const [{ spent: _, dataSource, ...found }, { spent: __, dataSource: raw, ...expected }] = await Promise.all([
        fromRollups.requestAnalytics(asked, by),
        fromRaw.requestAnalytics(asked, by),
      ])
      sources.add(dataSource)
      expect(raw).toBe('RAW')
      expect(dataSource).not.toBe('RAW')
      expect(found).toEqual(expected)
    }),
    { numRuns: 24, seed: 4 },
  )
  expect([...sources].sort()).toEqual(['ROLLUP_DAILY', 'ROLLUP_HOURLY'])
  // Some 200 statements: a second or two, more on a machine that is busy.
}, 120_000)

describe('an hour', () => {
  const span = { timeRange: { from: new Date('2026-11-22T00:00:00Z'), to: new Date('2026-11-23T02:00:00Z') } }
  const ask = async (groupBy: Dimension[]) => {
    const { dataSource, totals } = await fromRollups.requestAnalytics(
      { ...span, groupBy, selection: { totals: [{ field: 'requests' }] } },
      asker,
    )
    return { dataSource, requests: totals!['requests'] }
  }

  it('shows late requests once it was run again, and so does its day once that was', async () => {
    const before = await ask(['METHOD'])
    expect(before.dataSource).toBe('ROLLUP_DAILY')
    await insertLogs(
      rolled.clickhouse,
      makeRows(7, new Date('2026-11-22T22:00:00Z'), new Date('2026-11-22T23:00:00Z'), 3),
    )
    expect(await ask(['METHOD'])).toEqual(before)
    const requests = Number(before.requests) + 7
    await close(rolled.clickhouse, '2026-11-22T22:00:00Z', '2026-11-22T23:00:00Z')
    // The day is older than one of its hours now.
    expect(await ask(['METHOD'])).toEqual({ dataSource: 'ROLLUP_HOURLY', requests })
    await close(rolled.clickhouse, '2026-11-22T00:00:00Z', '2026-11-23T00:00:00Z', { job: 'daily' })
    expect(await ask(['METHOD'])).toEqual({ dataSource: 'ROLLUP_DAILY', requests })
  })

  it('is told by freshness once it is closed, and holds it back while it failed', async () => {
    const through = async () => (await fromRollups.freshness(asker)).rollupThrough
    expect(await through()).toEqual(new Date('2026-11-23T12:00:00Z'))
    expect((await fromRaw.freshness(asker)).rollupThrough).toBeNull()
    await close(rolled.clickhouse, '2026-11-23T12:00:00Z', '2026-11-23T13:00:00Z', { status: 'failed' })
    expect(await through()).toEqual(new Date('2026-11-23T12:00:00Z'))
    await close(rolled.clickhouse, '2026-11-23T13:00:00Z', '2026-11-23T14:00:00Z')
    expect(await through()).toEqual(new Date('2026-11-23T12:00:00Z'))
    await close(rolled.clickhouse, '2026-11-23T12:00:00Z', '2026-11-23T13:00:00Z')
    expect(await through()).toEqual(new Date('2026-11-23T14:00:00Z'))
  })

  it('from roll-ups costs fewer rows, which an estimate knows', async () => {
    const { source, rowsToRead } = await fromRollups.estimate({ ...span, groupBy: ['SERVICE'] }, asker)
    const raw = await fromRaw.estimate({ ...span, groupBy: ['SERVICE'] }, asker)
    expect({ source, raw: raw.source }).toEqual({ source: 'ROLLUP_HOURLY', raw: 'RAW' })
    expect(rowsToRead).toBeLessThan(raw.rowsToRead)
  })
})
