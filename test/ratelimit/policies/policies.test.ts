import { beforeEach, describe, expect, inject, it } from 'vitest'

import { createClickHouse } from '../../../src/clickhouse/index.ts'
import { createRedis } from '../../../src/redis/index.ts'
import { createVersions } from '../../../src/store/index.ts'
import { silent, testDatabase } from '../../support/clickhouse.ts'
import { createGate } from '../../support/gate.ts'
import { processes } from './support.ts'

const database = testDatabase()
const { start, folder, onEnd } = processes()
beforeEach(() => database.empty('store_versions'))

const BUILT_IN = {
  id: 'default',
  source: 'BUILT_IN',
  version: 0,
  name: 'default',
  service: '*',
  pathPattern: '/*',
  methods: [],
  key: 'IP',
  limit: 5,
  authenticatedLimit: 10,
  windowSeconds: 60,
  algorithm: 'FIXED_WINDOW',
  blockSeconds: 0,
  mode: 'ENFORCE',
  onError: 'ALLOW',
}
const LOGIN = { name: 'login', pathPattern: '/login', limit: 3, windowSeconds: 30 }
const by = 'key_1'

describe('the built-in policy', () => {
  it('is 5 a minute for an address and 10 for a user, on everything, until it is changed', async () => {
    const { policies } = await start(database.clickhouse)
    expect(policies.list()).toEqual([BUILT_IN])
    expect(policies.match({ service: 'any', method: 'GET', path: '/x' })).toBe(policies.get('default'))
  })

  it('is changed by saving it and comes back by removing it', async () => {
    const { policies, idFor } = await start(database.clickhouse)
    const changed = await policies.save({ id: 'default', limit: 50 }, { by })
    expect(changed).toEqual({ ...BUILT_IN, limit: 50, source: 'STORE', version: 1 })
    expect(policies.list()).toEqual([changed])
    expect(await policies.remove('default', { by })).toEqual(changed)
    expect(policies.list()).toEqual([BUILT_IN])
    expect(idFor('GET', 'shop', '/')).toBe('default')
    // The next change reads version 0, as it is shown.
    expect((await policies.save({ id: 'default', limit: 7, expectedVersion: 0 }, { by })).limit).toBe(7)
  })

  it('is not removed before it was changed', async () => {
    const { policies } = await start(database.clickhouse)
    await expect(policies.remove('default', { by })).rejects.toMatchObject({
      code: 'INVALID',
      field: 'id',
      message: 'the built-in policy cannot be removed; to end it, save it with mode OFF',
    })
    expect(policies.list()).toEqual([BUILT_IN])
  })
})

