import { describe, expect, it } from 'vitest'

import { raw } from '../../src/clickhouse/index.ts'
import { periodOf, reportId } from '../../src/reports/build/index.ts'
import { parseSection, readSections } from '../../src/reports/build/read.ts'
import { changed, quoted } from '../../src/reports/build/words.ts'
import type { Report, ReportKind, ReportScope } from '../../src/reports/types.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { insertFindings, noteRun } from '../support/findings.ts'
import { insertLogs } from '../support/request-logs.ts'
import { testBuilder } from './builder.ts'

const HOUR = 3_600_000

const scopeOf = (kind: ReportKind, at: string, timezone: string): ReportScope => ({
  kind,
  timezone,
  services: null,
  ...periodOf(kind, new Date(at), timezone),
})

it('says changes in words', () => {
  expect(
    [
      [112, 100],
      [97, 100],
      [100, 100],
      [1001, 1000],
      [5, 0],
      [0, 5],
    ].map(([now, then]) => changed(now!, then!)),
  ).toEqual(['up 12 %', 'down 3 %', 'unchanged', 'nearly unchanged', 'up from none', 'down 100 %'])
})

it('quotes what others named on one line, short, and without marks that turn text round', () => {
  expect(quoted('/a\r\nBcc: x\u202eevil')).toBe('"/a Bcc: x evil"')
  expect(quoted('x'.repeat(10_000))).toHaveLength(63)
})

describe('a file of a section', () => {
  it('stands in its order, names its window and what it is compared with, and is for some kinds', async () => {
    const files = await readSections()
    expect(files.map(({ id }) => id)).toEqual([
      'request-volume',
      'suspicious-addresses',
      'anomaly-detection',
      'geography',
      'rate-limits',
      'blocks',
      'errors',
      'pipeline',
    ])
    for (const { window, comparedWith, description } of files)
      expect([window, comparedWith, description]).not.toContain('')
    expect(files.filter(({ kinds }) => kinds.has('HOURLY')).map(({ id }) => id)).toEqual([
      'request-volume',
      'suspicious-addresses',
      'errors',
      'pipeline',
    ])
  })

  it.each([
    ['has no "title"', '-- kinds: DAILY\n-- order: 1\n-- statement: all\nSELECT 1'],
    ['of the kind "YEARLY"', '-- title: t\n-- kinds: DAILY, YEARLY'],
    ['an order that is no whole number', '-- title: t\n-- kinds: DAILY\n-- order: first'],
    ['has no statement', '-- title: t\n-- kinds: DAILY\n-- order: 1'],
  ])('is refused that %s', (message, text) => {
    expect(() => parseSection('own', `${text}\n`, new Map())).toThrow(message)
  })
})

const database = testDatabase()
const ready = testBuilder(database)

const figures = (report: Report, id: string): Record<string, number | null> =>
  Object.fromEntries(
    report.sections.find((section) => section.id === id)!.figures.map(({ label, value }) => [label, value]),
  )

const hourly = scopeOf('HOURLY', '2026-11-20T11:05:00Z', 'UTC')

