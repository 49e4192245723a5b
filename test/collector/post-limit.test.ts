import { describe, expect, inject, it } from 'vitest'

import { sql } from '../../src/clickhouse/index.ts'
import { type TestApp, testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'

const row = { ip: '8.8.8.8', method: 'GET', path: '/a', status: 200 }

const bearer = async (service: TestApp, postsPerMinute: number): Promise<Record<string, string>> => {
  const { secret } = await service.app.keys.create({
    name: 'shop',
    scopes: ['COLLECT'],
    postsPerMinute,
    by: 'system',
  })
  return { authorization: `Bearer ${secret}` }
}

describe.each([
  ['in memory', {}],
  ['in Redis', { REDIS_URL: inject('redisUrl') }],
])('counted %s', (_where, environment) => {
  const database = testDatabase()
  const service = testApp(database, environment)

  it('a key that is over its POSTs a minute gets 429 that says when to come back, and nothing is taken', async () => {
    const headers = await bearer(service, 3)
    for (let n = 0; n < 3; n++)
      expect(await service.post(row, { query: '?wait=stored', headers })).toMatchObject({ status: 202 })
    const over = await service.post([row, row], { query: '?wait=stored', headers })
    expect(over).toMatchObject({
      status: 429,
      body: { status: 429, title: 'Too Many Requests', detail: expect.stringContaining('Nothing was taken') },
    })
    expect(over.body.detail).toContain('The API key "shop" has sent its 3 POSTs of this minute')
    expect(over.headers.get('content-type')).toContain('application/problem+json')
    const wait = Number(over.headers.get('retry-after'))
    expect(wait).toBeGreaterThan(0)
    expect(wait).toBeLessThanOrEqual(60)
    expect(over.headers.get('ratelimit')).toBe(`"posts";r=0;t=${wait}`)
    expect(over.headers.get('ratelimit-policy')).toBe('"posts";q=3;w=60')

    const log = { ...headers, 'content-type': 'text/plain' }
    expect((await service.request('/v1/access-log', { method: 'POST', body: '', headers: log })).status).toBe(429)
    expect((await service.post(row, { headers: await bearer(service, 3), query: '?wait=stored' })).status).toBe(202)
    expect(await (await service.request('/metrics')).text()).toContain(
      'vedette_collector_requests_total{outcome="limited"} 2',
    )
    const { rows } = await database.clickhouse.query(sql`SELECT count() AS n FROM request_logs`)
    expect(rows).toEqual([{ n: 4 }])
  })
})
