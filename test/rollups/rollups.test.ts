import { beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { createRollups, rowsOfDays } from '../../src/rollups/index.ts'
import { makeRows } from '../analytics/naive.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { insertLogs, type LogRow, random } from '../support/request-logs.ts'
import { close, rowsOf } from './support.ts'

const database = testDatabase()
/** What no run that counts has written is not seen. */
const empty = () => database.empty('request_logs', 'job_runs')
const HOURLY = ['address_hours', 'route_hours', 'service_hours', 'service_sketches', 'user_hours']
const ALL = [...HOURLY, 'route_days', 'service_days']
const HOUR = ['2026-11-20T10:00:00Z', '2026-11-20T11:00:00Z'] as const
const at = (minute: number) => new Date(Date.parse(HOUR[0]) + minute * 60_000)

const all = async (): Promise<Record<string, object[]>> =>
  Object.fromEntries(
    await Promise.all(ALL.map(async (view) => [view, await rowsOf(database.clickhouse, view)] as const)),
  )

const shuffled = <T>(list: readonly T[], seed: number): T[] => {
  const next = random(seed)
  return list
    .map((item) => ({ item, key: next() }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ item }) => item)
}

const fill = async (rows: readonly LogRow[], perInsert: number): Promise<void> => {
  await empty()
  for (let from = 0; from < rows.length; from += perInsert)
    await insertLogs(database.clickhouse, rows.slice(from, from + perInsert))
}

describe('the rows of a window', () => {
  const rows = makeRows(2_000, new Date('2026-11-20T00:00:00Z'), new Date('2026-11-20T02:00:00Z'), 5).map(
    (row, index) => ({
      ...row,
      host: 'www.example.com',
      referer: ['', 'https://Example.com/a', 'https://spam.example/x', 'https://www.other.example:8443/'][index % 4]!,
    }),
  )
  const hours = ['2026-11-20T00:00:00Z', '2026-11-20T02:00:00Z'] as const
  let inOrder: Record<string, object[]>

  const roll = async () => {
    await close(database.clickhouse, ...hours)
    await close(database.clickhouse, '2026-11-20T00:00:00Z', '2026-11-21T00:00:00Z', { job: 'daily' })
  }

  beforeAll(async () => {
    await fill(rows, 3_000)
    await roll()
    inOrder = await all()
  })

  it('are the same whatever the order of requests and of inserts', async () => {
    for (const view of ALL) expect(inOrder[view]!.length, view).toBeGreaterThan(2)
    await fill(shuffled(rows, 9), 350)
    await roll()
    expect(await all()).toEqual(inOrder)
  })

  it('are replaced when it is run again, also with requests that came late', async () => {
    const late = rows.filter((_, index) => index % 20 === 0)
    await fill(
      rows.filter((_, index) => index % 20 > 0),
      3_000,
    )
    await roll()
    expect(await all()).not.toEqual(inOrder)
    await insertLogs(database.clickhouse, late)
    await roll()
    expect(await all()).toEqual(inOrder)
  })

  it('are not seen while their run has not succeeded, nor are those of one that died', async () => {
    await database.empty('job_runs')
    await close(database.clickhouse, ...hours, { status: undefined })
    await close(database.clickhouse, ...hours, { status: 'failed' })
    for (const view of HOURLY) expect(await rowsOf(database.clickhouse, view), view).toEqual([])
    await close(database.clickhouse, ...hours)
    for (const view of HOURLY) expect(await rowsOf(database.clickhouse, view), view).toEqual(inOrder[view])
  })
})

const rollUp = async (rows: readonly Partial<LogRow>[]): Promise<Record<string, unknown>[]> => {
  await insertLogs(
    database.clickhouse,
    rows.map((row, index) => ({ timestamp: at(index), ip: '198.51.100.7', ...row })),
  )
  await close(database.clickhouse, ...HOUR)
  return (await rowsOf(database.clickhouse, 'address_hours')) as Record<string, unknown>[]
}

