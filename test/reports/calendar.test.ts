import { describe, expect, it } from 'vitest'

import { bucketsOf, periodOf } from '../../src/reports/build/calendar.ts'
import { reportAt } from '../../src/reports/place.ts'
import type { ReportKind, ReportScope } from '../../src/reports/types.ts'

const HOUR = 3_600_000

describe('the last whole period before an instant', () => {
  it.each<[ReportKind, string, string, string, string, string]>([
    ['HOURLY', 'UTC', '2026-11-20T09:07:30Z', '2026-11-20T07:00Z', '2026-11-20T08:00Z', '2026-11-20T09:00Z'],
    ['HOURLY', 'UTC', '2026-11-20T09:00:00Z', '2026-11-20T07:00Z', '2026-11-20T08:00Z', '2026-11-20T09:00Z'],
    ['HOURLY', 'Asia/Kolkata', '2026-11-20T09:07:00Z', '2026-11-20T06:30Z', '2026-11-20T07:30Z', '2026-11-20T08:30Z'],
    ['DAILY', 'UTC', '2026-11-20T09:07:00Z', '2026-11-18T00:00Z', '2026-11-19T00:00Z', '2026-11-20T00:00Z'],
    [
      'DAILY',
      'Europe/Paris',
      '2026-11-20T00:00:00+01:00',
      '2026-11-17T23:00Z',
      '2026-11-18T23:00Z',
      '2026-11-19T23:00Z',
    ],
    // The clocks went forward on the 29th of March and back on the 25th of October.
    [
      'DAILY',
      'Europe/Paris',
      '2026-03-30T07:00:00+02:00',
      '2026-03-27T23:00Z',
      '2026-03-28T23:00Z',
      '2026-03-29T22:00Z',
    ],
    [
      'DAILY',
      'Europe/Paris',
      '2026-10-26T07:00:00+01:00',
      '2026-10-23T22:00Z',
      '2026-10-24T22:00Z',
      '2026-10-25T23:00Z',
    ],
    [
      'DAILY',
      'America/New_York',
      '2026-11-02T06:00:00-05:00',
      '2026-10-31T04:00Z',
      '2026-11-01T04:00Z',
      '2026-11-02T05:00Z',
    ],
    // No midnight on the 24th of April: the day begins at one.
    [
      'DAILY',
      'Africa/Cairo',
      '2026-04-25T12:00:00+03:00',
      '2026-04-22T22:00Z',
      '2026-04-23T22:00Z',
      '2026-04-24T21:00Z',
    ],
    ['WEEKLY', 'UTC', '2026-11-23T00:00:00Z', '2026-11-09T00:00Z', '2026-11-16T00:00Z', '2026-11-23T00:00Z'],
    ['WEEKLY', 'UTC', '2026-11-22T23:59:59Z', '2026-11-02T00:00Z', '2026-11-09T00:00Z', '2026-11-16T00:00Z'],
    [
      'WEEKLY',
      'Europe/Paris',
      '2026-10-26T07:00:00+01:00',
      '2026-10-11T22:00Z',
      '2026-10-18T22:00Z',
      '2026-10-25T23:00Z',
    ],
    ['MONTHLY', 'UTC', '2027-01-01T06:00:00Z', '2026-11-01T00:00Z', '2026-12-01T00:00Z', '2027-01-01T00:00Z'],
    ['MONTHLY', 'Europe/Paris', '2028-03-15T06:00:00Z', '2027-12-31T23:00Z', '2028-01-31T23:00Z', '2028-02-29T23:00Z'],
  ])('%s in %s at %s', (kind, timezone, at, before, from, to) => {
    const { period, previous } = periodOf(kind, new Date(at), timezone)
    expect([previous.from, previous.to, period.from, period.to]).toEqual(
      [before, from, from, to].map((text) => new Date(text)),
    )
  })

  // Islands that went over the date line.
  it.each([
    ['Pacific/Apia', '2011-12-30'],
    ['Pacific/Kwajalein', '1993-08-21'],
    ['Pacific/Kiritimati', '1994-12-31'],
  ])('is never a day that %s left out, and going back does not stay there', (timezone, missing) => {
    const name = (at: Date): string => at.toLocaleDateString('sv-SE', { timeZone: timezone })
    const days: string[] = []
    let at = new Date(Date.parse(missing) + 4 * 24 * HOUR)
    for (let back = 0; back < 6; back++) {
      const { period, previous } = periodOf('DAILY', at, timezone)
      expect(period.to.getTime() - period.from.getTime()).toBe(24 * HOUR)
      expect(previous.to.getTime() - previous.from.getTime()).toBe(24 * HOUR)
      expect(periodOf('DAILY', period.from, timezone).period).toEqual(previous)
      days.push(name(period.from))
      at = period.from
    }
    expect(new Set(days).size).toBe(6)
    expect(days).not.toContain(missing)
    const wanted = { kind: 'DAILY', timezone, services: null } as const
    expect(reportAt(wanted, missing, new Date())).toBeUndefined()
    expect(reportAt(wanted, days[2]!, new Date())?.period[0]).toBeDefined()
  })

  it('refuses a zone that there is not', () => {
    expect(() => periodOf('DAILY', new Date(), 'Europe/Nowhere')).toThrow(RangeError)
  })
})

const scopeOf = (kind: ReportKind, at: string, timezone: string): ReportScope => ({
  kind,
  timezone,
  services: null,
  ...periodOf(kind, new Date(at), timezone),
})

describe('the points of a chart', () => {
  it('are 25 hours on a day that has as many, each compared with the same hour by the clock', () => {
    const { points } = bucketsOf(scopeOf('DAILY', '2026-10-26T07:00:00+01:00', 'Europe/Paris'))
    expect(points).toHaveLength(25)
    const [twice, again, after] = points.slice(2, 5)
    expect(twice!.previous).toBe(again!.previous)
    expect(after!.previous).toBe(twice!.previous! + HOUR)
    expect(points.at(-1)!.previous).toBe(Date.parse('2026-10-24T21:00Z'))
  })

  it('leave out what the day before did not have', () => {
    const { points } = bucketsOf(scopeOf('DAILY', '2026-03-31T07:00:00+02:00', 'Europe/Paris'))
    expect(points.map(({ previous }) => previous === null)).toEqual(Array.from({ length: 24 }, (_, hour) => hour === 2))
  })

  it('are days of a month, compared by their number', () => {
    const { points, edges } = bucketsOf(scopeOf('MONTHLY', '2026-04-01T00:00:00+02:00', 'Europe/Paris'))
    expect(points).toHaveLength(31)
    expect(points[28]!.previous).toBeNull()
    expect(edges).toHaveLength(28 + 31 + 1)
    expect(edges).toEqual(edges.toSorted((a, b) => a - b))
  })
})
