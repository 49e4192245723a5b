import { afterEach, describe, expect, inject, it, vi } from 'vitest'

import { createRedis } from '../../src/redis/index.ts'
import { createVersions, StoreError, type Versions } from '../../src/store/index.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'

interface Thing {
  size: number
}

const database = testDatabase()
const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

let kinds = 0
const newKind = () => `thing${++kinds}`

/** As another process has it: its own memory and its own connections. */
const instance = async (kind: string, redisUrls: string[] = [], pollMs = 1_000): Promise<Versions<Thing>> => {
  const redis = createRedis(redisUrls, { log: silent })
  const versions = createVersions<Thing>({ kind, clickhouse: database.clickhouse, redis, log: silent, pollMs })
  closers.push(redis.stop, versions.stop)
  await redis.start()
  await versions.start()
  return versions
}

it('has what was written at once, and after a restart', async () => {
  const kind = newKind()
  const first = await instance(kind)
  const written = await first.write('a', { size: 1 }, { by: 'cli' })
  expect(written).toMatchObject({ id: 'a', version: 1, value: { size: 1 }, changedBy: 'cli' })
  expect(first.get('a')).toEqual(written)
  const second = await instance(kind)
  expect(second.get('a')).toEqual(written)
  expect(second.list()).toEqual([written])
})

it('keeps every version, newest first, with who and when', async () => {
  const things = await instance(newKind())
  await things.write('a', { size: 1 }, { by: 'cli' })
  await things.write('b', { size: 9 }, { by: 'cli' })
  await things.write('a', { size: 2 }, { by: 'key_1' })
  await things.write('a', undefined, { by: 'key_2' })
  expect(things.get('a')).toBeUndefined()
  expect(things.list().map(({ id }) => id)).toEqual(['b'])
  const history = await things.history({ id: 'a' })
  expect(history.map(({ version, value, changedBy }) => [version, value, changedBy])).toEqual([
    [3, undefined, 'key_2'],
    [2, { size: 2 }, 'key_1'],
    [1, { size: 1 }, 'cli'],
  ])
  expect(await things.history({ limit: 2 })).toHaveLength(2)
  expect((await things.write('a', { size: 3 }, { by: 'cli' })).version).toBe(4)
})

it('refuses a change of what somebody else changed meanwhile', async () => {
  const kind = newKind()
  const [first, second] = [await instance(kind), await instance(kind)]
  await first.write('a', { size: 1 }, { by: 'cli', expectedVersion: 0 })
  await first.write('a', { size: 2 }, { by: 'cli', expectedVersion: 1 })
  const lost = second.write('a', { size: 7 }, { by: 'cli', expectedVersion: 1 })
  await expect(lost).rejects.toThrow(/^thing\d+ a is at version 2 by now, not 1; read it again and repeat the change$/)
  await expect(lost).rejects.toMatchObject({ code: 'CONFLICT' })
  await second.refresh()
  expect(second.get('a')?.value).toEqual({ size: 2 })
})

describe.each([
  { between: 'processes that know nothing of each other', redis: false },
  { between: 'processes with one Redis', redis: true },
])('many writers at once, in $between', ({ redis }) => {
  const instances = (kind: string) =>
    Promise.all(Array.from({ length: 3 }, () => instance(kind, redis ? [inject('redisUrl')] : [])))

  it('lose no change of one thing', async () => {
    const all = await instances(newKind())
    await all[0]!.write('n', { size: 0 }, { by: 'cli' })
    const rounds = 5
    await Promise.all(
      all.map(async (things) => {
        for (let round = 0; round < rounds; round++)
          await things.update('n', (current) => ({ size: current!.value!.size + 1 }), { by: 'cli' })
      }),
    )
    const history = await all[0]!.history({ id: 'n' })
    expect(history[0]!.value).toEqual({ size: all.length * rounds })
    expect(history.map(({ version }) => version)).toEqual(
      Array.from({ length: all.length * rounds + 1 }, (_, index) => all.length * rounds + 1 - index),
    )
  })

  it('lose none where they write the same in the same millisecond', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    try {
      const all = await instances(newKind())
      await all[0]!.write('n', { size: 0 }, { by: 'cli' })
      await Promise.all(
        all.map((things) => things.update('n', (current) => ({ size: current!.value!.size + 1 }), { by: 'cli' })),
      )
      const [newest] = await all[0]!.history({ id: 'n' })
      expect(newest).toMatchObject({ version: 4, value: { size: 3 } })
    } finally {
      vi.useRealTimers()
    }
  })

  it('make one thing exactly once', async () => {
    const all = await instances(newKind())
    const results = await Promise.allSettled(
      all.map((things, size) => things.write('only', { size }, { by: 'cli', expectedVersion: 0 })),
    )
    const won = results.filter(({ status }) => status === 'fulfilled')
    const lost = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
    expect(won).toHaveLength(1)
    for (const reason of lost) expect(reason).toMatchObject({ code: 'CONFLICT' })
    expect(await all[0]!.history({ id: 'only' })).toHaveLength(1)
  })
})

it('brings a change to others within 2 s by the poll alone', async () => {
  const kind = newKind()
  const [first, second] = [await instance(kind), await instance(kind)]
  await first.write('a', { size: 1 }, { by: 'cli' })
  await expect.poll(() => second.get('a')?.value, { timeout: 2_000 }).toEqual({ size: 1 })
})

it('brings a change to others at once by a message', async () => {
  const kind = newKind()
  const hour = 3_600_000
  const [first, second] = [
    await instance(kind, [inject('redisUrl')], hour),
    await instance(kind, [inject('redisUrl')], hour),
  ]
  let told = 0
  second.onChange(() => told++)
  await first.write('a', { size: 1 }, { by: 'cli' })
  await expect.poll(() => second.get('a')?.value, { timeout: 1_000 }).toEqual({ size: 1 })
  expect(told).toBeGreaterThan(0)
})

it('takes changes while Redis is away, and others learn of them by the poll', async () => {
  const kind = newKind()
  const nobody = ['redis://127.0.0.1:1']
  const [first, second] = [await instance(kind, nobody), await instance(kind, nobody)]
  await first.write('a', { size: 1 }, { by: 'cli' })
  await expect.poll(() => second.get('a')?.value, { timeout: 2_000 }).toEqual({ size: 1 })
})

it('leaves a thing as it is when the change throws or gives back what it got', async () => {
  const things = await instance(newKind())
  await things.write('a', { size: 1 }, { by: 'cli' })
  await expect(
    things.update(
      'a',
      () => {
        throw new StoreError('INVALID', 'no')
      },
      { by: 'cli' },
    ),
  ).rejects.toMatchObject({ code: 'INVALID' })
  expect((await things.update('a', (current) => current!.value, { by: 'cli' })).version).toBe(1)
  expect(await things.history({ id: 'a' })).toHaveLength(1)
})

it('keeps any text as it is, in ids and values', async () => {
  const kind = newKind()
  const first = await instance(kind)
  const odd = `'; DROP TABLE store_versions; -- \\ " \u2028 {p0:String} \n\t é 🐎`
  await first.write(odd, { size: 1, note: odd } as Thing, { by: odd })
  const second = await instance(kind)
  expect(second.get(odd)).toMatchObject({ id: odd, value: { size: 1, note: odd }, changedBy: odd })
})
