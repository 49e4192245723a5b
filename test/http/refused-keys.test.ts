import { Registry } from 'prom-client'
import { afterEach, describe, expect, it } from 'vitest'

import { noteRefusedKey, type RefusedKeyInfo, requireScope } from '../../src/http/index.ts'
import { createGuards, createLimiter } from '../../src/ratelimit/index.ts'
import { createRedis } from '../../src/redis/index.ts'
import { capturedLog } from '../support/log.ts'
import { COLLECTOR, READER, type TestServer, testServer } from './support.ts'

const open: TestServer[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map(({ server }) => server.stop()))
})

const WRONG = 'vdt_0123456789012345678901234567AbCd'

/** A server that this machine is a trusted proxy of, so that a test chooses the addresses; limits are counted in memory. */
const guarded = async () => {
  const refused: RefusedKeyInfo[] = []
  const { log } = capturedLog()
  const { countFailedKey } = createGuards(
    createLimiter({ redis: createRedis([], { log }), log, registry: new Registry() }),
  )
  const test = testServer({
    trustedProxies: ['127.0.0.1'],
    onRefusedKey: (info) => void refused.push(info),
    countFailedKey,
  })
  open.push(test)
  const { app } = test.server
  app.get('/collect', { onRequest: requireScope('COLLECT') }, async () => ({ ok: true }))
  app.get('/decide', { onRequest: requireScope('DECIDE') }, async () => ({ ok: true }))
  app.get('/own-words', async (request, reply) => {
    noteRefusedKey(request, 'in its own words')
    return reply.code(403).send({ message: 'access forbidden' })
  })
  await test.start()
  const get = async (path: string, ip: string, key?: string) =>
    await fetch(test.url + path, {
      headers: { 'x-forwarded-for': ip, ...(key !== undefined && { authorization: `Bearer ${key}` }) },
    })
  const statuses = async (count: number, ...args: Parameters<typeof get>): Promise<number[]> => {
    const found: number[] = []
    for (let n = 0; n < count; n++) found.push((await get(...args)).status)
    return found
  }
  return { get, statuses, refused }
}

const times = (count: number, status: number): number[] => Array.from({ length: count }, () => status)

describe('an address that sends keys which are refused', () => {
  it('gets 429 with Retry-After from the 21st within a minute on, while its valid keys go on working', async () => {
    const { get, statuses } = await guarded()
    expect(await statuses(20, '/collect', '203.0.113.7', WRONG)).toEqual(times(20, 401))
    const over = await get('/collect', '203.0.113.7', WRONG)
    expect(over.status).toBe(429)
    expect(over.headers.get('content-type')).toContain('application/problem+json')
    const retryAfter = Number(over.headers.get('retry-after'))
    expect(retryAfter).toBeGreaterThan(50)
    expect(retryAfter).toBeLessThanOrEqual(60)
    expect(await over.json()).toMatchObject({ status: 429, detail: expect.stringContaining(`wait ${retryAfter} s`) })
    expect((await get('/collect', '203.0.113.7', COLLECTOR)).status).toBe(200)
    expect((await get('/collect', '203.0.113.7', READER)).status).toBe(403)
    expect((await get('/collect', '203.0.113.8', WRONG)).status).toBe(401)
  })

  it('is a /64 in IPv6', async () => {
    const { get, statuses } = await guarded()
    for (let n = 1; n <= 20; n++) expect((await get('/collect', `2001:db8:0:1:${n}::${n}`, WRONG)).status).toBe(401)
    expect(await statuses(1, '/collect', '2001:db8:0:1:ffff::1', WRONG)).toEqual([429])
    expect(await statuses(1, '/collect', '2001:db8:0:2::1', WRONG)).toEqual([401])
  })

  it('does not count requests without a key, nor those of keys without the scope', async () => {
    const { statuses } = await guarded()
    expect(await statuses(25, '/collect', '203.0.113.7')).toEqual(times(25, 401))
    expect(await statuses(25, '/collect', '203.0.113.7', READER)).toEqual(times(25, 403))
    expect(await statuses(1, '/collect', '203.0.113.7', WRONG)).toEqual([401])
  })

  it('is never limited on routes of scope DECIDE, and what it sends there does not count', async () => {
    const { statuses } = await guarded()
    expect(await statuses(30, '/decide', '203.0.113.7', WRONG)).toEqual(times(30, 401))
    expect(await statuses(21, '/collect', '203.0.113.7', WRONG)).toEqual([...times(20, 401), 429])
    expect(await statuses(1, '/decide', '203.0.113.7', WRONG)).toEqual([401])
  })
})

const told = (path: string, reason: string): RefusedKeyInfo => ({ ip: '203.0.113.7', method: 'GET', path, reason })

describe('each refused key is told, for the security log', () => {
  it('with address, method, path and reason, and never the key', async () => {
    const { get, statuses, refused } = await guarded()
    await get('/collect?key=hunter2', '203.0.113.7')
    await get('/collect', '203.0.113.7', 'not-one-of-ours-000000000000000000')
    await get('/collect', '203.0.113.7', WRONG)
    await get('/collect', '203.0.113.7', READER)
    await get('/decide', '203.0.113.7', WRONG)
    await get('/own-words', '203.0.113.7', READER)
    expect(refused).toEqual([
      told('/collect', 'no key'),
      told('/collect', 'unknown, expired or revoked key'),
      told('/collect', 'unknown, expired or revoked key vdt_012345…'),
      told('/collect', 'key key_test has no scope COLLECT'),
      told('/decide', 'unknown, expired or revoked key vdt_012345…'),
      told('/own-words', 'in its own words'),
    ])
    await statuses(19, '/collect', '203.0.113.7', WRONG)
    expect(refused.at(-1)).toEqual(told('/collect', 'unknown, expired or revoked key vdt_012345…, one of too many'))
    expect(JSON.stringify(refused)).not.toMatch(/hunter2|AbCd|not-one-of-ours/)
  })
})
