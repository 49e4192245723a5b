import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { addBlockListRoutes, type BlockList, createBlockList } from '../../../src/ratelimit/index.ts'
import { createRedis } from '../../../src/redis/index.ts'
import { ADMIN, COLLECTOR, principal, testServer } from '../../http/support.ts'
import { silent, testDatabase } from '../../support/clickhouse.ts'
import { createGate } from '../../support/gate.ts'

const database = testDatabase()
const DECIDER = 'vdt_decider000000000000000000000'
const authenticate = (secret: string) =>
  ({ [DECIDER]: principal('DECIDE'), [ADMIN]: principal('ADMIN'), [COLLECTOR]: principal('COLLECT') })[secret]
const test = testServer({ authenticate })
const redis = createRedis([], { log: silent })
let blockList: BlockList

beforeAll(async () => {
  const { clickhouse } = database
  blockList = createBlockList({ clickhouse, redis, log: silent, dataDir: undefined, trustedProxies: [] })
  await blockList.start()
  addBlockListRoutes(test.server.app, { blockList })
  await test.start()
})
afterAll(async () => {
  await test.server.stop()
  await blockList.stop()
})

const get = (query = '', headers: Record<string, string> = {}, method = 'GET') =>
  fetch(`${test.url}/v1/blocklist${query}`, { method, headers: { 'x-api-key': DECIDER, ...headers } })

describe('GET /v1/blocklist', () => {
  it('is the list as plain text, by default and as other programs read it', async () => {
    await blockList.add({ cidr: '203.0.113.7', reason: 'test' }, { by: 'cli' })
    const response = await get()
    expect(response.status).toBe(200)
    expect(await response.text()).toBe('203.0.113.7\n')
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8')
    expect(response.headers.get('cache-control')).toBe('no-cache')
    expect(await (await get('?format=plain')).text()).toBe('203.0.113.7\n')
    expect(await (await get('?format=nginx')).text()).toBe('deny 203.0.113.7;\n')
    expect(await (await get('?format=ipset')).text()).toContain('add vedette-v4-next 203.0.113.7 -exist\n')
  })

  it('has the same headers by HEAD, and no body', async () => {
    const [head, whole] = [await get('', {}, 'HEAD'), await get()]
    expect(head.status).toBe(200)
    expect(await head.text()).toBe('')
    for (const name of ['etag', 'content-type', 'cache-control', 'content-length'])
      expect([name, head.headers.get(name)]).toEqual([name, whole.headers.get(name)])
    expect((await get('', { 'if-none-match': head.headers.get('etag')! }, 'HEAD')).status).toBe(304)
  })

  it('is for keys with DECIDE alone', async () => {
    expect((await get('', { 'x-api-key': COLLECTOR })).status).toBe(403)
    expect((await get('', { 'x-api-key': 'none' })).status).toBe(401)
    expect((await get('', { 'x-api-key': ADMIN })).status).toBe(200)
  })

  it.each(['?format=csv', '?format=', '?format=plain&format=nginx', '?format=PLAIN'])(
    'refuses %s and names what is allowed',
    async (query) => {
      const response = await get(query)
      expect(response.status).toBe(400)
      expect((await response.json()).detail).toMatch(/^format is .*; allowed is plain, nginx, ipset\.$/)
    },
  )
})

describe('a client that names the tag it has', () => {
  it.each(['plain', 'nginx', 'ipset'])('gets 304 until the %s list changes or an entry of it ends', async (format) => {
    const query = `?format=${format}`
    const tagOf = async (): Promise<string> => (await get(query)).headers.get('etag')!
    const first = await tagOf()
    expect(first).toMatch(format === 'ipset' ? /^W\/"[\w-]{22}"$/ : /^"[\w-]{22}"$/)
    const known = { 'if-none-match': first }
    const response = await get(query, known)
    expect([response.status, await response.text()]).toEqual([304, ''])
    expect([response.headers.get('etag'), response.headers.get('cache-control')]).toEqual([first, 'no-cache'])

    const expiresAt = new Date(Date.now() + 1_000)
    await blockList.add({ cidr: '203.0.113.99', reason: 'brief', expiresAt }, { by: 'cli' })
    expect((await get(query, known)).status).toBe(200)
    const second = await tagOf()
    expect(second).not.toBe(first)
    // The list is again what it was, and so is its tag.
    await expect.poll(tagOf).toBe(first)
    expect(Date.now()).toBeGreaterThanOrEqual(expiresAt.getTime())
  })

  it('may name several, weak ones, or any', async () => {
    const tag = (await get()).headers.get('etag')!
    for (const named of [`"other", ${tag}`, `W/${tag}`, `"a,b" , W/${tag},"c"`, '*'])
      expect([named, (await get('', { 'if-none-match': named })).status]).toEqual([named, 304])
    for (const named of ['"other"', 'W/"other"', tag.slice(1, -1), `"${tag.slice(1, -1)}x"`])
      expect([named, (await get('', { 'if-none-match': named })).status]).toEqual([named, 200])
  })

  it('has another tag for another format', async () => {
    const tags = await Promise.all(
      ['plain', 'nginx', 'ipset'].map(async (format) => (await get(`?format=${format}`)).headers.get('etag')),
    )
    expect(new Set(tags).size).toBe(3)
  })
})

it('answers 503, and no empty list, while it is not known what is on it', async () => {
  const gate = await createGate(database.url)
  await gate.close()
  const { createClickHouse } = await import('../../../src/clickhouse/index.ts')
  const clickhouse = await createClickHouse({ url: gate.url, dataDir: '', log: silent })
  const unknown = createBlockList({ clickhouse, redis, log: silent, dataDir: undefined, trustedProxies: [] })
  const other = testServer({ authenticate })
  addBlockListRoutes(other.server.app, { blockList: unknown })
  try {
    await unknown.start()
    const url = await other.start()
    const response = await fetch(`${url}/v1/blocklist`, { headers: { 'x-api-key': DECIDER } })
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toBe('5')
    expect((await response.json()).detail).toContain('not known yet')
  } finally {
    await other.server.stop()
    await unknown.stop()
    await clickhouse.close()
    await gate.close()
  }
})
