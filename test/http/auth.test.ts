import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { principalOf, requireScope } from '../../src/http/index.ts'
import { ADMIN, COLLECTOR, READER, testServer } from './support.ts'

const test = testServer()

beforeAll(async () => {
  const { app } = test.server
  app.get('/collect', { onRequest: requireScope('COLLECT') }, async (request) => ({ key: principalOf(request).keyId }))
  app.get('/either', { onRequest: requireScope('COLLECT', 'LOGS_READ') }, async () => ({ ok: true }))
  await test.start()
})
afterAll(() => test.server.stop())

const get = (path: string, headers: Record<string, string>) => fetch(test.url + path, { headers })
const basic = (pair: string) => `Basic ${Buffer.from(pair).toString('base64')}`

describe('a key is taken', () => {
  it.each([
    ['Bearer', { authorization: `Bearer ${COLLECTOR}` }],
    ['bearer in any case', { authorization: `bEARER  ${COLLECTOR}` }],
    ['Token', { authorization: `Token ${COLLECTOR}` }],
    ['Basic with any user', { authorization: basic(`whoever:${COLLECTOR}`) }],
    ['Basic without a user', { authorization: basic(`:${COLLECTOR}`) }],
    ['Basic from our own page', { authorization: basic(`:${COLLECTOR}`), 'sec-fetch-site': 'same-origin' }],
    ['X-Api-Key', { 'x-api-key': COLLECTOR }],
    [
      "X-Api-Key beside a visitor's own Authorization",
      { 'x-api-key': COLLECTOR, authorization: basic('visitor:secret') },
    ],
  ])('%s', async (_, headers) => {
    const response = await get('/collect', headers)
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({ key: 'key_test' })
  })
})

describe('401 with a challenge', () => {
  it.each([
    ['no key', {}, 'Bearer realm="vedette", Basic realm="vedette", charset="UTF-8"'],
    [
      'an unknown key',
      { 'x-api-key': 'nope' },
      'Bearer realm="vedette", error="invalid_token", Basic realm="vedette", charset="UTF-8"',
    ],
    [
      'the name of a property of all objects',
      { 'x-api-key': 'constructor' },
      'Bearer realm="vedette", error="invalid_token", Basic realm="vedette", charset="UTF-8"',
    ],
    [
      'an unknown scheme',
      { authorization: `Digest ${COLLECTOR}` },
      'Bearer realm="vedette", Basic realm="vedette", charset="UTF-8"',
    ],
    [
      'Basic without a colon',
      { authorization: `Basic ${Buffer.from(COLLECTOR).toString('base64')}` },
      'Bearer realm="vedette", Basic realm="vedette", charset="UTF-8"',
    ],
    ["a page's fetch, which must open no dialog", { 'sec-fetch-mode': 'cors' }, 'Bearer realm="vedette"'],
  ])('%s', async (_, headers, challenge) => {
    // Not by `fetch`, which says `Sec-Fetch-Mode: cors` in Node too.
    const response = await test.server.app.inject({ url: '/collect', headers })
    expect(response.statusCode).toBe(401)
    expect(response.headers['www-authenticate']).toBe(challenge)
  })

  it('Basic credentials that a browser sends for a page of another site', async () => {
    const { app } = test.server
    const headers = { authorization: basic(`:${COLLECTOR}`), 'sec-fetch-site': 'cross-site' }
    const response = await app.inject({ url: '/collect', headers })
    expect(response.statusCode).toBe(401)
    expect(response.json().detail).toContain('another site')
    const bearer = { authorization: `Bearer ${COLLECTOR}`, 'sec-fetch-site': 'cross-site' }
    expect((await app.inject({ url: '/collect', headers: bearer })).statusCode).toBe(200)
  })
})

it('403 names the scope that is missing', async () => {
  const response = await get('/collect', { 'x-api-key': READER })
  expect(response.status).toBe(403)
  expect(response.headers.get('www-authenticate')).toBe(
    'Bearer realm="vedette", error="insufficient_scope", scope="COLLECT"',
  )
  expect(await response.json()).toMatchObject({
    detail: 'This needs an API key with scope COLLECT; the key "test" has ANALYTICS_READ, LOGS_READ.',
  })
})

it('takes any one of several scopes, and ADMIN for each', async () => {
  expect((await get('/either', { 'x-api-key': COLLECTOR })).status).toBe(200)
  expect((await get('/either', { 'x-api-key': READER })).status).toBe(200)
  expect((await get('/either', { 'x-api-key': ADMIN })).status).toBe(200)
  expect((await get('/collect', { 'x-api-key': ADMIN })).status).toBe(200)
})

it('logs whose key it was, and never a key', async () => {
  for (const secret of [COLLECTOR, READER, ADMIN]) {
    await get(`/collect?key=${secret}`, { authorization: `Bearer ${secret}`, cookie: `k=${secret}` })
    await get(`/nowhere?api_key=${secret}`, { authorization: basic(`:${secret}`) })
  }
  await expect.poll(() => test.logged().match(/"path":"\/nowhere"/g)?.length).toBe(3)
  expect(test.logged()).toContain('"keyId":"key_test"')
  for (const secret of [COLLECTOR, READER, ADMIN]) {
    expect(test.logged()).not.toContain(secret)
    expect(test.logged()).not.toContain(Buffer.from(`:${secret}`).toString('base64'))
  }
})
