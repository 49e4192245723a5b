import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { GRANULARITIES, type Granularity } from '../../src/analytics/index.ts'
import { resolveBuckets } from '../../src/analytics/buckets.ts'
import { resolveComparison } from '../../src/analytics/compare.ts'
import { parseInterval } from '../../src/analytics/interval.ts'
import { resolveTimeRange } from '../../src/analytics/time-range.ts'
import { createZone, formatLocal, isTimeZone } from '../../src/analytics/time-zone.ts'

const range = (from: string, to: string) => ({ from: Date.parse(from), to: Date.parse(to) })
const local = (timeZone: string, starts: number[]) => starts.map((start) => formatLocal(start, createZone(timeZone)))
const interval = (text: string) => parseInterval(text)!
const bucketsOf = (span: { from: number; to: number }, timeZone: string, input: object) =>
  resolveBuckets({ maxBuckets: 10_000, ...input }, span, createZone(timeZone))

describe('where clocks change', () => {
  it('a March day of Paris has 23 hours, and 02:00 is not among them', () => {
    const { starts, end } = bucketsOf(range('2026-03-28T23:00:00Z', '2026-03-29T22:00:00Z'), 'Europe/Paris', {
      granularity: 'HOUR',
    })
    expect(starts).toHaveLength(23)
    expect(local('Europe/Paris', starts).slice(0, 4)).toEqual([
      '2026-03-29T00:00:00+01:00',
      '2026-03-29T01:00:00+01:00',
      '2026-03-29T03:00:00+02:00',
      '2026-03-29T04:00:00+02:00',
    ])
    expect(end).toBe(Date.parse('2026-03-29T22:00:00Z'))
  })

  it('an October day of Paris has 25 hours, and 02:00 comes twice', () => {
    const { starts } = bucketsOf(range('2026-10-24T22:00:00Z', '2026-10-25T23:00:00Z'), 'Europe/Paris', {
      granularity: 'HOUR',
    })
    expect(starts).toHaveLength(25)
    expect(local('Europe/Paris', starts).slice(1, 5)).toEqual([
      '2026-10-25T01:00:00+02:00',
      '2026-10-25T02:00:00+02:00',
      '2026-10-25T02:00:00+01:00',
      '2026-10-25T03:00:00+01:00',
    ])
  })

  it.each([
    ['Europe/Paris', '2026-03-28T23:00:00Z', 23],
    ['Europe/Paris', '2026-10-24T22:00:00Z', 25],
    ['Australia/Lord_Howe', '2026-04-04T13:00:00Z', 24.5],
    ['Africa/Cairo', '2026-04-23T22:00:00Z', 23],
  ])('a day of %s from %s is one bucket of %d hours', (timeZone, from, hours) => {
    const { starts, end } = bucketsOf({ from: Date.parse(from), to: Date.parse(from) + 3_600_000 }, timeZone, {
      granularity: 'DAY',
    })
    expect(starts).toEqual([Date.parse(from)])
    expect((end - starts[0]!) / 3_600_000).toBe(hours)
  })

  it('parts of a day follow the clock on the wall', () => {
    const { starts } = bucketsOf(range('2026-10-24T22:00:00Z', '2026-10-26T23:00:00Z'), 'Europe/Paris', {
      interval: interval('6h'),
    })
    expect(local('Europe/Paris', starts).map((text) => text.slice(11, 16))).toEqual([
      '00:00',
      '06:00',
      '12:00',
      '18:00',
      '00:00',
      '06:00',
      '12:00',
      '18:00',
    ])
  })
})

it('weeks begin on Monday, months on their first, and thirds of a year in January', () => {
  const year = range('2026-01-15T00:00:00Z', '2026-12-31T00:00:00Z')
  const weeks = bucketsOf(year, 'UTC', { granularity: 'WEEK' }).starts
  expect(new Set(weeks.map((start) => new Date(start).getUTCDay()))).toEqual(new Set([1]))
  expect(weeks[0]).toBe(Date.parse('2026-01-12T00:00:00Z'))
  const months = bucketsOf(year, 'America/New_York', { granularity: 'MONTH' }).starts
  expect(local('America/New_York', months)).toHaveLength(12)
  expect(new Set(local('America/New_York', months).map((text) => text.slice(8, 19)))).toEqual(new Set(['01T00:00:00']))
  expect(
    local('UTC', bucketsOf(year, 'UTC', { interval: interval('4M') }).starts).map((text) => text.slice(0, 7)),
  ).toEqual(['2026-01', '2026-05', '2026-09'])
})

const auto = (to: string, maxBuckets: number) =>
  bucketsOf(range('2026-01-01T00:00:00Z', to), 'UTC', { maxBuckets }).granularity

