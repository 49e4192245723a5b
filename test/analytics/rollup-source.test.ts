import { describe, expect, it } from 'vitest'

import type { RequestAnalyticsInput } from '../../src/analytics/index.ts'
import { type Covered, dataSourceOf, pickSource } from '../../src/analytics/pick-source.ts'
import { resolveQuestion } from '../../src/analytics/question.ts'

const at = (text: string) => Date.parse(`2026-11-${text}Z`)
const range = (from: string, to: string) => ({ from: at(from), to: at(to) })
const now = at('25T12:30:00')

/** Closed hours until 12:00 of the 25th but for one, and the days before. */
const covered: Covered = {
  hours: [range('23T06:00:00', '25T12:00:00'), range('20T00:00:00', '23T05:00:00')],
  days: [range('24T00:00:00', '25T00:00:00'), range('20T00:00:00', '23T00:00:00')],
}

const hour = { granularity: 'HOUR' } as const
const day = { granularity: 'DAY' } as const
const REQUESTS = [{ field: 'requests' }] as const

const pick = (input: Partial<RequestAnalyticsInput>) => {
  const timeRange = { from: new Date(at('24T12:30:00')), to: new Date(now) }
  return pickSource(resolveQuestion({ timeRange, selection: { rows: REQUESTS }, ...input }, now), covered)
}

const shown = (input: Partial<RequestAnalyticsInput>, period: 'current' | 'previous' = 'current') =>
  pick(input)?.[period].map(
    ({ rows, from, to }) => `${rows} ${[from, to].map((ms) => new Date(ms).toISOString().slice(8, 16)).join(' ')}`,
  )
const between = (from: string, to: string) => ({ from: new Date(at(from)), to: new Date(at(to)) })

describe('pieces of a range', () => {
  it.each([
    [
      'the last 24 hours: closed hours, raw edges',
      {},
      ['raw 24T12:30 24T13:00', 'hours 24T13:00 25T12:00', 'raw 25T12:00 25T12:30'],
    ],
    ['whole hours: no edges', { timeRange: between('24T01:00:00', '24T05:00:00') }, ['hours 24T01:00 24T05:00']],
    [
      'whole days of a finer table',
      { timeRange: between('23T22:00:00', '25T02:30:00'), groupBy: ['ROUTE'], bucket: day },
      ['hours 23T22:00 24T00:00', 'days 24T00:00 25T00:00', 'hours 25T00:00 25T02:00', 'raw 25T02:00 25T02:30'],
    ],
    [
      'days and hours that do not meet',
      { timeRange: between('20T00:00:00', '23T05:00:00'), groupBy: ['CLIENT_COUNTRY'] },
      ['days 20T00:00 23T00:00', 'hours 23T00:00 23T05:00'],
    ],
    [
      'days of another zone are hours',
      {
        timeRange: between('23T23:00:00', '25T12:00:00'),
        groupBy: ['ROUTE'],
        bucket: { ...day, timezone: 'Europe/Paris' },
      },
      ['hours 23T23:00 25T12:00'],
    ],
    [
      'of two stretches the longer one',
      { timeRange: between('23T03:00:00', '23T09:00:00') },
      ['raw 23T03:00 23T06:00', 'hours 23T06:00 23T09:00'],
    ],
    [
      'hours of the clock need hours',
      { timeRange: between('24T00:00:00', '25T00:00:00'), groupBy: ['METHOD', 'HOUR_OF_DAY'] },
      ['hours 24T00:00 25T00:00'],
    ],
    [
      'days of the week may be days',
      { timeRange: between('24T00:00:00', '25T00:00:00'), groupBy: ['METHOD', 'DAY_OF_WEEK'] },
      ['days 24T00:00 25T00:00'],
    ],
  ] as const)('%s', (_, input, expected) => {
    expect(shown(input as never)).toEqual(expected)
  })

  it('of the period compared with are its own', () => {
    const input = { timeRange: between('24T00:00:00', '24T12:00:00'), compareTo: {}, bucket: hour }
    expect(shown(input)).toEqual(['hours 24T00:00 24T12:00'])
    expect(shown(input, 'previous')).toEqual(['hours 23T12:00 24T00:00'])
  })
})

describe('the table', () => {
  it.each([
    ['requests by service', { groupBy: ['SERVICE'] }, 'service_sketches'],
    ['latency', { selection: { totals: [{ field: 'durationMsP95' }, { field: 'uniqPaths' }] } }, 'service_sketches'],
    ['routes', { groupBy: ['ROUTE', 'SERVICE'], where: { service: { eq: 'shop' } } }, 'route_hours'],
    ['statuses', { groupBy: ['STATUS_CLASS'], where: { not: { method: { eq: 'HEAD' } } } }, 'service_hours'],
    ['a filter by decision', { where: { or: [{ action: { eq: 'BLOCKED' } }] } }, 'service_hours'],
    ['hours', { bucket: hour }, 'service_sketches'],
    ['two hours', { bucket: { interval: { months: 0, ms: 7_200_000, text: '2h' } } }, 'service_sketches'],
    ['hours of India', { bucket: { ...hour, timezone: 'Asia/Kolkata' } }, undefined],
    ['hours of the clock of India', { groupBy: ['HOUR_OF_DAY'], timezone: 'Asia/Kolkata' }, undefined],
    ['minutes', { bucket: { granularity: 'MINUTE', maxBuckets: 2_000 } }, undefined],
    ['a dimension that is in none', { groupBy: ['PATH'] }, undefined],
    ['dimensions of two tables', { groupBy: ['ROUTE', 'METHOD'] }, undefined],
    ['a filter that none knows', { groupBy: ['SERVICE'], where: { or: [{ userAgent: { isNull: true } }] } }, undefined],
    [
      'latency by country',
      { groupBy: ['CLIENT_COUNTRY'], selection: { rows: [{ field: 'durationMsP50' }] } },
      undefined,
    ],
    ['order by latency', { groupBy: ['METHOD'], orderBy: [{ metric: 'DURATION_MS_P95' }] }, undefined],
    [
      'mean latency by country',
      { groupBy: ['CLIENT_COUNTRY'], selection: { rows: [{ field: 'durationMsAvg' }] } },
      'service_hours',
    ],
    ['exact numbers', { selection: { rows: [{ field: 'uniqPaths', exact: true }] } }, undefined],
    [
      'part of an hour',
      { timeRange: { from: new Date(at('24T01:10:00')), to: new Date(at('24T01:50:00')) } },
      undefined,
    ],
    ['what is not closed', { timeRange: { from: new Date(at('25T12:00:00')) } }, undefined],
  ] as const)('for %s', (_, input, expected) => {
    expect(pick(input as never)?.table.hours).toBe(expected)
  })
})

it('names days where any are read, else hours, else raw rows', () => {
  expect(dataSourceOf(undefined)).toBe('RAW')
  expect(dataSourceOf(pick({}))).toBe('ROLLUP_HOURLY')
  expect(dataSourceOf(pick({ groupBy: ['ROUTE'], timeRange: { from: new Date(at('20T00:00:00')) } }))).toBe(
    'ROLLUP_DAILY',
  )
})
