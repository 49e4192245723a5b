import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { createServer as createTcpServer } from 'node:net'

import express from 'express'
import { fastify } from 'fastify'
import { expect, onTestFinished, test } from 'vitest'

import type { VedetteOptions } from '../../src/middleware/index.ts'
import { testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { freePort } from '../support/free-port.ts'
import { freshService, get, listen, serve, storedOf, vedetteFor } from './support.ts'

const database = testDatabase()
const otherDatabase = testDatabase()
const app = testApp(database, { TRUSTED_PROXIES: '127.0.0.1' })
/** The same, but it does not believe what services say of others. */
const distrustful = testApp(otherDatabase)

/** Whole minutes would be a long test: what is limited is limited by the built-in policy, 5 a minute. */
const LIMIT = 5
let addresses = 0
/** An address nobody else has, so that tests do not share a count. */
const freshAddress = (): string => `203.0.113.${++addresses}`

const asking = (more: Partial<VedetteOptions> = {}) =>
  vedetteFor<IncomingMessage>({
    url: app.url,
    key: app.key,
    service: freshService(),
    trustedProxies: ['127.0.0.1'],
    decide: { timeoutMs: 5000 },
    ...more,
  })

const showError: express.ErrorRequestHandler = (error: Error, _request, response, _next) => {
  response.status(500).send(error.message)
}

const from = (url: string, ip: string, path = '/') => get(`${url}${path}`, { headers: { 'x-forwarded-for': ip } })

test('the request over the limit is answered 429 with Retry-After and the limit, and never reaches the handler', async () => {
  const service = freshService()
  const { vedette } = asking({ service })
  let served = 0
  const url = await serve(
    vedette.http((_request, response) => {
      served++
      response.end('ok')
    }),
  )
  const ip = freshAddress()
  for (let index = 0; index < LIMIT; index++) {
    const { status, headers } = await from(url, ip, `/${index}`)
    expect(status).toBe(200)
    expect(headers).toMatchObject({
      'x-ratelimit-limit': '5',
      'x-ratelimit-remaining': String(LIMIT - 1 - index),
      ratelimit: expect.stringContaining(`r=${LIMIT - 1 - index}`),
      'ratelimit-policy': expect.stringContaining('q=5'),
    })
    expect(headers['x-vedette-decision']).toBeUndefined()
  }
  const denied = await from(url, ip, '/over')
  expect(denied.status).toBe(429)
  expect(denied.headers).toMatchObject({
    'x-vedette-decision': 'limited',
    'content-type': 'application/problem+json; charset=utf-8',
    'x-ratelimit-remaining': '0',
  })
  expect(Number(denied.headers['retry-after'])).toBeGreaterThan(0)
  expect(Number(denied.headers['retry-after'])).toBeLessThanOrEqual(60)
  expect(JSON.parse(denied.body)).toMatchObject({ status: 429, title: 'Too Many Requests' })
  expect(served).toBe(LIMIT)
  // Somebody else is not held up.
  expect((await from(url, freshAddress())).status).toBe(200)
  await vedette.flush()
  await expect.poll(() => storedOf(database.clickhouse, service).then((rows) => rows.length)).toBe(LIMIT + 2)
  const rows = await storedOf(database.clickhouse, service)
  expect(rows[0]).toMatchObject({ action: 'allowed', policy_id: 'default', status_code: 200, ip: `::ffff:${ip}` })
  expect(rows[LIMIT]).toMatchObject({ action: 'rate_limited', policy_id: 'default', status_code: 429, path: '/over' })
})

test('a user who is logged in is counted as such, wherever he comes from', async () => {
  const user = freshService()
  const { vedette } = asking({ user: ({ headers }) => headers['x-user'] as string | undefined })
  const url = await serve(vedette.http((_request, response) => response.end()))
  const statuses: number[] = []
  for (let index = 0; index < 11; index++)
    statuses.push((await get(`${url}/`, { headers: { 'x-forwarded-for': freshAddress(), 'x-user': user } })).status)
  expect(statuses).toEqual([...Array.from({ length: 10 }, () => 200), 429])
})

test('a blocked address is answered 403 by Express, and passes again within seconds of its unblocking', async () => {
  const { vedette } = asking({ decide: { timeoutMs: 5000, cacheMs: 1000 } })
  const server = express()
  server.use(vedette.express())
  server.get('/', (_request, response) => {
    response.send('ok')
  })
  const url = await serve(server)
  const ip = freshAddress()
  const entry = await app.app.blockList.add({ cidr: ip, reason: 'test' }, { by: 'test' })
  const denied = await from(url, ip)
  expect(denied.status).toBe(403)
  expect(denied.headers['x-vedette-decision']).toBe('blocked')
  expect(JSON.parse(denied.body)).toMatchObject({ status: 403, title: 'Forbidden' })
  // Another path of the same address needs no question.
  expect((await from(url, ip, '/elsewhere')).status).toBe(403)
  expect(vedette.stats().decisions).toMatchObject({ blocked: 2, remembered: 1 })
  await app.app.blockList.remove(entry.id, { by: 'test' })
  await expect.poll(() => from(url, ip).then(({ status }) => status), { timeout: 5000 }).toBe(200)
})

test('Fastify: a refusal goes out by its own reply, so that hooks such as CORS are in it, and the route is still logged', async () => {
  const service = freshService()
  const { vedette } = vedetteFor<{ headers: Record<string, unknown> }>({
    url: app.url,
    key: app.key,
    service,
    trustedProxies: ['127.0.0.1'],
    decide: { timeoutMs: 5000 },
  })
  const server = fastify()
  server.addHook('onSend', (_request, reply, payload, done) => {
    void reply.header('access-control-allow-origin', '*')
    done(null, payload)
  })
  await server.register(vedette.fastify())
  server.get('/items/:id', () => ({ ok: true }))
  const url = await server.listen({ port: 0, host: '127.0.0.1' })
  onTestFinished(() => server.close())
  const ip = freshAddress()
  for (let index = 0; index < LIMIT; index++) {
    const { status, headers } = await from(url, ip, `/items/${index}`)
    expect(status).toBe(200)
    expect(headers['x-ratelimit-remaining']).toBe(String(LIMIT - 1 - index))
  }
  const denied = await from(url, ip, '/items/over')
  expect(denied.status).toBe(429)
  expect(denied.headers).toMatchObject({
    'access-control-allow-origin': '*',
    'content-type': 'application/problem+json; charset=utf-8',
    'x-vedette-decision': 'limited',
  })
  expect(denied.headers['retry-after']).toBeDefined()
  await vedette.flush()
  await expect.poll(() => storedOf(database.clickhouse, service).then((rows) => rows.length)).toBe(LIMIT + 1)
  expect((await storedOf(database.clickhouse, service)).at(-1)).toMatchObject({
    action: 'rate_limited',
    route: '/items/:id',
    status_code: 429,
  })
})

test('a limit is remembered for what was asked only, and its Retry-After counts down', async () => {
  const { vedette } = asking({ decide: { timeoutMs: 5000, cacheMs: 60_000 } })
  const url = await serve(vedette.http((_request, response) => response.end()))
  const ip = freshAddress()
  for (let index = 0; index <= LIMIT; index++) await from(url, ip, '/login')
  const { limited, remembered } = vedette.stats().decisions
  expect([limited, remembered]).toEqual([1, 0])
  const first = await from(url, ip, '/login?again')
  expect(first.status).toBe(429)
  expect(vedette.stats().decisions.remembered).toBe(1)
  await expect
    .poll(() => from(url, ip, '/login').then(({ headers }) => Number(headers['retry-after'])), { timeout: 5000 })
    .toBeLessThan(Number(first.headers['retry-after']))
  // Another path may be under another policy: that is asked about.
  const before = vedette.stats().decisions.remembered
  await from(url, ip, '/other')
  expect(vedette.stats().decisions.remembered).toBe(before)
})

test('permissions are not remembered unless that is asked for', async () => {
  const counting = asking()
  const remembering = asking({ decide: { timeoutMs: 5000, cacheAllowedMs: 60_000 } })
  for (const { vedette } of [counting, remembering]) {
    const url = await serve(vedette.http((_request, response) => response.end()))
    const ip = freshAddress()
    for (let index = 0; index < 3; index++) expect((await from(url, ip)).status).toBe(200)
  }
  expect(counting.vedette.stats().decisions).toMatchObject({ allowed: 3, remembered: 0 })
  expect(remembering.vedette.stats().decisions).toMatchObject({ allowed: 3, remembered: 2 })
})

test('a Vedette that does not trust the service judges the service, not the visitor: that is no decision, and is warned of once', async () => {
  const { vedette, warned } = asking({ url: distrustful.url, key: distrustful.key })
  const url = await serve(vedette.http((_request, response) => response.end()))
  for (let index = 0; index < 8; index++) expect((await from(url, freshAddress())).status).toBe(200)
  expect(vedette.stats().decisions).toMatchObject({ allowed: 0, limited: 0, none: 8 })
  expect(warned).toHaveLength(1)
  expect(warned[0]).toMatch(/does not believe this service.*TRUSTED_PROXIES/)
})

test('no answer, a late one or one that is no decision: the request passes, or is answered 503, as onError says', async () => {
  const refusing = await serve((_request, response) => response.writeHead(403).end())
  const silent = createTcpServer(() => {}).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  onTestFinished(() => void silent.close())
  const late = `http://127.0.0.1:${(silent.address() as { port: number }).port}`
  const away = `http://127.0.0.1:${await freePort()}`
  for (const url of [refusing, late, away]) {
    for (const onError of ['allow', 'deny'] as const) {
      const { vedette, warned } = asking({ url, decide: { timeoutMs: 30, onError } })
      const own = await serve(vedette.http((_request, response) => response.end('served')))
      const { status, body, headers } = await from(own, freshAddress())
      expect([url, status]).toEqual([url, onError === 'allow' ? 200 : 503])
      if (onError === 'allow') expect(body).toBe('served')
      else {
        expect(headers['retry-after']).toBe('1')
        expect(JSON.parse(body)).toMatchObject({ status: 503 })
      }
      expect(vedette.stats().decisions.none).toBe(1)
      expect(warned[0]).toMatch(
        url === refusing ? /403 without a decision; give a key with the scope DECIDE/ : /no decision/,
      )
    }
  }
})

test('a wrong key and a key without the scope DECIDE give no decisions and stop nobody', async () => {
  const { secret } = await app.app.keys.create({
    name: freshService(),
    scopes: ['COLLECT'],
    services: null,
    by: 'test',
  })
  for (const key of ['not-a-key', secret]) {
    const { vedette, warned } = asking({ key })
    const url = await serve(vedette.http((_request, response) => response.end()))
    expect((await from(url, freshAddress())).status).toBe(200)
    expect(vedette.stats().decisions.none).toBe(1)
    expect(warned[0]).toMatch(/without a decision; give a key with the scope DECIDE/)
  }
})

test('while Vedette is silent, few requests wait for it: after five in a row only one a second is asked about', async () => {
  let asked = 0
  const silent = createServer(() => {
    asked++
  })
  const { vedette } = asking({ url: await listen(silent), decide: { timeoutMs: 20 } })
  const url = await serve(vedette.http((_request, response) => response.end()))
  const start = performance.now()
  for (let index = 0; index < 200; index++) expect((await from(url, freshAddress())).status).toBe(200)
  const seconds = (performance.now() - start) / 1000
  expect(asked).toBeGreaterThanOrEqual(5)
  expect(asked).toBeLessThanOrEqual(5 + Math.ceil(seconds))
  expect(vedette.stats().decisions.none).toBe(200)
})

test("an error thrown by the handler after a decision is the service's own, as without the middleware", async () => {
  const { vedette } = asking()
  const server = express()
  server.use(vedette.express())
  server.get('/', () => {
    throw new Error('mine')
  })
  server.use(showError)
  expect(await from(await serve(server), freshAddress())).toMatchObject({ status: 500, body: 'mine' })
})