it('AUTO takes the finest length that stays within maxBuckets', () => {
  expect(auto('2026-01-01T01:00:00Z', 500)).toBe('MINUTE')
  expect(auto('2026-01-02T00:00:00Z', 500)).toBe('FIVE_MINUTES')
  expect(auto('2026-01-08T00:00:00Z', 500)).toBe('HOUR')
  expect(auto('2026-01-08T00:00:00Z', 7)).toBe('DAY')
  expect(auto('2027-01-01T00:00:00Z', 12)).toBe('MONTH')
})

it('buckets cover the range without gap or overlap, in every zone', () => {
  const zones = [
    'UTC',
    'Europe/Paris',
    'America/St_Johns',
    'Asia/Kolkata',
    'Australia/Lord_Howe',
    'Pacific/Apia',
    'America/Sao_Paulo',
    'Africa/Casablanca',
    'America/Havana',
  ]
  const lengths = ['1s', '30s', '5m', '20m', '1h', '2h', '6h', '12h', '1d', '3d', '1w', '1M', '3M']
  fc.assert(
    fc.property(
      fc.constantFrom(...zones),
      fc.constantFrom(...lengths),
      fc.integer({ min: Date.parse('1996-01-01'), max: Date.parse('2030-01-01') }),
      fc.integer({ min: 1, max: 1_000 }),
      (timeZone, length, from, count) => {
        const { months, ms } = interval(length)
        const to = from + Math.max(1, Math.floor((count * (ms || months * 30 * 86_400_000)) / 2))
        const zone = createZone(timeZone)
        const { starts, end } = resolveBuckets({ interval: interval(length), maxBuckets: 10_000 }, { from, to }, zone)
        expect(starts[0]).toBeLessThanOrEqual(from)
        expect(starts.length === 1 ? end : starts[1]).toBeGreaterThan(from)
        expect(starts.at(-1)).toBeLessThan(to)
        expect(end).toBeGreaterThanOrEqual(to)
        starts.forEach((start, index) => expect(start).toBeGreaterThan(starts[index - 1] ?? Number.NEGATIVE_INFINITY))
        // The same bucket is found from wherever one begins.
        const middle = starts[Math.floor(starts.length / 2)]!
        const again = resolveBuckets(
          { interval: interval(length), maxBuckets: 10_000 },
          { from: middle + 500, to: middle + 501 },
          zone,
        )
        expect(again.starts).toEqual([middle])
      },
    ),
    { numRuns: 300 },
  )
})

it('refuses buckets that cannot be, by name and with the way out', () => {
  const day = range('2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z')
  const refuse = (input: object) => expect(() => resolveBuckets(input, day, createZone('UTC')))
  refuse({ granularity: 'MINUTE', maxBuckets: 500 }).toThrow(/granularity MINUTE makes more than 500 buckets.*coarser/)
  refuse({ granularity: 'HOUR', interval: interval('5m') }).toThrow(/interval 5m beside granularity HOUR/)
  refuse({ interval: interval('7m') }).toThrow(/bucket.interval is "7m"; allowed/)
  refuse({ interval: interval('500ms') }).toThrow(/one second or more/)
  refuse({ maxBuckets: 0 }).toThrow('bucket.maxBuckets is 0; allowed is a whole number from 1 to 10000')
})

it.each(GRANULARITIES.filter((name) => name !== 'AUTO'))(
  'knows %s by the interval of its length, too',
  (granularity: Granularity) => {
    const lengths: Record<string, string> = {
      MINUTE: '1m',
      FIVE_MINUTES: 'PT5M',
      FIFTEEN_MINUTES: '900s',
      HOUR: '60m',
      DAY: '24h',
      WEEK: '7d',
      MONTH: 'P1M',
    }
    const span = range('2026-01-01T10:00:00Z', '2026-01-01T11:00:00Z')
    expect(bucketsOf(span, 'Europe/Paris', { interval: interval(lengths[granularity]!) })).toEqual(
      bucketsOf(span, 'Europe/Paris', { granularity }),
    )
  },
)