describe('a saved policy', () => {
  it('is in force at once, found by its id, and gone once removed', async () => {
    const { policies, idFor } = await start(database.clickhouse)
    const made = await policies.save(LOGIN, { by })
    expect(made).toMatchObject({
      ...LOGIN,
      id: expect.stringMatching(/^pol_[0-9A-Za-z]{12}$/),
      source: 'STORE',
      version: 1,
    })
    expect(idFor('GET', 'shop', '/login')).toBe(made.id)
    expect(policies.get(made.id)).toEqual(made)
    expect(await policies.remove(made.id, { by })).toEqual(made)
    expect([idFor('GET', 'shop', '/login'), policies.get(made.id)]).toEqual(['default', undefined])
    await expect(policies.remove(made.id, { by })).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'id' })
  })

  it('keeps what a change does not name', async () => {
    const { policies } = await start(database.clickhouse)
    const made = await policies.save({ ...LOGIN, methods: ['post'], authenticatedLimit: 9 }, { by })
    const changed = await policies.save({ id: made.id, mode: 'ENFORCE' }, { by })
    expect(changed).toEqual({ ...made, mode: 'ENFORCE', version: 2 })
    expect((await policies.save({ id: made.id, authenticatedLimit: null }, { by })).authenticatedLimit).toBeNull()
  })

  it('is not written anew where nothing changes', async () => {
    const { policies, events } = await start(database.clickhouse)
    const made = await policies.save(LOGIN, { by })
    expect(await policies.save({ id: made.id, ...LOGIN }, { by })).toEqual(made)
    expect(events).toHaveLength(1)
  })

  it('is refused with the field where it does not fit, and nothing is written', async () => {
    const { policies } = await start(database.clickhouse)
    const made = await policies.save(LOGIN, { by })
    await expect(policies.save({ id: made.id, limit: 0 }, { by })).rejects.toMatchObject({
      code: 'INVALID',
      field: 'limit',
    })
    await expect(policies.save({ name: 'x' }, { by })).rejects.toMatchObject({ code: 'INVALID', field: 'limit' })
    expect(policies.get(made.id)).toEqual(made)
    expect(policies.list()).toHaveLength(2)
  })

  it('is not made under an id that somebody thought of', async () => {
    const { policies } = await start(database.clickhouse)
    await expect(policies.save({ ...LOGIN, id: 'mine' }, { by })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      field: 'id',
      message: 'there is no policy "mine"',
    })
  })

  it('does not overwrite what somebody else changed meanwhile', async () => {
    const [first, second] = [await start(database.clickhouse), await start(database.clickhouse, { pollMs: 60_000 })]
    const made = await first.policies.save({ ...LOGIN, expectedVersion: 0 }, { by })
    await first.policies.save({ id: made.id, limit: 4, expectedVersion: 1 }, { by })
    await expect(second.policies.save({ id: made.id, limit: 9, expectedVersion: 1 }, { by })).rejects.toMatchObject({
      code: 'CONFLICT',
      field: 'expectedVersion',
      message: `policy ${made.id} is at version 2 by now, not 1; read it again and repeat the change`,
    })
    // Nor one field what it does not name, though this process has not heard of the change.
    expect(await second.policies.save({ id: made.id, mode: 'ENFORCE' }, { by })).toMatchObject({ limit: 4, version: 3 })
  })

  it('is refused by who asks, seeing the service it held for and the one it shall hold for', async () => {
    const { policies } = await start(database.clickhouse)
    const made = await policies.save({ ...LOGIN, service: 'shop' }, { by })
    const seen: string[] = []
    const checkService = (service: string): void => {
      seen.push(service)
      if (service !== 'shop') throw new TypeError(service)
    }
    await expect(policies.save({ id: made.id, service: 'blog' }, { by, checkService })).rejects.toThrow(TypeError)
    await expect(policies.save(LOGIN, { by, checkService })).rejects.toThrow(TypeError)
    await expect(policies.save({ id: 'default', service: 'shop' }, { by, checkService })).rejects.toThrow(TypeError)
    expect(seen).toEqual(['shop', 'blog', '*', '*'])
    expect(policies.list()).toHaveLength(2)
    await policies.save({ id: made.id, service: 'blog' }, { by })
    await expect(policies.remove(made.id, { by, checkService })).rejects.toThrow('blog')
  })

  it('stays the same object while nothing about it changes, whatever happens to others', async () => {
    const { policies } = await start(database.clickhouse)
    const made = await policies.save(LOGIN, { by })
    const before = policies.get(made.id)
    await policies.save({ ...LOGIN, name: 'other' }, { by })
    expect(policies.get(made.id)).toBe(before)
  })
})

