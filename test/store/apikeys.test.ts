import { describe, expect, it } from 'vitest'

import { sql } from '../../src/clickhouse/index.ts'
import { createRedis } from '../../src/redis/index.ts'
import { createVersions, type NewApiKey } from '../../src/store/index.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'
import { services } from './support.ts'

const database = testDatabase()
const { start, logged } = services()
const process = (options: Partial<Parameters<typeof start>[0]> = {}) => start({ url: database.url, ...options })

const collector: NewApiKey = { name: 'shop', scopes: ['COLLECT'], by: 'cli' }

it('shows a secret once, and keeps it nowhere', async () => {
  const { keys } = await process()
  const { apiKey, secret } = await keys.create(collector)
  expect(secret).toMatch(/^vdt_[0-9A-Za-z]{32}$/)
  expect(secret.startsWith(apiKey.prefix)).toBe(true)
  expect(apiKey.prefix.length).toBeLessThan(12)
  const { rows } = await database.clickhouse.query<{ body: string }>(sql`SELECT body FROM store_versions`)
  expect(rows.map(({ body }) => body).join()).toContain('"name":"shop"')
  const rest = secret.slice(apiKey.prefix.length)
  for (const place of [rows, keys.list(), keys.get(apiKey.id), await keys.audit(), logged()])
    expect(JSON.stringify(place)).not.toContain(rest)
})

it('tells who a secret belongs to, with scopes, services and limits', async () => {
  const { keys } = await process()
  const { apiKey, secret } = await keys.create({
    ...collector,
    scopes: ['LOGS_READ', 'COLLECT', 'COLLECT'],
    services: ['shop', 'blog', 'shop'],
    pointsPerHour: 50,
    postsPerMinute: 7,
  })
  expect(keys.authenticate(secret)).toEqual({
    keyId: apiKey.id,
    name: 'shop',
    scopes: new Set(['COLLECT', 'LOGS_READ']),
    services: ['shop', 'blog'],
    pointsPerHour: 50,
    postsPerMinute: 7,
  })
})

it('refuses every secret but the right one', async () => {
  const { keys } = await process()
  const { apiKey, secret } = await keys.create(collector)
  const flipped = secret.slice(0, -1) + (secret.endsWith('a') ? 'b' : 'a')
  for (const wrong of [
    '',
    ' ',
    apiKey.id,
    apiKey.prefix,
    flipped,
    `${secret} `,
    secret.slice(1),
    `${secret}${secret}`,
    'x'.repeat(100_000),
    '__proto__',
  ])
    expect(keys.authenticate(wrong)).toBeUndefined()
  expect(keys.authenticate(secret)).toBeDefined()
})

it('refuses a key from the moment it expires', async () => {
  const { keys } = await process()
  const expiresAt = new Date(Date.now() + 1_000)
  const { secret } = await keys.create({ ...collector, expiresAt })
  expect(keys.authenticate(secret)?.name).toBe('shop')
  await expect.poll(() => keys.authenticate(secret), { timeout: 3_000, interval: 20 }).toBeUndefined()
  expect(Date.now()).toBeGreaterThanOrEqual(expiresAt.getTime())
})

describe('a revoked key is refused in every other process within 2 s', () => {
  it.each([
    { how: 'by the poll alone', options: {} },
    { how: 'by a message alone', options: { messages: true, pollMs: 3_600_000 } },
  ])('$how', async ({ options }) => {
    const [first, second] = [await process(options), await process(options)]
    const { apiKey, secret } = await first.keys.create(collector)
    await expect.poll(() => second.keys.authenticate(secret)?.keyId, { timeout: 2_000 }).toBe(apiKey.id)
    const revoked = await first.keys.revoke(apiKey.id, { by: 'key_admin' })
    expect(revoked.revokedBy).toBe('key_admin')
    expect(first.keys.authenticate(secret)).toBeUndefined()
    await expect.poll(() => second.keys.authenticate(secret), { timeout: 2_000 }).toBeUndefined()
    expect(second.keys.get(apiKey.id)?.revokedAt).toEqual(revoked.revokedAt)
  })
})

it('revokes once: a second time changes nothing, and what is not there is said', async () => {
  const { keys } = await process()
  const { apiKey } = await keys.create(collector)
  const first = await keys.revoke(apiKey.id, { by: 'cli' })
  expect(await keys.revoke(apiKey.id, { by: 'somebody else' })).toEqual(first)
  expect(await keys.audit({ id: apiKey.id })).toMatchObject([
    { keyId: apiKey.id, name: 'shop', action: 'revoked', by: 'cli' },
    { keyId: apiKey.id, name: 'shop', action: 'created', by: 'cli' },
  ])
  await expect(keys.revoke('key_none', { by: 'cli' })).rejects.toMatchObject({
    code: 'NOT_FOUND',
    message: 'there is no API key "key_none"',
  })
})

