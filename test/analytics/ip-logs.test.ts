import { afterAll, beforeAll, expect, it } from 'vitest'

import { createAnalytics, createIpLogs } from '../../src/analytics/index.ts'
import { COLLECTOR, principal, READER, testServer } from '../http/support.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { insertLogs } from '../support/request-logs.ts'

const database = testDatabase()
const BOUND = 'vdt_bound00000000000000000000000'
const server = testServer({
  authenticate: (secret) =>
    ({
      [READER]: principal('LOGS_READ'),
      [COLLECTOR]: principal('COLLECT'),
      [BOUND]: { ...principal('LOGS_READ'), services: ['blog'] },
    })[secret],
})

beforeAll(async () => {
  createIpLogs({
    analytics: createAnalytics({ clickhouse: database.clickhouse }),
    publicUrl: 'https://vedette.example',
  }).routes(server.server.app)
  await server.start()
  await insertLogs(
    database.clickhouse,
    Array.from({ length: 250 }, (_, row) => ({
      timestamp: new Date(Date.parse('2026-05-01') + row * 600_000),
      ip: '192.0.2.7',
      row,
      path: `/${row}`,
      service: row % 10 === 0 ? 'blog' : 'shop',
    })),
  )
  await insertLogs(database.clickhouse, [
    {
      timestamp: new Date('2026-05-20T10:00:00.5Z'),
      ip: '2001:db8::1',
      batch: 2,
      method: 'POST',
      path: '/newest',
      userAgent: 'curl',
      country: 'DE',
      city: 'Köln',
    },
  ])
})
afterAll(() => server.server.stop())

const get = async (query = '', secret = READER) => {
  const response = await fetch(`${server.url}/api/ip-logs/${query}`, { headers: { authorization: `Token ${secret}` } })
  return { status: response.status, body: await response.json() }
}

it('has the fields of its predecessor, newest first', async () => {
  const { status, body } = await get('?page_size=2')
  expect(status).toBe(200)
  expect(body).toEqual({
    count: 251,
    next: 'https://vedette.example/api/ip-logs/?page=2&page_size=2',
    previous: null,
    results: [
      {
        ip_address: '2001:db8::1',
        timestamp: '2026-05-20T10:00:00.500Z',
        path: '/newest',
        method: 'POST',
        user_agent: 'curl',
        country: 'Germany',
        city: 'Köln',
      },
      {
        ip_address: '192.0.2.7',
        timestamp: '2026-05-02T17:30:00.000Z',
        path: '/249',
        method: 'GET',
        user_agent: '',
        country: null,
        city: null,
      },
    ],
  })
})

it('leads through all pages by next, and back by previous', async () => {
  const paths: string[] = []
  let next: string | null = '?page_size=40'
  let last = ''
  while (next) {
    const { body } = await get(next)
    paths.push(...body.results.map(({ path }: { path: string }) => path))
    last = next
    next = body.next && new URL(body.next).search
  }
  expect(paths).toEqual(['/newest', ...Array.from({ length: 250 }, (_, index) => `/${249 - index}`)])
  expect((await get('?page=last&page_size=40')).body).toEqual((await get(last)).body)
  expect((await get('?page=2&page_size=40')).body.previous).toBe('https://vedette.example/api/ip-logs/?page_size=40')
  expect((await get()).body.results).toHaveLength(100)
  expect((await get('?page_size=5000')).body.results).toHaveLength(251)
  expect((await get('?page_size=none')).body.results).toHaveLength(100)
})

it.each(['0', '-1', 'x', '1.5', '99', ''])('answers 404 for page %j, as it was', async (page) => {
  expect(await get(`?page=${page}&page_size=40`)).toEqual({ status: 404, body: { detail: 'Invalid page.' } })
})

it('is for keys with LOGS_READ, and shows a bound key its services only', async () => {
  expect((await get('', 'wrong')).status).toBe(401)
  expect((await get('', COLLECTOR)).status).toBe(403)
  const { body } = await get('?page_size=1000', BOUND)
  expect([body.count, body.results.length]).toEqual([25, 25])
})