describe('an address', () => {
  beforeEach(empty)

  it('is counted with what it opened, what went wrong and what Vedette denied', async () => {
    const [row] = await rollUp([
      { path: '/a', responseBytes: 10 },
      { path: '/a', responseBytes: 5 },
      { path: '/b', status: 404 },
      { path: '/style.css' },
      { path: '/c', status: 500 },
      { path: '/c', status: 429, action: 'rate_limited' },
      { path: '/c', status: 403, action: 'blocked' },
    ])
    expect(row).toMatchObject({
      address: '::ffff:198.51.100.7',
      requests: 7,
      pages: 6,
      paths: 3,
      errors: 2,
      server_errors: 1,
      denied: 2,
      response_bytes: 15,
      first_seen: '2026-11-20 10:00:00.000',
      last_seen: '2026-11-20 10:06:00.000',
    })
  })

  it('of IPv6 is its /64, shown by the lowest address of it', async () => {
    const rows = await rollUp([{ ip: '2001:db8:0:1::9' }, { ip: '2001:db8:0:1::2' }, { ip: '2001:db8:0:2::1' }])
    expect(rows.map(({ address, ip, requests }) => [address, ip, requests])).toEqual([
      ['2001:db8:0:1::', '2001:db8:0:1::2', 2],
      ['2001:db8:0:2::', '2001:db8:0:2::1', 1],
    ])
  })

  it('has the user agent most used, of several such the last by name, and their number without absent ones', async () => {
    const [row] = await rollUp(['', 'curl', 'Firefox', 'curl', 'Firefox', '', ''].map((userAgent) => ({ userAgent })))
    expect(row).toMatchObject({ user_agent: '', user_agents: 2 })
    const [more] = await rollUp([
      { userAgent: 'curl' },
      { userAgent: 'curl' },
      { userAgent: 'Firefox' },
      { userAgent: 'Firefox' },
    ])
    expect(more).toMatchObject({ user_agent: 'curl', user_agents: 2 })
  })

  it('has the hosts of foreign referers and its services, in order, 20 at most', async () => {
    const many = Array.from({ length: 30 }, (_, index) => ({
      host: 'www.shop.example:8443',
      service: `s${String(index).padStart(2, '0')}`,
      referer: [
        'https://shop.example/x',
        'http://WWW.Shop.example:80/',
        '',
        `https://www.n${String(29 - index).padStart(2, '0')}.example/y`,
      ][index % 4]!,
    }))
    const [row] = await rollUp(many)
    expect(row!['services']).toEqual(many.slice(0, 20).map(({ service }) => service))
    expect(row!['referers']).toEqual(['n02', 'n06', 'n10', 'n14', 'n18', 'n22', 'n26'].map((name) => `${name}.example`))
  })

  it('has one place, a known one where any is known', async () => {
    const [row] = await rollUp([
      { country: '', city: '' },
      { country: 'DE', city: 'Bonn', asn: 1, asOrganization: 'One' },
      { country: 'FR', city: 'Arles', asn: 2, asOrganization: 'Two' },
    ])
    expect(row).toMatchObject({ country: 'FR', city: 'Arles', asn: 2, as_organization: 'Two' })
  })
})

it('users are seen by their successful requests alone', async () => {
  await empty()
  const seen = { ip: '198.51.100.7', userId: 'ann', country: 'DE' }
  await insertLogs(database.clickhouse, [
    { ...seen, timestamp: at(1) },
    { ...seen, timestamp: at(2), status: 302 },
    { ...seen, timestamp: at(3), status: 401 },
    { ...seen, timestamp: at(4), action: 'challenged' },
    { ...seen, timestamp: at(5), userId: '' },
  ])
  await close(database.clickhouse, ...HOUR)
  expect(await rowsOf(database.clickhouse, 'user_hours')).toMatchObject([
    {
      user_id: 'ann',
      address: '::ffff:198.51.100.7',
      country: 'DE',
      requests: 2,
      last_seen: '2026-11-20 10:02:00.000',
    },
  ])
})

it('a run says how many rows it read and wrote, and ends when it is aborted', async () => {
  await empty()
  await insertLogs(database.clickhouse, makeRows(50, at(0), at(60)))
  const [result] = await close(database.clickhouse, ...HOUR)
  const counts = await Promise.all(HOURLY.map(async (view) => (await rowsOf(database.clickhouse, view)).length))
  expect(result).toEqual({ rowsRead: 50 * HOURLY.length, rowsWritten: counts.reduce((a, b) => a + b) })
  const rollups = createRollups({ clickhouse: database.clickhouse })
  const window = { from: at(0), to: at(60) }
  await expect(rollups.run({ window, runId: '1', signal: AbortSignal.abort() })).rejects.toThrow(/cancelled/i)
  await expect(
    rollups.run({ window: { from: at(0), to: at(7) }, runId: '1', signal: new AbortController().signal }),
  ).rejects.toThrow('the window is 420 s long')
})

it('a day is counted anew when one of its hours is closed again', async () => {
  await empty()
  const { signal } = new AbortController()
  const [count, day] = [rowsOfDays(database.clickhouse), Date.parse('2026-11-20T00:00:00Z')]
  expect(await count(new Date(0), signal)).toEqual(new Map())
  await insertLogs(database.clickhouse, makeRows(30, at(0), at(120)))
  await close(database.clickhouse, HOUR[0], '2026-11-20T12:00:00Z')
  expect(await count(new Date(0), signal)).toEqual(new Map([[day, 30]]))
  const since = new Date()
  expect(await count(since, signal)).toEqual(new Map())
  await insertLogs(database.clickhouse, makeRows(5, at(0), at(60)))
  await close(database.clickhouse, ...HOUR)
  expect(await count(since, signal)).toEqual(new Map([[day, 35]]))
})
