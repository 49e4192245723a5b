import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import { beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { testApp } from '../../support/app.ts'
import { testDatabase } from '../../support/clickhouse.ts'

const database = testDatabase()
const trusting = testApp(database, { TRUSTED_PROXIES: '127.0.0.1' })
const suspicious = testApp(testDatabase())

let key: string
beforeAll(async () => {
  key = (await trusting.app.keys.create({ name: 'proxy', scopes: ['DECIDE'], by: 'cli' })).secret
})

/** Addresses of nobody else, so that no test counts for another. */
let last = 0
let ip: string
beforeEach(() => {
  last++
  ip = `198.51.${Math.floor(last / 250)}.${(last % 250) + 1}`
})

interface Asked {
  query?: string
  method?: string
  headers?: Record<string, string>
  body?: unknown
  below?: string
  service?: { url: string; key: string }
}

const ask = async ({ query = '', method = 'GET', headers = {}, body, below = '', service = trusting }: Asked = {}) => {
  const response = await fetch(`${service.url}/v1/decide${below}${query}`, {
    method,
    headers: {
      'x-api-key': service === trusting ? key : service.key,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  return {
    status: response.status,
    decision: response.headers.get('x-vedette-decision'),
    headers: Object.fromEntries(response.headers),
    text: await response.text(),
  }
}

const nginx = (change: Record<string, string> = {}): Asked => ({
  query: '?dialect=nginx&service=shop',
  headers: { 'x-original-uri': '/cart?item=7', 'x-original-method': 'GET', 'x-forwarded-for': ip, ...change },
})
const traefik = (change: Record<string, string> = {}): Asked => ({
  query: '?dialect=traefik&service=shop',
  headers: { 'x-forwarded-uri': '/cart?item=7', 'x-forwarded-method': 'POST', 'x-forwarded-for': ip, ...change },
})
const envoy = (change: Record<string, string> = {}): Asked => ({
  below: '/cart?item=7',
  headers: { 'x-vedette-service': 'shop', 'x-forwarded-for': ip, ...change },
})
const json = (change: Record<string, unknown> = {}): Asked => ({
  query: '?dialect=json',
  method: 'POST',
  body: { ip, method: 'GET', path: '/cart?item=7', service: 'shop', ...change },
})

describe.each([
  { dialect: 'nginx', as: nginx, limited: 403 },
  { dialect: 'traefik', as: traefik, limited: 429 },
  { dialect: 'envoy', as: envoy, limited: 429 },
  { dialect: 'json', as: json, limited: 429 },
])('asked by $dialect', ({ as, limited }) => {
  it('passes five requests a minute of an address and no sixth, and says how long to wait', async () => {
    const answers = []
    for (let request = 0; request < 6; request++) answers.push(await ask(as()))
    expect(answers.map(({ status, decision }) => `${status} ${decision}`)).toEqual([
      ...Array.from({ length: 5 }, () => '200 allowed'),
      `${limited} limited`,
    ])
    const [first, sixth] = [answers[0]!.headers, answers[5]!.headers]
    expect(first).toMatchObject({
      'x-vedette-policy': 'default',
      ratelimit: expect.stringMatching(/^"default";r=4;t=(59|60)$/),
      'ratelimit-policy': '"default";q=5;w=60',
      'x-ratelimit-limit': '5',
      'x-ratelimit-remaining': '4',
    })
    const reset = Number(first['x-ratelimit-reset']) - Date.now() / 1000
    expect(reset).toBeGreaterThan(50)
    expect(reset).toBeLessThanOrEqual(61)
    expect(first).not.toHaveProperty('retry-after')
    expect(sixth).toMatchObject({
      ratelimit: expect.stringMatching(/^"default";r=0;t=\d+$/),
      'x-ratelimit-remaining': '0',
      'retry-after': expect.stringMatching(/^(5\d|60)$/),
    })
  })

  it('stops an address on the block list with 403, and passes it again when it is taken off', async () => {
    const entry = await trusting.app.blockList.add({ cidr: ip, reason: 'test' }, { by: 'cli' })
    expect(await ask(as())).toMatchObject({
      status: 403,
      decision: 'blocked',
      headers: { 'retry-after': '86400', ratelimit: expect.stringContaining('"default";r=0;') },
    })
    await trusting.app.blockList.remove(entry.id, { by: 'cli' })
    expect(await ask(as())).toMatchObject({ status: 200, decision: 'allowed' })
  })
})

describe('who is asked about', () => {
  it('is who the trusted proxy names, whatever else stands in X-Forwarded-For', async () => {
    for (let request = 0; request < 5; request++) await ask(nginx({ 'x-forwarded-for': `203.0.113.${request}, ${ip}` }))
    expect(await ask(nginx())).toMatchObject({ decision: 'limited' })
  })

  it('is the caller himself where he is no trusted proxy, in headers and in a body', async () => {
    const forged = Array.from({ length: 6 }, (_, index) => `203.0.113.${index + 1}`)
    const answers = []
    for (const address of forged)
      answers.push(await ask({ ...json({ ip: address, userId: address }), service: suspicious }))
    expect(answers.map(({ decision }) => decision)).toEqual([...Array(5).fill('allowed'), 'limited'])
    expect(answers[0]!.headers['x-vedette-client']).toBe('127.0.0.1')
    expect(
      await ask({ ...nginx({ 'x-forwarded-for': '203.0.113.77', 'x-vedette-user': 'x' }), service: suspicious }),
    ).toMatchObject({ decision: 'limited' })
  })

  it('is the user where one is known: ten a minute, from whichever address', async () => {
    const answers = []
    for (let request = 0; request < 11; request++)
      answers.push(await ask(nginx({ 'x-forwarded-for': `203.0.114.${request}`, 'x-vedette-user': `user of ${ip}` })))
    expect(answers.map(({ decision }) => decision)).toEqual([...Array(10).fill('allowed'), 'limited'])
    expect(answers[0]!.headers['ratelimit-policy']).toBe('"default";q=10;w=60')
    expect(await ask(nginx())).toMatchObject({ decision: 'allowed' })
  })

  it('is an IPv6 address by its /64, and mapped IPv4 as IPv4', async () => {
    for (let request = 0; request < 5; request++)
      await ask(nginx({ 'x-forwarded-for': `2001:db8:${last}:7::${request}` }))
    expect(await ask(nginx({ 'x-forwarded-for': `2001:db8:${last}:7:ffff::1` }))).toMatchObject({ decision: 'limited' })
    expect(await ask(nginx({ 'x-forwarded-for': `2001:db8:${last}:8::1` }))).toMatchObject({ decision: 'allowed' })
    for (let request = 0; request < 5; request++) await ask(nginx({ 'x-forwarded-for': `::ffff:${ip}` }))
    expect(await ask(nginx())).toMatchObject({ decision: 'limited' })
  })

  it('is counted over all services and paths by the built-in policy', async () => {
    for (const path of ['/a', '/b', '/c', '/d', '/e']) await ask(nginx({ 'x-original-uri': path }))
    expect(await ask({ ...nginx(), query: '?dialect=nginx&service=other' })).toMatchObject({ decision: 'limited' })
  })

  it('is nobody where the proxy names nobody: the policy says which way to fail', async () => {
    expect(await ask(nginx({ 'x-forwarded-for': 'unknown' }))).toMatchObject({
      status: 200,
      decision: 'allowed',
      headers: { 'x-vedette-degraded': 'client-unknown' },
    })
    const { id } = await trusting.app.policies.save(
      { name: 'strict', pathPattern: '/strict', limit: 5, windowSeconds: 60, mode: 'ENFORCE', onError: 'DENY' },
      { by: 'cli' },
    )
    expect(await ask(traefik({ 'x-forwarded-for': 'unknown', 'x-forwarded-uri': '/strict' }))).toMatchObject({
      status: 429,
      decision: 'limited',
      headers: { 'retry-after': '1', 'x-vedette-degraded': 'client-unknown', 'x-vedette-policy': id },
    })
    await trusting.app.policies.remove(id, { by: 'cli' })
  })
})

const withPolicy = async (
  policy: Parameters<typeof trusting.app.policies.save>[0],
  work: (id: string) => Promise<void>,
): Promise<void> => {
  const { id } = await trusting.app.policies.save({ windowSeconds: 60, mode: 'ENFORCE', ...policy }, { by: 'cli' })
  try {
    await work(id)
  } finally {
    await trusting.app.policies.remove(id, { by: 'cli' })
  }
}
const decisions = async (times: number, asked: () => Asked): Promise<(string | null)[]> => {
  const found = []
  for (let time = 0; time < times; time++) found.push((await ask(asked())).decision)
  return found
}
/** Asked by nginx for this path. */
const at =
  (path: string, headers: Record<string, string> = {}) =>
  (): Asked =>
    nginx({ 'x-original-uri': path, ...headers })

describe('what applies', () => {
  it('is the policy whose pattern is the most specific, by each dialect’s own headers', () =>
    withPolicy({ name: 'login', pathPattern: '/login', methods: ['POST'], limit: 1 }, async (id) => {
      const login = () => nginx({ 'x-original-uri': '/%6Cogin/?next=/', 'x-original-method': 'POST' })
      expect(await decisions(2, login)).toEqual(['allowed', 'limited'])
      expect((await ask(login())).headers['x-vedette-policy']).toBe(id)
      expect(await ask(nginx({ 'x-original-uri': '/login', 'x-original-method': 'GET' }))).toMatchObject({
        decision: 'allowed',
      })
      // What a visitor can send in another dialect's headers says nothing.
      expect(await ask(nginx({ 'x-forwarded-uri': '/login', 'x-forwarded-method': 'POST' }))).toMatchObject({
        headers: { 'x-vedette-policy': 'default' },
      })
    }))

  it('lets SHADOW pass all of them, OFF count none, and an address with RATE_LIMIT be limited by either', async () => {
    await withPolicy({ name: 'shadow', pathPattern: '/shadow', limit: 1, mode: 'SHADOW' }, async () => {
      const asked = at('/shadow')
      expect(await decisions(4, asked)).toEqual(Array(4).fill('allowed'))
      expect((await ask(asked())).headers['x-ratelimit-remaining']).toBe('0')
    })
    await withPolicy({ name: 'off', pathPattern: '/off', limit: 1, mode: 'OFF' }, async () => {
      const asked = at('/off')
      expect(await decisions(4, asked)).toEqual(Array(4).fill('allowed'))
      expect((await ask(asked())).headers['x-ratelimit-remaining']).toBe('1')
      const entry = await trusting.app.blockList.add({ cidr: ip, action: 'RATE_LIMIT', reason: 'test' }, { by: 'cli' })
      expect(await decisions(2, asked)).toEqual(['allowed', 'limited'])
      await trusting.app.blockList.remove(entry.id, { by: 'cli' })
    })
  })

  it('is neither limit nor block for an address that is allowed', async () => {
    const block = await trusting.app.blockList.add({ cidr: ip, reason: 'test' }, { by: 'cli' })
    const allow = await trusting.app.blockList.add(
      { cidr: `${ip}/31`, action: 'ALLOW', reason: 'office' },
      { by: 'cli' },
    )
    expect(await decisions(7, nginx)).toEqual(Array(7).fill('allowed'))
    for (const { id } of [block, allow]) await trusting.app.blockList.remove(id, { by: 'cli' })
  })

  it('counts by path, by user and by the visitor’s API key where the policy says so', async () => {
    await withPolicy({ name: 'paths', pathPattern: '/p/*', limit: 1, key: 'IP_AND_PATH' }, async () => {
      expect(await decisions(2, at('/p/1'))).toEqual(['allowed', 'limited'])
      expect(await decisions(1, at('/p/x/../%31/'))).toEqual(['limited'])
      expect(await decisions(1, at(`/p/${'x'.repeat(3_000)}`))).toEqual(['allowed'])
      expect(await decisions(1, at(`/p/${'x'.repeat(3_000)}`))).toEqual(['limited'])
    })
    await withPolicy({ name: 'users', pathPattern: '/u', limit: 1, key: 'USER' }, async () => {
      expect(await decisions(2, at('/u', { 'x-vedette-user': 'anna' }))).toEqual(['allowed', 'limited'])
      expect(await decisions(1, at('/u', { 'x-vedette-user': 'bert' }))).toEqual(['allowed'])
      // Nobody gets at another's count by calling himself by that address.
      expect(await decisions(1, at('/u', { 'x-vedette-user': ip }))).toEqual(['allowed'])
      expect(await decisions(2, at('/u', { 'x-vedette-user': '' }))).toEqual(['allowed', 'limited'])
    })
    await withPolicy({ name: 'keys', pathPattern: '/k', limit: 1, key: 'API_KEY' }, async () => {
      expect(await decisions(2, at('/k', { authorization: 'Bearer theirs-1' }))).toEqual(['allowed', 'limited'])
      expect(await decisions(1, at('/k', { authorization: 'Bearer theirs-2' }))).toEqual(['allowed'])
    })
  })

  it('says 429 for SLIDING_WINDOW too, and keeps an address away for blockSeconds', () =>
    withPolicy(
      { name: 'away', pathPattern: '/away', limit: 2, algorithm: 'SLIDING_WINDOW', blockSeconds: 600 },
      async () => {
        expect(await decisions(3, at('/away'))).toEqual(['allowed', 'allowed', 'limited'])
        expect(await ask(traefik({ 'x-forwarded-uri': '/away' }))).toMatchObject({
          status: 429,
          headers: { 'retry-after': expect.stringMatching(/^(600|59\d)$/) },
        })
      },
    ))
})

describe('what is no decision carries no X-Vedette-Decision', () => {
  it.each<[what: string, asked: () => Asked, status: number, says: RegExp]>([
    ['no key', () => ({ headers: { 'x-api-key': '' } }), 401, /This needs an API key/],
    ['an unknown key', () => ({ headers: { 'x-api-key': 'vdt_nonsense' } }), 401, /unknown, expired or revoked/],
    [
      'an unknown dialect',
      () => ({ query: '?dialect=apache' }),
      400,
      /dialect is \\"apache\\"; allowed is nginx, traefik, envoy, json/,
    ],
    ['a body that is not JSON', () => ({ ...json(), body: '{' }), 400, /not JSON/],
    ['a body that is no object', () => ({ ...json(), body: '[]' }), 400, /no JSON object/],
    ['an address that is none', () => json({ ip: '1.2.3' }), 400, /ip is \\"1\.2\.3\\"; allowed is an IPv4 or IPv6/],
    ['a field that is no text', () => json({ path: 7 }), 400, /path is 7; allowed is a string/],
    ['a body that never ends', () => json({ path: `/${'x'.repeat(70_000)}` }), 413, /longer than 65536 bytes/],
  ])('%s', async (_what, asked, status, says) => {
    const answer = await ask(asked())
    expect(answer).toMatchObject({ status, decision: null, headers: { 'content-type': /problem\+json/ } as never })
    expect(answer.text).toMatch(says)
  })

  it('a key without DECIDE, and a service that the key is not bound to', async () => {
    const { secret } = await trusting.app.keys.create({ name: 'reader', scopes: ['LOGS_READ'], by: 'cli' })
    expect(await ask(nginx({ 'x-api-key': secret }))).toMatchObject({ status: 403, decision: null })
    const bound = await trusting.app.keys.create({ name: 'b', scopes: ['DECIDE'], services: ['shop'], by: 'cli' })
    expect(await ask({ ...nginx({ 'x-api-key': bound.secret }), query: '?service=other' })).toMatchObject({
      status: 403,
      decision: null,
    })
    expect(await ask({ ...nginx({ 'x-api-key': bound.secret }), query: '' })).toMatchObject({ decision: 'allowed' })
  })
})

it('never answers by Vedette’s own limits, however many keys are refused', async () => {
  const statuses = new Set<number>()
  for (let attempt = 0; attempt < 40; attempt++)
    statuses.add((await ask({ headers: { 'x-api-key': `wrong-${attempt}` } })).status)
  expect([...statuses]).toEqual([401])
  await expect
    .poll(() => readFile(join(trusting.dataDir, 'security.log'), 'utf8'))
    .toMatch(/"event":"key_refused".*"path":"\/v1\/decide"/)
  expect(await ask(nginx())).toMatchObject({ decision: 'allowed' })
})

it('refuses a key within two seconds of its end, also on a connection that it came over before', async () => {
  const { apiKey, secret } = await trusting.app.keys.create({ name: 'short', scopes: ['DECIDE'], by: 'cli' })
  const own = nginx({ 'x-api-key': secret })
  expect(await ask(own)).toMatchObject({ status: 200 })
  await trusting.app.keys.revoke(apiKey.id, { by: 'cli' })
  await expect.poll(async () => (await ask(own)).status, { timeout: 2_000, interval: 20 }).toBe(401)
})

it('answers HEAD, any method of Envoy’s, and requests one after another on one connection', async () => {
  expect(await ask({ ...nginx(), method: 'HEAD' })).toMatchObject({ status: 200, decision: 'allowed', text: '' })
  for (const method of ['PUT', 'DELETE', 'PATCH'])
    expect(await ask({ ...envoy(), method, body: { any: 'thing' } }), method).toMatchObject({ decision: 'allowed' })
  const url = new URL(trusting.url)
  const socket = connect(Number(url.port), url.hostname)
  const requests = ['keep-alive', 'keep-alive', 'close'].map(
    (connection) =>
      `GET /v1/decide?dialect=nginx HTTP/1.1\r\nHost: v\r\nX-Api-Key: ${key}\r\nX-Forwarded-For: 192.0.2.${last}\r\nConnection: ${connection}\r\n\r\n`,
  )
  socket.write(requests.join(''))
  const answers = await text(socket)
  expect(answers.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(3)
  expect(answers.match(/r=4|r=3|r=2/g)).toEqual(['r=4', 'r=3', 'r=2'])
})

it('says in /metrics how long decisions took, as Prometheus reads histograms', async () => {
  await ask(nginx())
  const metrics = await (await fetch(`${trusting.url}/metrics`)).text()
  expect(metrics).toContain('# TYPE vedette_decide_duration_seconds histogram')
  const values = [...metrics.matchAll(/^vedette_decide_duration_seconds_bucket\{le="(.*)"\} (\d+)$/gm)]
  const counts = values.map(([, , count]) => Number(count))
  expect(values.map(([, le]) => le)).toEqual(
    '0.0001 0.00025 0.0005 0.001 0.0025 0.005 0.01 0.025 0.05 0.1 +Inf'.split(' '),
  )
  expect(counts).toEqual(counts.toSorted((a, b) => a - b))
  expect(counts.at(-1)).toBe(Number(/^vedette_decide_duration_seconds_count (\d+)$/m.exec(metrics)![1]))
  expect(Number(/^vedette_decide_duration_seconds_sum (\S+)$/m.exec(metrics)![1])).toBeGreaterThan(0)
})
