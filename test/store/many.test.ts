import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, describe, expect, it } from 'vitest'

import { type ClickHouse, createClickHouse, raw, sql } from '../../src/clickhouse/index.ts'
import { createRedis } from '../../src/redis/index.ts'
import { createVersions, type Version, type Versions } from '../../src/store/index.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'
import { createGate } from '../support/gate.ts'

interface Thing {
  size: number
}

const database = testDatabase()
const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

let kinds = 0
const newKind = () => `many${++kinds}`

interface Instance {
  things: Versions<Thing>
  /** What it was told of, in order. */
  told: Version<Thing>[]
  stop: () => Promise<void>
}

/** As a process without Redis has it, which polls only when it is told to, so that a test knows when. */
const instance = async (
  kind: string,
  { clickhouse = database.clickhouse, dataDir }: { clickhouse?: ClickHouse; dataDir?: string } = {},
): Promise<Instance> => {
  const redis = createRedis([], { log: silent })
  const things = createVersions<Thing>({ kind, clickhouse, redis, log: silent, dataDir, pollMs: 3_600_000 })
  const told: Version<Thing>[] = []
  things.onChange((changed) => told.push(...changed))
  closers.push(redis.stop, things.stop)
  await redis.start()
  await things.start()
  return { things, told, stop: things.stop }
}

const many = (count: number, size = 1) =>
  Array.from({ length: count }, (_, index) => ({ id: `t${index}`, change: (): Thing => ({ size }) }))

/** A row as a process with such a clock writes it. */
const writtenAt = (kind: string, id: string, at: Date, version = 1): Promise<unknown> =>
  database.clickhouse.command(
    sql`INSERT INTO store_versions (kind, id, version, body, changed_at, changed_by) SELECT ${kind}, ${id}, ${version}, '{"size":7}', ${at}, 'cli'`,
  )

it('reads of many things only those that changed', async () => {
  const kind = newKind()
  const writer = await instance(kind)
  await writer.things.writeMany(many(5_000), { by: 'cli' })
  // An hour ago, as far as all clocks are concerned: such a list is not of the last minute.
  await database.clickhouse.command(
    sql`ALTER TABLE store_versions UPDATE changed_at = changed_at - INTERVAL 1 HOUR WHERE kind = ${kind} SETTINGS mutations_sync = 1`,
  )
  let bytes = 0
  const counting: ClickHouse = {
    ...database.clickhouse,
    stream: async (...args) => {
      const stream = await database.clickhouse.stream(...args)
      return stream.on('data', (chunk: Buffer | string) => {
        bytes += chunk.length
      })
    },
  }
  const { things, told } = await instance(kind, { clickhouse: counting })
  expect(told).toHaveLength(5_000)
  expect(bytes).toBeGreaterThan(100_000)
  bytes = 0
  told.length = 0
  await writer.things.write('t7', { size: 2 }, { by: 'cli' })
  await things.refresh()
  expect(told.map(({ id, version, value }) => [id, version, value])).toEqual([['t7', 2, { size: 2 }]])
  expect(bytes).toBeLessThan(200)
  bytes = 0
  await things.refresh()
  expect(bytes).toBe(0)
})

describe('sees a change of a process whose clock', () => {
  it.each([
    ['is right', 0],
    ['is 30 s behind', -30_000],
    ['is a day behind', -86_400_000],
    ['is a day ahead', 86_400_000],
  ])('%s, and after it those of others', async (_clock, ahead) => {
    const kind = newKind()
    const { things } = await instance(kind)
    const other = await instance(kind)
    await other.things.write('first', { size: 1 }, { by: 'cli' })
    await things.refresh()
    await writtenAt(kind, 'theirs', new Date(Date.now() + ahead))
    await things.refresh()
    expect(things.get('theirs')?.value).toEqual({ size: 7 })
    await other.things.write('last', { size: 3 }, { by: 'cli' })
    await things.refresh()
    expect(things.get('last')?.value).toEqual({ size: 3 })
    await writtenAt(kind, 'theirs', new Date(Date.now() + ahead), 2)
    await things.refresh()
    expect(things.get('theirs')?.version).toBe(2)
  })
})

it('sees two changes of one millisecond of which one came later', async () => {
  const kind = newKind()
  const { things } = await instance(kind)
  const at = new Date()
  await writtenAt(kind, 'a', at)
  await things.refresh()
  await writtenAt(kind, 'b', at)
  await things.refresh()
  expect(things.list().map(({ id }) => id)).toEqual(['a', 'b'])
})

it('takes over what a restored backup has: what is not in it goes, what is older comes back', async () => {
  const kind = newKind()
  const { things, told } = await instance(kind)
  await things.write('a', { size: 1 }, { by: 'cli' })
  await things.write('a', { size: 2 }, { by: 'cli' })
  await things.write('b', { size: 1 }, { by: 'cli' })
  await database.clickhouse.command(
    raw(`DELETE FROM store_versions WHERE kind = '${kind}' AND (id = 'b' OR version = 2)`),
  )
  told.length = 0
  await things.refresh()
  expect(things.list().map(({ id, value }) => [id, value])).toEqual([['a', { size: 1 }]])
  expect(told.map(({ id, value }) => [id, value])).toEqual([
    ['a', { size: 1 }],
    ['b', undefined],
  ])
})

