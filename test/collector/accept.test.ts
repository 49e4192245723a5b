import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'

import { beforeEach, describe, expect, test } from 'vitest'

import { sql } from '../../src/clickhouse/index.ts'
import { testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'

const database = testDatabase()
const service = testApp(database)
const { post, request } = service
beforeEach(() => database.empty('request_logs'))

const row = { timestamp: '2026-10-01T12:00:00.123Z', ip: '8.8.8.8', method: 'GET', path: '/a', status: 200 }
const stored = { query: '?wait=stored' }
const rows = async (): Promise<Record<string, unknown>[]> =>
  (await database.clickhouse.query<Record<string, unknown>>(sql`SELECT * FROM request_logs ORDER BY timestamp, row`))
    .rows

test('every field of a request log reaches its column', async () => {
  const { status, body } = await post(
    {
      ...row,
      path: '/search?q=é&token=s3cret',
      service: 'shop',
      host: 'shop.example',
      route: '/search',
      protocol: 'HTTP/2',
      userAgent: 'curl/8',
      referer: 'https://a.example/?code=abc#top',
      userId: 'u1',
      traceId: 't1',
      durationMs: 12.5,
      requestBytes: 0,
      responseBytes: 1234,
      action: 'rate_limited',
      policyId: 'p1',
      attributes: { region: 'eu', retries: 2, cached: false },
      extra: 'kept',
    },
    stored,
  )
  expect(status).toBe(202)
  expect(body).toMatchObject({ accepted: 1, rejected: 0, errors: [], stored: true })
  expect(await rows()).toEqual([
    expect.objectContaining({
      timestamp: '2026-10-01 12:00:00.123',
      row: 0,
      ip: '::ffff:8.8.8.8',
      country: 'US',
      service: 'shop',
      host: 'shop.example',
      method: 'GET',
      path: '/search',
      route: '/search',
      query: 'q=é&token=***',
      protocol: 'HTTP/2',
      status_code: 200,
      duration_ms: 12.5,
      request_bytes: 0,
      response_bytes: 1234,
      user_agent: 'curl/8',
      referer: 'https://a.example/?code=***#top',
      user_id: 'u1',
      trace_id: 't1',
      action: 'rate_limited',
      policy_id: 'p1',
      attributes: '{"region":"eu","retries":2,"cached":false,"extra":"kept"}',
    }),
  ])
  expect(
    await database.clickhouse.query(sql`SELECT 1 FROM request_logs WHERE toString(batch) = ${String(body.batchId)}`),
  ).toMatchObject({
    rows: [{ 1: 1 }],
  })
})

test('absent numbers are absent, not 0, and a row without a time gets that of its arrival', async () => {
  const before = Date.now()
  await post({ ip: '::1', method: 'POST', path: '/', status: 204 }, stored)
  const [stored1] = await rows()
  expect(stored1).toMatchObject({
    duration_ms: null,
    request_bytes: null,
    response_bytes: null,
    service: 'unknown_service',
    country: '',
  })
  const at = Date.parse(`${String(stored1!['timestamp']).replace(' ', 'T')}Z`)
  expect(at).toBeGreaterThanOrEqual(before)
  expect(at).toBeLessThanOrEqual(Date.now())
})

test("snake_case and the original's names are read as well", async () => {
  await post(
    [
      {
        ip_address: '1.1.1.1',
        timestamp: 1_790_856_000,
        method: 'GET',
        path: '/o',
        status_code: 404,
        user_agent: 'a',
        user_id: 'u',
        duration_ms: 3,
      },
      { client_ip: '1.0.0.1', timestamp: 1_790_856_000_500, method: 'GET', request_path: '/p', status: '301' },
    ],
    stored,
  )
  expect(await rows()).toMatchObject([
    {
      ip: '::ffff:1.1.1.1',
      timestamp: '2026-10-01 12:00:00.000',
      status_code: 404,
      user_agent: 'a',
      user_id: 'u',
      duration_ms: 3,
    },
    { ip: '::ffff:1.0.0.1', timestamp: '2026-10-01 12:00:00.500', path: '/p', status_code: 301 },
  ])
})

test.each([
  ['RFC 3339 with an offset', '2026-10-01T14:00:00.5+02:00', '2026-10-01 12:00:00.500'],
  ['RFC 3339 without a fraction', '2026-10-01T12:00:00Z', '2026-10-01 12:00:00.000'],
  ['RFC 3339 with microseconds', '2026-10-01T12:00:00.123456+00:00', '2026-10-01 12:00:00.123'],
  ['a leap second', '2016-12-31T23:59:60Z', '2016-12-31 23:59:59.999'],
  ['epoch in s', 1_790_856_000.25, '2026-10-01 12:00:00.250'],
  ['epoch in ms', 1_790_856_000_250, '2026-10-01 12:00:00.250'],
  ['epoch in µs', 1_790_856_000_250_000, '2026-10-01 12:00:00.250'],
  ['epoch in ns, as text', '1790856000250000000', '2026-10-01 12:00:00.250'],
  ['1990', '1990-01-01T00:00:00Z', '1990-01-01 00:00:00.000'],
])('a timestamp may be %s', async (_name, timestamp, expected) => {
  await post({ ...row, timestamp }, stored)
  expect(await rows()).toMatchObject([{ timestamp: expected }])
})

test.each([
  ['::ffff:1.2.3.4', '::ffff:1.2.3.4'],
  ['2001:DB8:0:0::1', '2001:db8::1'],
  ['::', '::'],
  ['64:ff9b::1.2.3.4', '64:ff9b::102:304'],
])('the address %s is stored as %s', async (ip, expected) => {
  await post({ ...row, ip }, stored)
  expect(await rows()).toMatchObject([{ ip: expected }])
})

const encodings = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync, zstd: zstdCompressSync }
test.each(Object.entries(encodings))('a body may come in %s', async (encoding, pack) => {
  const { status } = await post(pack(JSON.stringify([row, row])), {
    ...stored,
    headers: { 'content-encoding': encoding },
  })
  expect(status).toBe(202)
  expect(await rows()).toHaveLength(2)
})

