import { expect, inject, it } from 'vitest'

import { testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'

const database = testDatabase()
const service = testApp(database, { REDIS_URL: inject('redisUrl') })

const RATE = '{ viewer { rateLimit { limit remaining used resetAt cost } } }'
const PANEL = '{ requestAnalytics(timeRange: { last: "1h" }) { rows { requests } } }'

const newKey = async (pointsPerHour: number): Promise<string> =>
  (await service.app.keys.create({ name: 'grafana', scopes: ['ANALYTICS_READ'], pointsPerHour, by: 'system' })).secret

const ask = async (secret: string, query: string, accept = 'application/graphql-response+json') => {
  const response = await service.request('/graphql', {
    method: 'POST',
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json', accept },
    body: JSON.stringify({ query }),
  })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    rate: response.headers.get('ratelimit'),
    text,
    json: text.startsWith('{') ? JSON.parse(text) : undefined,
  }
}

it('each operation spends its price before it runs, and every answer and viewer.rateLimit say what is left', async () => {
  const secret = await newKey(100)
  const before = Date.now()
  const viewer = await ask(secret, RATE)
  const { resetAt, ...rateLimit } = viewer.json.data.viewer.rateLimit
  expect(rateLimit).toEqual({ limit: 100, remaining: 99, used: 1, cost: 1 })
  expect(Date.parse(resetAt) - before).toBeGreaterThan(3_590_000)
  expect(Date.parse(resetAt) - Date.now()).toBeLessThanOrEqual(3_600_000)
  expect(viewer.rate).toMatch(/^"points";r=99;t=3(600|59\d)$/)
  expect(viewer.headers.get('ratelimit-policy')).toBe('"points";q=100;w=3600')
  expect(viewer.headers.get('retry-after')).toBeNull()

  const panel = await ask(secret, PANEL)
  expect([panel.status, panel.rate]).toEqual([200, expect.stringContaining('"points";r=89;')])
  const csv = await ask(secret, PANEL, 'text/csv')
  expect([csv.status, csv.rate]).toEqual([200, expect.stringContaining('"points";r=79;')])
})

it('past its points a key gets 429 RATE_LIMITED that says when there are new ones, and nothing runs', async () => {
  const secret = await newKey(15)
  expect((await ask(secret, PANEL)).status).toBe(200)
  for (const accept of ['application/graphql-response+json', 'application/json']) {
    const over = await ask(secret, PANEL, accept)
    expect(over.status).toBe(429)
    expect(over.json).not.toHaveProperty('data')
    const [error] = over.json.errors
    expect(error.extensions).toMatchObject({ code: 'RATE_LIMITED', cost: 10, limit: 15 })
    expect(error.message).toMatch(
      /^the key "grafana" has spent its 15 points of this hour, and this operation costs 10; /,
    )
    const wait = Number(over.headers.get('retry-after'))
    expect(wait).toBeGreaterThan(3_590)
    expect(Math.abs(Date.parse(error.extensions.resetAt) - Date.now() - wait * 1_000)).toBeLessThan(5_000)
    expect(over.rate).toBe(`"points";r=0;t=${wait}`)
  }
  const csv = await ask(secret, PANEL, 'text/csv')
  expect([csv.status, csv.headers.get('retry-after')]).toEqual([429, expect.stringMatching(/^3\d{3}$/)])
  expect(csv.json).toMatchObject({ status: 429, code: 'RATE_LIMITED' })
  expect((await ask(await newKey(15), PANEL)).status).toBe(200)
})

it.each([
  ['a syntax error', '{ viewer {', 400],
  ['a field that is not there', '{ nothing }', 400],
  [
    'a price above the limit of one operation',
    `{ ${Array.from({ length: 26 }, (_, n) => `a${n}: ${PANEL.slice(2, -2)}`).join(' ')} }`,
    422,
  ],
])('%s costs a point, so that it cannot be sent without end', async (_name, query, status) => {
  const secret = await newKey(2)
  const first = await ask(secret, query)
  expect([first.status, first.rate]).toEqual([status, expect.stringContaining('"points";r=1;')])
  expect((await ask(secret, query)).status).toBe(status)
  const over = await ask(secret, query)
  expect([over.status, over.json.errors[0].extensions.code]).toEqual([429, 'RATE_LIMITED'])
})

const create = async (more: string) => {
  const answer = await ask(
    service.key,
    `mutation { createApiKey(name: "n", scopes: [COLLECT]${more}) { apiKey { pointsPerHour postsPerMinute } userErrors { field message } } }`,
  )
  return answer.json.data.createApiKey
}

it('createApiKey takes both numbers, says them again, and has defaults', async () => {
  expect(await create('')).toEqual({
    apiKey: { pointsPerHour: 100_000, postsPerMinute: 300_000 },
    userErrors: [],
  })
  expect((await create(', pointsPerHour: 5, postsPerMinute: 10000000')).apiKey).toEqual({
    pointsPerHour: 5,
    postsPerMinute: 10_000_000,
  })
  expect(await create(', postsPerMinute: 0')).toEqual({
    apiKey: null,
    userErrors: [
      { field: ['postsPerMinute'], message: expect.stringContaining('give a whole number from 1 to 10000000') },
    ],
  })
  expect((await create(', pointsPerHour: -1')).userErrors).toMatchObject([{ field: ['pointsPerHour'] }])
})