describe('each change', () => {
  it('is told once, after it is in force, and not again once the listener stopped', async () => {
    const { policies } = await start(database.clickhouse, { pollMs: 50 })
    const lengths: number[] = []
    const stop = policies.onChange(() => void lengths.push(policies.list().length))
    const made = await policies.save(LOGIN, { by })
    await policies.save({ id: made.id, limit: 4 }, { by })
    await policies.remove(made.id, { by })
    expect(lengths).toEqual([2, 2, 1])
    stop()
    await policies.save(LOGIN, { by })
    expect(lengths).toHaveLength(3)
  })

  it('is in the security log of the process that made it, with who, and in no other', async () => {
    const [first, second] = [await start(database.clickhouse), await start(database.clickhouse, { pollMs: 50 })]
    const made = await first.policies.save(LOGIN, { by })
    await expect.poll(() => second.policies.get(made.id)).toEqual(made)
    await first.policies.remove(made.id, { by: 'cli' })
    await expect.poll(() => second.policies.get(made.id)).toBeUndefined()
    expect(first.events).toEqual([
      { event: 'policy_changed', policyId: made.id, name: 'login', mode: 'SHADOW', by: 'key_1' },
      { event: 'policy_removed', policyId: made.id, name: 'login', mode: 'SHADOW', by: 'cli' },
    ])
    expect(second.events).toEqual([])
  })

  it.each([
    { how: 'by messages', redis: true, pollMs: 60_000 },
    { how: 'without Redis by the poll', redis: false, pollMs: undefined },
  ])('is in force in other processes within two seconds, $how', async ({ redis, pollMs }) => {
    const options = { ...(redis ? { redisUrl: inject('redisUrl') } : {}), ...(pollMs ? { pollMs } : {}) }
    const [first, second] = [await start(database.clickhouse, options), await start(database.clickhouse, options)]
    const made = await first.policies.save(LOGIN, { by })
    await expect.poll(() => second.idFor('GET', 'shop', '/login'), { timeout: 2_000 }).toBe(made.id)
    await first.policies.remove(made.id, { by })
    await expect.poll(() => second.idFor('GET', 'shop', '/login'), { timeout: 2_000 }).toBe('default')
  })
})

it('the 501st policy is refused', async () => {
  // By one insert: one by one they would take a minute.
  const rows = Array.from({ length: 498 }, (_, index) =>
    JSON.stringify(['rate_limit_policy', `pol_${index}`, 1, JSON.stringify(LOGIN), '2026-01-01 00:00:00.000', 'cli']),
  )
  await database.clickhouse.insert({
    table: 'store_versions',
    columns: ['kind', 'id', 'version', 'body', 'changed_at', 'changed_by'],
    rows: Buffer.from(rows.join('\n')),
    deduplicationToken: 'test-500',
  })
  const { policies } = await start(database.clickhouse)
  expect(policies.list()).toHaveLength(499)
  await policies.save(LOGIN, { by })
  await expect(policies.save(LOGIN, { by })).rejects.toMatchObject({
    code: 'INVALID',
    message: 'there are 500 policies; allowed are 500: delete one',
  })
  // Changing those that are there goes on.
  expect((await policies.save({ id: 'pol_7', limit: 9 }, { by })).limit).toBe(9)
})

it('a stored policy that does not fit this release is left out with a line in the log, and the others hold', async () => {
  const redis = createRedis([], { log: silent })
  const versions = createVersions<object>({
    kind: 'rate_limit_policy',
    clickhouse: database.clickhouse,
    redis,
    log: silent,
  })
  onEnd(versions.stop)
  await versions.start()
  await versions.write('pol_old', { ...LOGIN, key: 'FINGERPRINT' }, { by })
  await versions.write('pol_good', LOGIN, { by })
  const { policies, logged } = await start(database.clickhouse)
  expect(policies.list().map(({ id }) => id)).toEqual(['pol_good', 'default'])
  expect(logged()).toContain('"policyId":"pol_old"')
  // The way out that the line names.
  await policies.remove('pol_old', { by })
  expect(logged()).toContain('save it anew or delete it')
})

it('a start while ClickHouse is away knows the policies of before, and changes wait for it', async () => {
  const gate = await createGate(database.url)
  onEnd(gate.close)
  const clickhouse = await createClickHouse({ url: gate.url, dataDir: '', log: silent })
  onEnd(() => clickhouse.close())
  const dataDir = await folder()
  const before = await start(clickhouse, { dataDir })
  const made = await before.policies.save(LOGIN, { by })
  await gate.close()
  await before.stop()
  const after = await start(clickhouse, { dataDir })
  expect(after.policies.list()).toEqual([made, BUILT_IN])
  await expect(after.policies.save({ id: made.id, limit: 9 }, { by })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  expect(after.policies.get(made.id)).toEqual(made)
})

it('says as a metric how many policies come from where', async () => {
  const { policies, metrics } = await start(database.clickhouse)
  await policies.save(LOGIN, { by })
  expect(await metrics()).toContain('vedette_rate_limit_policies{source="STORE"} 1')
  expect(await metrics()).toContain('vedette_rate_limit_policies{source="BUILT_IN"} 1')
})