describe('a report', () => {
  it('of an hour in which nothing happened is empty and says so', async () => {
    const report = await ready().builder.build(hourly)
    expect(report).toMatchObject({ empty: true, headline: 'No suspicious addresses, no requests' })
    expect(report.sections.map(({ lead }) => lead)).toEqual([
      'No requests; the hour before there were 0.',
      'Nobody was flagged, neither now nor the hour before.',
      'No server errors, neither now nor the hour before.',
      '0 hours were closed, none of them again for late rows; nothing is missing.',
    ])
  })

  it('is empty where nobody is as bad as was asked for, and its subject names the worst', async () => {
    const { clickhouse } = database
    await insertLogs(clickhouse, [
      { timestamp: new Date('2026-11-20T10:10:00Z'), ip: '192.0.2.1' },
      { timestamp: new Date('2026-11-20T10:20:00Z'), ip: '192.0.2.2' },
      { timestamp: new Date('2026-11-20T09:20:00Z'), ip: '192.0.2.2' },
    ])
    await noteRun(clickhouse, new Date('2026-11-20T09:00:00Z'), 1)
    await insertFindings(clickhouse, [
      { hour: hourly.period.from, address: '192.0.2.1', severity: 'HIGH', score: 70 },
      { hour: hourly.period.from, address: '192.0.2.2', severity: 'MEDIUM' },
      { hour: hourly.period.from, address: '192.0.2.3', mode: 'REPORT_ONLY', severity: 'CRITICAL' },
    ])
    const high = await ready().builder.build(hourly, { minSeverity: 'HIGH' })
    expect(high.empty).toBe(false)
    expect(high.headline).toMatch(/^1 address of high severity, requests /)
    expect(figures(high, 'suspicious-addresses')).toEqual({
      'Flagged addresses': 1,
      Critical: 0,
      High: 1,
      'New in 30 days': 1,
      Campaigns: 0,
    })
    expect((await ready().builder.build(hourly, { minSeverity: 'CRITICAL' })).empty).toBe(true)
  })

  it('counts new blocks by who made them, and those that are still in force', async () => {
    const from = new Date(Math.floor(Date.now() / (24 * HOUR)) * 24 * HOUR)
    const scope: ReportScope = {
      kind: 'DAILY',
      period: { from, to: new Date(from.getTime() + 48 * HOUR) },
      previous: { from: new Date(from.getTime() - 48 * HOUR), to: from },
      timezone: 'UTC',
      services: null,
    }
    const by = { by: 'test' }
    const { blockList } = ready()
    await blockList.addMany(
      ['192.0.2.1', '192.0.2.2'].map((cidr) => ({ cidr, source: 'AUTOMATIC' as const, reason: 'not_found_probing' })),
      by,
    )
    const manual = await blockList.add({ cidr: '198.51.100.0/24', reason: '=cmd()' }, by)
    await blockList.add({ cidr: '198.51.100.9', action: 'ALLOW', reason: 'a partner' }, by)
    await blockList.remove(manual.id, by)
    const report = await ready().builder.build(scope)
    expect(figures(report, 'blocks')).toEqual({
      'New automatic blocks': 2,
      'New manual blocks': 1,
      'Of the new ones still in force': 2,
      'Requests denied by the block list': 0,
    })
    const { rows } = report.sections.find(({ id }) => id === 'blocks')!.tables[0]!
    expect(rows.find(({ source }) => source === 'MANUAL')).toMatchObject({ cidr: '198.51.100.0/24', inForce: 'no' })
    expect(blockList.list().filter(({ action }) => action === 'BLOCK')).toHaveLength(rows.length)
  })

  it('refuses a scope that makes no sense', async () => {
    const { period, previous } = hourly
    await expect(ready().builder.build({ ...hourly, services: [] })).rejects.toThrow('services is empty')
    await expect(ready().builder.build({ ...hourly, period: previous, previous: period })).rejects.toThrow(
      'may not overlap',
    )
    await expect(ready().builder.build({ ...hourly, period: { from: period.to, to: period.from } })).rejects.toThrow(
      'period.from',
    )
  })

  it('has an id of what it is about', () => {
    const ids = [
      hourly,
      { ...hourly, services: ['a', 'b'] },
      { ...hourly, services: ['b', 'a'] },
      { ...hourly, timezone: 'Asia/Tokyo' },
    ].map(reportId)
    expect(ids[1]).toBe(ids[2])
    expect(new Set(ids).size).toBe(3)
  })

  it('knows hours that were closed again because rows came late', async () => {
    const { clickhouse } = database
    await clickhouse.command(
      raw(
        "INSERT INTO job_runs (job, window_from, window_to, run_id, status, window_rows, started_at, finished_at, error, recorded_at) VALUES ('hourly', '2026-11-21 10:00:00', '2026-11-21 11:00:00', 5, 'succeeded', 100, now64(3), now64(3), '', now64(6)), ('hourly', '2026-11-21 10:00:00', '2026-11-21 11:00:00', 6, 'succeeded', 120, now64(3), now64(3) + 1, '', now64(6)), ('hourly', '2026-11-21 11:00:00', '2026-11-21 12:00:00', 7, 'failed', 50, now64(3), now64(3), 'no room; it is tried again', now64(6))",
      ),
    )
    const day = await ready().builder.build(scopeOf('DAILY', '2026-11-22T07:00:00Z', 'UTC'))
    expect(figures(day, 'pipeline')).toEqual({
      'Hours closed': 1,
      'Closed again for late rows': 1,
      Failed: 1,
      'Not closed': 0,
      'Rows received in these hours': 120,
    })
    const { tables, advice } = day.sections.find(({ id }) => id === 'pipeline')!
    expect(tables[0]!.rows).toEqual([
      { hour: new Date('2026-11-21T11:00Z'), attempt: 0, error: 'no room; it is tried again' },
    ])
    expect(advice).toContain('vedette jobs')
  })
})