describe('many at once', () => {
  it('are written in one statement, told to all, and there after a restart', async () => {
    const kind = newKind()
    const [first, second] = [await instance(kind), await instance(kind)]
    await first.things.write('t1', { size: 1 }, { by: 'cli' })
    first.told.length = 0
    const results = await first.things.writeMany(many(2_500), { by: 'key_1' })
    expect(results.map(({ id }) => id)).toEqual(many(2_500).map(({ id }) => id))
    expect(results[1]).toMatchObject({ id: 't1', version: 2, changedBy: 'key_1' })
    expect(first.told).toHaveLength(2_500)
    await second.things.refresh()
    const { things: third } = await instance(kind)
    for (const things of [first.things, second.things, third]) {
      expect(things.list()).toHaveLength(2_500)
      expect(things.get('t2499')).toEqual(results[2_499])
    }
    const { rows } = await database.clickhouse.query(
      sql`SELECT uniqExact(_part) AS parts, count() AS rows FROM store_versions WHERE kind = ${kind} AND changed_by = 'key_1'`,
    )
    expect(rows).toEqual([{ parts: 1, rows: 2_500 }])
  })

  it('are all or none: what one change throws leaves the others unwritten', async () => {
    const kind = newKind()
    const { things } = await instance(kind)
    const changes = many(10)
    changes[7]!.change = () => {
      throw new Error('no')
    }
    await expect(things.writeMany(changes, { by: 'cli' })).rejects.toThrow('no')
    expect(things.list()).toEqual([])
    expect(await things.history()).toEqual([])
  })

  it('leave as it is what does not change, and start from what others wrote', async () => {
    const kind = newKind()
    const [first, second] = [await instance(kind), await instance(kind)]
    await first.things.writeMany(many(3), { by: 'cli' })
    const grown = await second.things.writeMany(
      many(3).map(({ id }) => ({
        id,
        change: (current: Version<Thing> | undefined) =>
          id === 't1' ? current?.value : { size: (current?.value?.size ?? 0) + 10 },
      })),
      { by: 'cli' },
    )
    expect(grown.map(({ version, value }) => [version, value?.size])).toEqual([
      [2, 11],
      [1, 1],
      [2, 11],
    ])
  })

  it('say UNAVAILABLE, and change nothing, while ClickHouse is away', async () => {
    const gate = await createGate(database.url)
    closers.push(gate.close)
    const clickhouse = await createClickHouse({ url: gate.url, dataDir: '', log: silent })
    closers.push(clickhouse.close)
    const { things } = await instance(newKind(), { clickhouse })
    await gate.close()
    await expect(things.writeMany(many(3), { by: 'cli' })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(things.list()).toEqual([])
  })

  it('and single changes of processes that know nothing of each other end in one state that all agree on', async () => {
    const kind = newKind()
    const all = await Promise.all(Array.from({ length: 3 }, () => instance(kind)))
    const ids = many(8).map(({ id }) => id)
    await Promise.all(
      all.flatMap(({ things }, writer) => [
        things.writeMany(
          ids.map((id) => ({ id, change: () => ({ size: writer }) })),
          { by: `many${writer}` },
        ),
        ...ids.map((id) => things.update(id, () => ({ size: 10 + writer }), { by: `one${writer}` })),
      ]),
    )
    await Promise.all(all.map(({ things }) => things.refresh()))
    const fresh = await instance(kind)
    const state = ({ things }: Instance) => ids.map((id) => things.get(id))
    for (const each of all) expect(state(each)).toEqual(state(fresh))
  })
})

it('writes the snapshot of a long list not at each change, but at the stop, and starts from it', async () => {
  const kind = newKind()
  const dataDir = await mkdtemp(join(tmpdir(), 'vedette-versions-'))
  closers.push(() => rm(dataDir, { recursive: true, force: true }))
  const gate = await createGate(database.url)
  closers.push(gate.close)
  const clickhouse = await createClickHouse({ url: gate.url, dataDir: '', log: silent })
  closers.push(clickhouse.close)
  const path = join(dataDir, 'store', `${kind}.json`)

  const first = await instance(kind, { clickhouse, dataDir })
  await first.things.write('t0', { size: 0 }, { by: 'cli' })
  expect(JSON.parse(await readFile(path, 'utf8')).versions).toHaveLength(1)
  await first.things.writeMany(many(1_500), { by: 'cli' })
  await first.things.write('t7', undefined, { by: 'cli' })
  expect(JSON.parse(await readFile(path, 'utf8')).versions).toHaveLength(1)
  await first.stop()
  expect(JSON.parse(await readFile(path, 'utf8')).versions).toHaveLength(1_500)

  await gate.close()
  const { things } = await instance(kind, { clickhouse, dataDir })
  expect(things.loaded).toBe(true)
  expect(things.list()).toHaveLength(1_499)
  expect(things.get('t7')).toBeUndefined()
  expect(things.get('t8')).toMatchObject({ version: 1, value: { size: 1 } })
})