describe('ranges', () => {
  const now = Date.parse('2026-03-31T12:00:00Z')
  const resolve = (input: object) => resolveTimeRange('timeRange', input, now)

  it('reads from and to, from alone, and last', () => {
    const from = new Date('2026-03-01')
    expect(resolve({ from, to: new Date('2026-03-02') })).toEqual(range('2026-03-01T00:00:00Z', '2026-03-02T00:00:00Z'))
    expect(resolve({ from })).toEqual({ from: from.getTime(), to: now })
    expect(resolve({ last: interval('24h') })).toEqual({ from: now - 86_400_000, to: now })
    expect(resolve({ last: interval('1M') })).toEqual(range('2026-02-28T12:00:00Z', '2026-03-31T12:00:00Z'))
  })

  it('refuses what is no range', () => {
    const [early, late] = [new Date('2026-01-01'), new Date('2026-01-02')]
    expect(() => resolve({ from: late, to: early })).toThrow(
      /timeRange.from \(2026-01-02T00:00:00.000Z\) is not before timeRange.to/,
    )
    expect(() => resolve({ from: early, to: early })).toThrow(/is not before/)
    expect(() => resolve({})).toThrow(/no beginning/)
    expect(() => resolve({ to: early })).toThrow(/no beginning/)
    expect(() => resolve({ from: early, last: interval('1h') })).toThrow(/last beside from or to/)
    expect(() => resolve({ from: new Date('0999-01-01'), to: early })).toThrow(/timeRange.from is 0999/)
    expect(() => resolve({ from: new Date('2030-01-01') })).toThrow(/is not before/)
  })
})

describe('the period compared with', () => {
  const zone = createZone('Europe/Paris')
  const compare = (input: object, span: { from: number; to: number }) =>
    resolveComparison(input, span, zone, Date.parse('2027-01-01'))
  const shown = ({ range: { from, to } }: ReturnType<typeof compare>) => [
    formatLocal(from, zone),
    formatLocal(to, zone),
  ]

  it('is as long and just before', () => {
    expect(compare({}, range('2026-05-01T10:03:00Z', '2026-05-01T11:33:00Z')).range).toEqual(
      range('2026-05-01T08:33:00Z', '2026-05-01T10:03:00Z'),
    )
  })
  it('keeps whole days whole where clocks change', () => {
    const week = range('2026-03-28T23:00:00Z', '2026-04-04T22:00:00Z')
    expect(shown(compare({}, week))).toEqual(['2026-03-22T00:00:00+01:00', '2026-03-29T00:00:00+01:00'])
  })
  it('keeps whole months whole', () => {
    const march = range('2026-02-28T23:00:00Z', '2026-03-31T22:00:00Z')
    expect(shown(compare({}, march))).toEqual(['2026-02-01T00:00:00+01:00', '2026-03-01T00:00:00+01:00'])
  })
  it.each([
    ['PREVIOUS_DAY', '2026-03-28T10:00:00+01:00'],
    ['PREVIOUS_WEEK', '2026-03-22T10:00:00+01:00'],
    ['PREVIOUS_MONTH', '2026-02-28T10:00:00+01:00'],
    ['PREVIOUS_YEAR', '2025-03-29T10:00:00+01:00'],
  ])('%s is the same time of day', (period, expected) => {
    expect(shown(compare({ period }, range('2026-03-29T08:00:00Z', '2026-03-29T09:00:00Z')))[0]).toBe(expected)
  })
  it('can be any other, and needs both parts then', () => {
    const custom = { from: new Date('2026-01-01'), to: new Date('2026-01-02') }
    expect(compare({ custom }, range('2026-05-01T00:00:00Z', '2026-05-02T00:00:00Z')).range).toEqual(
      range('2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'),
    )
    expect(() => compare({ period: 'CUSTOM' }, range('2026-05-01T00:00:00Z', '2026-05-02T00:00:00Z'))).toThrow(
      /compareTo.custom/,
    )
    expect(() =>
      compare({ period: 'PREVIOUS_DAY', custom }, range('2026-05-01T00:00:00Z', '2026-05-02T00:00:00Z')),
    ).toThrow(/compareTo.custom/)
  })
})

it.each([
  ['5m', 300_000, 0],
  ['PT5M', 300_000, 0],
  ['1.5h', undefined, 0],
  ['P1D', 86_400_000, 0],
  ['P1DT12H', 129_600_000, 0],
  ['PT0.5S', 500, 0],
  ['2w', 1_209_600_000, 0],
  ['1M', 0, 1],
  ['P1Y6M', 0, 18],
  ['0m', undefined, 0],
  ['P', undefined, 0],
  ['PT', undefined, 0],
  ['P1M1D', undefined, 0],
  ['-5m', undefined, 0],
  ['5 m', undefined, 0],
  ['', undefined, 0],
])('reads the length %j as %s ms', (text, ms, months) => {
  expect(parseInterval(text)).toEqual(ms === undefined ? undefined : { ms, months, text })
})

it.each([
  ['UTC', true],
  ['Europe/Paris', true],
  ['America/Argentina/Buenos_Aires', true],
  ['Etc/GMT+5', true],
  ['+02:00', false],
  ['Mars/Olympus', false],
  ['', false],
  ['Europe/Paris; DROP', false],
])('takes %j for a time zone: %s', (name, expected) => {
  expect(isTimeZone(name)).toBe(expected)
})