it('revokes a key that another process made a moment ago', async () => {
  const hour = 3_600_000
  const [first, second] = [await process({ pollMs: hour }), await process({ pollMs: hour })]
  const { apiKey } = await first.keys.create(collector)
  expect((await second.keys.revoke(apiKey.id, { by: 'cli' })).revokedAt).toBeInstanceOf(Date)
})

it('loses no key of many made at once in several processes', async () => {
  const all = await Promise.all([process(), process(), process()])
  const made = await Promise.all(
    Array.from({ length: 12 }, (_, index) => all[index % 3]!.keys.create({ ...collector, name: `burst ${index}` })),
  )
  for (const { keys } of all)
    await expect
      .poll(() => made.filter(({ secret, apiKey }) => keys.authenticate(secret)?.keyId === apiKey.id).length, {
        timeout: 10_000,
      })
      .toBe(made.length)
})

it('a key from before there was a number of POSTs has the default', async () => {
  const { keys } = await process()
  const { apiKey, secret } = await keys.create(collector)
  const records = createVersions<Record<string, unknown>>({
    kind: 'api_key',
    clickhouse: database.clickhouse,
    redis: createRedis([], { log: silent }),
    log: silent,
    dataDir: undefined,
  })
  await records.start()
  const { postsPerMinute: _, ...before } = records.get(apiKey.id)!.value!
  await records.write(apiKey.id, before, { by: 'cli' })
  await records.stop()
  await keys.refresh()
  expect(keys.get(apiKey.id)).toMatchObject({ id: apiKey.id, postsPerMinute: 300_000 })
  expect(keys.authenticate(secret)?.postsPerMinute).toBe(300_000)
})

describe('refuses what cannot be, naming the field', () => {
  it.each<[field: string, change: Partial<NewApiKey>, message: RegExp]>([
    ['name', { name: '' }, /1 to 100 printable characters/],
    ['name', { name: 'x'.repeat(101) }, /1 to 100/],
    ['name', { name: 'a\nb' }, /"a\\nb"/],
    ['scopes', { scopes: [] }, /at least one/],
    ['scopes', { scopes: ['WRITE' as never] }, /"WRITE" is none of COLLECT, DECIDE/],
    ['services', { services: [] }, /leave it out for all services/],
    ['services', { services: ['a', ''] }, /"" is no service name/],
    ['services', { scopes: ['ADMIN'], services: ['a'] }, /cannot be bound/],
    ['expiresAt', { expiresAt: new Date('2020-01-01') }, /2020-01-01T00:00:00.000Z is over/],
    ['expiresAt', { expiresAt: new Date('never') }, /not a time/],
    ['pointsPerHour', { pointsPerHour: 0 }, /whole number from 1/],
    ['pointsPerHour', { pointsPerHour: 1.5 }, /1\.5 is not allowed/],
    ['postsPerMinute', { postsPerMinute: 0 }, /0 is not allowed; give a whole number from 1 to 10000000/],
    ['postsPerMinute', { postsPerMinute: 10_000_001 }, /10000001 is not allowed/],
  ])('%s %j', async (field, change, message) => {
    const { keys } = await process()
    const refused = keys.create({ ...collector, ...change })
    await expect(refused).rejects.toMatchObject({ code: 'INVALID', field })
    await expect(refused).rejects.toThrow(message)
  })
})

it('knows the day of the last use, of all processes and after a restart', async () => {
  const first = await process()
  const { apiKey, secret } = await first.keys.create(collector)
  expect(first.keys.get(apiKey.id)?.lastUsedAt).toBeNull()
  const before = new Date().setUTCHours(0, 0, 0, 0)
  first.keys.authenticate(secret)
  const after = new Date().setUTCHours(0, 0, 0, 0)
  expect([before, after]).toContain(first.keys.get(apiKey.id)?.lastUsedAt?.getTime())
  await first.stop()
  const second = await process()
  expect([before, after]).toContain(second.keys.get(apiKey.id)?.lastUsedAt?.getTime())
})

it('looks a key up in some microseconds', async () => {
  const { keys } = await process()
  const { secret } = await keys.create(collector)
  const startedAt = performance.now()
  for (let round = 0; round < 10_000; round++) {
    keys.authenticate(secret)
    keys.authenticate('vdt_00000000000000000000000000000000')
  }
  expect((performance.now() - startedAt) / 20_000).toBeLessThan(0.05)
})