test('deflate without its zlib header, as some clients send it, is read', async () => {
  const { status } = await post(deflateRawSync(JSON.stringify(row)), {
    ...stored,
    headers: { 'content-encoding': 'deflate' },
  })
  expect(status).toBe(202)
})

test('good rows of a mixed body are taken, and each bad one is named by its place and field', async () => {
  const { status, body } = await post([row, { ...row, ip: 'nobody' }, 7, { ...row, status: 99 }, row], stored)
  expect(status).toBe(202)
  expect(body).toMatchObject({
    accepted: 2,
    rejected: 3,
    errors: [
      { index: 1, field: 'ip', message: 'ip is "nobody"; allowed is an IPv4 or IPv6 address without port or zone' },
      { index: 2, field: '', message: 'the row is 7; allowed is an object' },
      { index: 3, field: 'status', message: 'status is 99; allowed is a whole number from 100 to 599' },
    ],
  })
  expect(await rows()).toHaveLength(2)
})

test('in NDJSON a broken line costs only itself', async () => {
  const lines = [JSON.stringify(row), '{"ip": broken', '', JSON.stringify(row)].join('\n')
  const { status, body } = await post(lines, { ...stored, headers: { 'content-type': 'application/x-ndjson' } })
  expect(status).toBe(202)
  expect(body).toMatchObject({ accepted: 2, rejected: 1, errors: [{ index: 1, field: '' }] })
})

test('10,000 rows with text of every kind come back as they were sent', async () => {
  const sent = Array.from({ length: 10_000 }, (_, n) => ({
    ...row,
    path: `/${n}/"\\\u0000\u001f\u2028😀`,
    timestamp: 1_790_856_000_000 + n,
  }))
  const { body } = await post(sent, stored)
  expect(body).toMatchObject({ accepted: 10_000, stored: true })
  const back = await rows()
  expect(back.map(({ path }) => path)).toEqual(sent.map(({ path }) => path))
})

test('rows of more than a hundred days in one body are all stored', async () => {
  const sent = Array.from({ length: 120 }, (_, day) => ({ ...row, timestamp: Date.UTC(2020, 0, 1 + day) }))
  const { body } = await post(sent, stored)
  expect(body).toMatchObject({ accepted: 120, stored: true })
  expect(await rows()).toHaveLength(120)
})

test('at most 100 errors are listed, and all are counted', async () => {
  const { body } = await post([row, ...Array.from({ length: 250 }, () => ({}))], stored)
  expect(body).toMatchObject({ accepted: 1, rejected: 250 })
  expect(body.errors).toHaveLength(100)
})

const once = (key: string, body: unknown = row) => post(body, { ...stored, headers: { 'idempotency-key': key } })

describe('Idempotency-Key', () => {
  test('the same request again gets the same answer and stores nothing', async () => {
    const first = await once('k1')
    const second = await once('k1')
    expect(second).toMatchObject({ status: 202, body: first.body })
    expect(await rows()).toHaveLength(1)
  })

  test('many at once store once', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => once('k2')))
    expect(new Set(answers.map(({ body }) => body.batchId)).size).toBe(1)
    expect(await rows()).toHaveLength(1)
  })

  test('another body under the same key is refused', async () => {
    await once('k3')
    const { status, body } = await once('k3', { ...row, path: '/other' })
    expect(status).toBe(422)
    expect(body.detail).toMatch(/another body/)
    expect(await rows()).toHaveLength(1)
  })

  test('a refused request leaves its key free', async () => {
    expect((await once('k4', { ...row, ip: '' })).status).toBe(422)
    expect((await once('k4')).status).toBe(202)
  })

  test('is known for each API key by itself', async () => {
    const { secret } = await service.app.keys.create({ name: 'other', scopes: ['COLLECT'], by: 'system' })
    await once('k5')
    await post(row, { ...stored, headers: { 'idempotency-key': 'k5', authorization: `Bearer ${secret}` } })
    expect(await rows()).toHaveLength(2)
  })
})

describe('keys', () => {
  test('a key that is bound to services writes only those, and its only one by default', async () => {
    const { secret } = await service.app.keys.create({
      name: 'bound',
      scopes: ['COLLECT'],
      services: ['shop'],
      by: 'system',
    })
    const headers = { authorization: `Bearer ${secret}` }
    const { body } = await post([row, { ...row, service: 'shop' }, { ...row, service: 'bank' }], { ...stored, headers })
    expect(body).toMatchObject({
      accepted: 2,
      rejected: 1,
      errors: [{ index: 2, field: 'service', message: 'service is "bank"; this API key writes only shop' }],
    })
    expect(await rows()).toMatchObject([{ service: 'shop' }, { service: 'shop' }])
  })

  test('without a key 401, without the scope 403, both as problem+json', async () => {
    const { secret } = await service.app.keys.create({ name: 'reader', scopes: ['LOGS_READ'], by: 'system' })
    for (const [authorization, status] of [
      ['Bearer nobody', 401],
      [`Bearer ${secret}`, 403],
    ] as const) {
      const response = await request('/v1/requests', {
        method: 'POST',
        body: '{}',
        headers: { authorization, 'content-type': 'application/json' },
      })
      expect(response.status).toBe(status)
      expect(response.headers.get('content-type')).toMatch('application/problem+json')
    }
  })
})
