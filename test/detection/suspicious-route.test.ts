import { afterAll, beforeAll, expect, it } from 'vitest'

import {
  createDetectors,
  createSuspicious,
  createSuspiciousIpsRoute,
  readDetectors,
} from '../../src/detection/index.ts'
import { createBlockList } from '../../src/ratelimit/index.ts'
import { createRedis } from '../../src/redis/index.ts'
import { COLLECTOR, principal, READER, testServer } from '../http/support.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'
import { insertFindings } from '../support/findings.ts'

const database = testDatabase()
const BOUND = 'vdt_bound00000000000000000000000'
const server = testServer({
  authenticate: (secret) =>
    ({
      [READER]: principal('SECURITY_READ'),
      [COLLECTOR]: principal('LOGS_READ'),
      [BOUND]: { ...principal('SECURITY_READ'), services: ['blog'] },
    })[secret],
})
const HOUR = 3_600_000
const hour = (ago: number) => new Date((Math.floor(Date.now() / HOUR) - ago) * HOUR)
const redis = createRedis([], { log: silent })
const closers: (() => Promise<void>)[] = []

beforeAll(async () => {
  await redis.start()
  const stores = { clickhouse: database.clickhouse, redis, log: silent, dataDir: undefined }
  const blockList = createBlockList({ ...stores, trustedProxies: [] })
  const detectors = createDetectors({ ...stores, files: await readDetectors() })
  const suspicious = createSuspicious({ ...stores, detectors, blockList })
  closers.push(suspicious.stop, detectors.stop, blockList.stop, redis.stop)
  await Promise.all([blockList.start(), detectors.start(), suspicious.start()])
  createSuspiciousIpsRoute({ suspicious, detectors, publicUrl: 'https://vedette.example' }).routes(server.server.app)
  await server.start()
  await blockList.add({ cidr: '203.0.113.0/28', reason: 'scans' }, { by: 'cli' })
  await insertFindings(database.clickhouse, [
    {
      hour: hour(2),
      address: '203.0.113.7',
      observed: 57,
      requests: 60,
      errors: 57,
      score: 44,
      country: 'DE',
      city: 'Köln',
    },
    { hour: hour(2), address: '203.0.113.7', detector: 'burst', severity: 'LOW', score: 20, requests: 60, errors: 57 },
    ...Array.from({ length: 4 }, (_, index) => ({
      hour: hour(3 + index),
      address: `198.51.100.${index}`,
      detector: 'burst',
      services: ['blog'],
    })),
  ])
})
afterAll(async () => {
  await server.server.stop()
  for (const close of closers) await close()
})

const get = async (query = '', secret = READER) => {
  const response = await fetch(`${server.url}/api/suspicious-ips/${query}`, {
    headers: { authorization: `Token ${secret}` },
  })
  return { status: response.status, body: await response.json() }
}

it('has the fields of its predecessor, flagged last first', async () => {
  const { status, body } = await get('?page_size=1')
  expect(status).toBe(200)
  expect(body).toEqual({
    count: 5,
    next: 'https://vedette.example/api/suspicious-ips/?page=2&page_size=1',
    previous: null,
    results: [
      {
        ip_address: '203.0.113.7',
        detection_type: 'not_found_probing',
        flagged_at: hour(1).toISOString(),
        is_blocked: true,
        details: {
          observed: 57,
          threshold: 11,
          unit: 'paths',
          window_from: hour(2).toISOString(),
          window_to: hour(1).toISOString(),
          severity: 'MEDIUM',
          score: 55.2,
          detection_types: ['burst', 'not_found_probing'],
          request_count: 60,
          error_rate: 0.95,
          first_seen: hour(2).toISOString(),
          last_seen: new Date(hour(1).getTime() - 1_000).toISOString(),
          country: 'Germany',
          city: 'Köln',
          services: ['shop'],
          status: 'OPEN',
        },
      },
    ],
  })
})

it('leads through its pages, and says so where there is none', async () => {
  const second = (await get('?page=2&page_size=2')).body
  expect(second.results.map((row: { ip_address: string }) => row.ip_address)).toEqual(['198.51.100.1', '198.51.100.2'])
  expect(second.previous).toBe('https://vedette.example/api/suspicious-ips/?page_size=2')
  expect((await get('?page=last&page_size=2')).body.results).toHaveLength(1)
  for (const page of ['4', '0', 'x'])
    expect(await get(`?page=${page}&page_size=2`)).toEqual({ status: 404, body: { detail: 'Invalid page.' } })
})

it('is of one kind where that is asked for, and of the services of its key', async () => {
  const { body } = await get('?detection_type=burst&page_size=3')
  expect([body.count, body.next]).toEqual([
    4,
    'https://vedette.example/api/suspicious-ips/?detection_type=burst&page=2&page_size=3',
  ])
  expect((await get('', BOUND)).body.count).toBe(4)
})

it('is for SECURITY_READ alone', async () => {
  expect((await get('', COLLECTOR)).status).toBe(403)
  expect((await get('', 'vdt_none')).status).toBe(401)
})
