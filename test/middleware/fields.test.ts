import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createConnection } from 'node:net'

import express from 'express'
import { fastify } from 'fastify'
import { expect, onTestFinished, test } from 'vitest'

import { temporaryFolder, testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { freshService, get, serve, storedOf, vedetteFor } from './support.ts'

const database = testDatabase()
const app = testApp(database)

const answer = (_request: unknown, response: { end: () => unknown }) => response.end()

const stored = (service: string, rows: number) =>
  expect.poll(() => storedOf(database.clickhouse, service).then((found) => found.length)).toBe(rows)

test('a request to node:http is stored with every field that HTTP has of it', async () => {
  const service = freshService()
  const { vedette } = vedetteFor({ url: app.url, key: app.key, service })
  const url = await serve(
    vedette.http((request, response) => {
      request.resume()
      request.on('end', () => {
        response.writeHead(201, { 'content-type': 'text/plain', 'content-length': 7 })
        response.end('created')
      })
    }),
  )
  const before = Date.now()
  await get(`${url}/orders?sort=up`, {
    method: 'POST',
    body: 'hello',
    headers: {
      host: 'shop.example',
      'user-agent': 'Probe/1.0 "quoted" \\',
      referer: 'https://example.com/from',
      traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
      'content-length': 5,
    },
  })
  expect(await vedette.flush()).toBe(true)
  await stored(service, 1)
  const [row] = await storedOf(database.clickhouse, service)
  expect(row).toMatchObject({
    ip: '::ffff:127.0.0.1',
    service,
    method: 'POST',
    path: '/orders',
    query: 'sort=up',
    route: '',
    status_code: 201,
    host: 'shop.example',
    protocol: 'HTTP/1.1',
    user_agent: 'Probe/1.0 "quoted" \\',
    referer: 'https://example.com/from',
    trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
    request_bytes: 5,
    response_bytes: 7,
    user_id: '',
    action: 'allowed',
    policy_id: '',
    attributes: '',
  })
  expect(row!.duration_ms).toBeGreaterThan(0)
  expect(row!.duration_ms).toBeLessThan(Date.now() - before + 1)
  const timestamp = Date.parse(`${row!.timestamp.replace(' ', 'T')}Z`)
  // The clock on the wall and the steady one may differ by a millisecond.
  expect(timestamp).toBeGreaterThanOrEqual(before - 1)
  expect(timestamp).toBeLessThanOrEqual(Date.now() + 1)
})

test('Express: the path is the one that was asked for and the route its pattern, also in a router mounted elsewhere', async () => {
  const service = freshService()
  const { vedette } = vedetteFor<express.Request & { account?: string }>({
    url: app.url,
    key: app.key,
    service,
    user: (request) => request.account,
    attributes: (request) => ({ tenant: String(request.params['tenant'] ?? ''), beta: true, cart: 3, name: 'Žižka' }),
  })
  const server = express()
  server.use(vedette.express())
  server.use((request, _response, next) => {
    ;(request as { account?: string }).account = 'u-42'
    next()
  })
  const router = express.Router()
  router.get('/items/:id', (_request, response) => {
    response.json({ ok: true })
  })
  server.use('/shop', router)
  server.get('/t/:tenant', (_request, response) => {
    response.send('hello')
  })
  const url = await serve(server)
  expect((await get(`${url}/shop/items/7?x=1`)).status).toBe(200)
  expect((await get(`${url}/t/acme`)).status).toBe(200)
  expect((await get(`${url}/nothing`)).status).toBe(404)
  await vedette.flush()
  await stored(service, 3)
  const rows = await storedOf(database.clickhouse, service)
  expect(rows[0]).toMatchObject({
    path: '/shop/items/7',
    query: 'x=1',
    route: '/shop/items/:id',
    user_id: 'u-42',
    response_bytes: 11,
  })
  expect(rows[1]).toMatchObject({ path: '/t/acme', route: '/t/:tenant' })
  expect(JSON.parse(rows[1]!.attributes)).toEqual({ tenant: 'acme', beta: true, cart: 3, name: 'Žižka' })
  expect(rows[2]).toMatchObject({ path: '/nothing', route: '', status_code: 404 })
})

test('Fastify: one register covers the whole app, plugins, unknown paths and errors too, and closing the app sends the rest', async () => {
  const service = freshService()
  const { vedette } = vedetteFor<{ headers: Record<string, unknown> }>({
    url: app.url,
    key: app.key,
    service,
    user: ({ headers }) => headers['x-user'] as string | undefined,
    skip: ({ headers }) => headers['x-probe'] !== undefined,
  })
  const server = fastify()
  await server.register(vedette.fastify())
  server.get('/users/:id', () => ({ ok: true }))
  await server.register(
    async (inner) => {
      inner.get('/fails', () => {
        throw new Error('no')
      })
    },
    { prefix: '/v2' },
  )
  const url = await server.listen({ port: 0, host: '127.0.0.1' })
  onTestFinished(() => server.close())
  await get(`${url}/users/1?page=2`, { headers: { 'x-user': 'u-1' } })
  await get(`${url}/v2/fails`)
  await get(`${url}/nowhere`)
  await get(`${url}/users/2`, { headers: { 'x-probe': '1' } })
  await server.close()
  expect(vedette.stats()).toMatchObject({ queued: 0, sent: 3, dropped: 0, faults: 0 })
  await stored(service, 3)
  const rows = await storedOf(database.clickhouse, service)
  expect(rows[0]).toMatchObject({
    path: '/users/1',
    query: 'page=2',
    route: '/users/:id',
    user_id: 'u-1',
    response_bytes: 11,
  })
  expect(rows[1]).toMatchObject({ path: '/v2/fails', route: '/v2/fails', status_code: 500 })
  expect(rows[2]).toMatchObject({ path: '/nowhere', route: '', status_code: 404 })
})

test('the hook for the route wins over what the framework says', async () => {
  const service = freshService()
  const { vedette } = vedetteFor({ url: app.url, key: app.key, service, route: () => '/own/:pattern' })
  const url = await serve(vedette.http((_request, response) => response.end()))
  await get(`${url}/own/1`)
  await vedette.flush()
  await stored(service, 1)
  expect((await storedOf(database.clickhouse, service))[0]!.route).toBe('/own/:pattern')
})

test('HTTP/1.0 without a Host, an answer in chunks, and several requests on one connection are told apart', async () => {
  const service = freshService()
  const { vedette } = vedetteFor({ url: app.url, key: app.key, service })
  const url = await serve(
    vedette.http((request, response) => {
      if (request.url === '/chunks') {
        response.write('a'.repeat(1000))
        response.end('b'.repeat(1000))
      } else response.end('x'.repeat(Number(request.url!.slice(1))))
    }),
  )
  const socket = createConnection(Number(new URL(url).port), '127.0.0.1')
  let received = ''
  socket.on('data', (chunk: Buffer) => {
    received += chunk
  })
  socket.write('GET /10 HTTP/1.1\r\nHost: a\r\n\r\n')
  await expect.poll(() => received).toContain('x'.repeat(10))
  socket.write('GET /200 HTTP/1.1\r\nHost: b\r\n\r\n')
  await expect.poll(() => received).toContain('x'.repeat(200))
  socket.write('GET /chunks HTTP/1.1\r\nHost: b\r\n\r\n')
  await expect.poll(() => received).toContain('b'.repeat(1000))
  socket.write(Buffer.from('HEAD /10 HTTP/1.0\r\nuser-agent: caf\u00e9\r\n\r\n', 'latin1'))
  await once(socket, 'close')
  await vedette.flush()
  await stored(service, 4)
  const rows = await storedOf(database.clickhouse, service)
  expect(rows.map(({ path, host, protocol, response_bytes }) => [path, host, protocol, response_bytes])).toEqual([
    ['/10', 'a', 'HTTP/1.1', 10],
    ['/200', 'b', 'HTTP/1.1', 200],
    // Two frames of `3e8\r\n…\r\n` and the last, empty one.
    ['/chunks', 'b', 'HTTP/1.1', 2000 + 2 * 7 + 5],
    ['/10', '', 'HTTP/1.0', 0],
  ])
  expect(rows[3]!.user_agent).toBe('caf\u00e9')
})

test('the client is the peer; X-Forwarded-For is believed from trusted proxies only, and read from the right', async () => {
  const service = freshService()
  const plain = vedetteFor({ url: app.url, key: app.key, service: `${service}-plain` }).vedette
  const behind = vedetteFor({
    url: app.url,
    key: app.key,
    service: `${service}-behind`,
    trustedProxies: ['127.0.0.0/8', '10.0.0.1'],
  }).vedette
  const hooked = vedetteFor<{ headers: Record<string, unknown> }>({
    url: app.url,
    key: app.key,
    service: `${service}-hooked`,
    clientAddress: ({ headers }) => headers['cf-connecting-ip'] as string | undefined,
  }).vedette
  const chains = [
    ['203.0.113.9, 198.51.100.7', '198.51.100.7'],
    ['203.0.113.9, 198.51.100.7, 10.0.0.1', '198.51.100.7'],
    ['2001:db8::5', '2001:db8::5'],
    ['[2001:db8::6]:4711', '2001:db8::6'],
    ['198.51.100.8:80', '198.51.100.8'],
    ['198.51.100.8, nonsense', '127.0.0.1'],
  ] as const
  const urls = [await serve(plain.http(answer)), await serve(behind.http(answer)), await serve(hooked.http(answer))]
  for (const [chain] of chains) {
    for (const url of urls) await get(`${url}/`, { headers: { 'x-forwarded-for': chain } })
  }
  await get(`${urls[2]}/`, { headers: { 'cf-connecting-ip': '2001:db8::9' } })
  for (const vedette of [plain, behind, hooked]) expect(await vedette.flush()).toBe(true)
  await stored(`${service}-plain`, chains.length)
  await stored(`${service}-behind`, chains.length)
  await stored(`${service}-hooked`, chains.length + 1)
  const addresses = async (name: string) =>
    (await storedOf(database.clickhouse, `${service}-${name}`)).map(({ ip }) => ip.replace('::ffff:', ''))
  expect(new Set(await addresses('plain'))).toEqual(new Set(['127.0.0.1']))
  expect(await addresses('behind')).toEqual(chains.map(([, client]) => client))
  expect((await addresses('hooked')).at(-1)).toBe('2001:db8::9')
})

test('two requests at once from many connections keep their own addresses, paths and durations', async () => {
  const service = freshService()
  const { vedette } = vedetteFor({ url: app.url, key: app.key, service, trustedProxies: ['127.0.0.1'] })
  const waiting: (() => void)[] = []
  const url = await serve(
    vedette.http((_request, response) => {
      waiting.push(() => response.end())
      if (waiting.length === 50) for (const answer of waiting) answer()
    }),
  )
  await Promise.all(
    Array.from({ length: 50 }, (_, index) =>
      get(`${url}/${index}`, { headers: { 'x-forwarded-for': `198.51.100.${index}` } }),
    ),
  )
  await vedette.flush()
  await stored(service, 50)
  const rows = await storedOf(database.clickhouse, service)
  expect(new Set(rows.map(({ ip, path }) => `${ip} ${path}`))).toEqual(
    new Set(Array.from({ length: 50 }, (_, index) => `::ffff:198.51.100.${index} /${index}`)),
  )
})

test('behind a Unix socket the proxy names the client, and a request without any address is counted as dropped', async () => {
  const service = freshService()
  const folder = await temporaryFolder()
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const { vedette } = vedetteFor({ url: app.url, key: app.key, service, trustedProxies: ['unix'] })
  const server = createServer(vedette.http((_request, response) => response.end()))
  server.listen(`${folder}/socket`)
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const options = { socketPath: `${folder}/socket` }
  await get('http://localhost/a', { ...options, headers: { 'x-forwarded-for': '198.51.100.1' } })
  await get('http://localhost/b', options)
  await vedette.flush()
  await stored(service, 1)
  expect((await storedOf(database.clickhouse, service))[0]).toMatchObject({ ip: '::ffff:198.51.100.1', path: '/a' })
  expect(vedette.stats()).toMatchObject({ sent: 1, dropped: 1 })
})
