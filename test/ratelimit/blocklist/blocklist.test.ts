import { describe, expect, inject, it } from 'vitest'

import { sql } from '../../../src/clickhouse/index.ts'
import type { BlockListChange, NewBlockListEntry } from '../../../src/ratelimit/index.ts'
import { testDatabase } from '../../support/clickhouse.ts'
import { createGate } from '../../support/gate.ts'
import { actionFor, blockLists } from './support.ts'

const database = testDatabase()
const { start, folder } = blockLists()
const process = (options: Partial<Parameters<typeof start>[0]> = {}) => start({ url: database.url, ...options })

/** Each test has a net of its own, since all share one list. */
let nets = 0
const net = (): string => `198.18.${++nets}`
const soon = (ms: number): Date => new Date(Date.now() + ms)

it('blocks a prefix at once, with who and why, until it is removed', async () => {
  const { blockList } = await process()
  const own = net()
  expect(actionFor(blockList, `${own}.7`)).toBeUndefined()
  const before = blockList.revision
  const entry = await blockList.add({ cidr: `${own}.9/24`, reason: ' scans ' }, { by: 'key_1' })
  expect(entry).toMatchObject({
    id: expect.stringMatching(/^blk_[0-9A-Za-z]{16}$/),
    cidr: `${own}.0/24`,
    action: 'BLOCK',
    source: 'MANUAL',
    reason: 'scans',
    createdBy: 'key_1',
    expiresAt: null,
    removedAt: null,
  })
  expect(blockList.lookup(entry.prefix.address)).toBe(entry)
  expect(blockList.get(entry.id)).toBe(entry)
  expect(blockList.list()[0]).toBe(entry)
  expect(blockList.revision).toBeGreaterThan(before)

  const removed = await blockList.remove(entry.id, { by: 'key_2', reason: 'a mistake' })
  expect(removed).toMatchObject({ removedBy: 'key_2', removedReason: 'a mistake', removedAt: expect.any(Date) })
  expect(actionFor(blockList, `${own}.7`)).toBeUndefined()
  expect(blockList.active()).not.toContain(removed)
  expect(blockList.list()).toContain(removed)
  expect((await blockList.remove(entry.id, { by: 'key_3' })).version).toBe(removed.version)
  await expect(blockList.remove('blk_none', { by: 'cli' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
})

describe('of several entries that hold an address decides', () => {
  const cases: [what: string, entries: [bits: string, action: string][], expected: string | undefined][] = [
    [
      'ALLOW before a longer BLOCK',
      [
        ['.0/24', 'ALLOW'],
        ['.7', 'BLOCK'],
      ],
      'ALLOW',
    ],
    [
      'ALLOW within a BLOCK',
      [
        ['.0/24', 'BLOCK'],
        ['.0/28', 'ALLOW'],
      ],
      'ALLOW',
    ],
    [
      'the longest prefix',
      [
        ['.0/24', 'BLOCK'],
        ['.0/28', 'RATE_LIMIT'],
      ],
      'RATE_LIMIT',
    ],
    [
      'the longest of three',
      [
        ['.0/24', 'RATE_LIMIT'],
        ['.0/28', 'CHALLENGE'],
        ['.0/26', 'BLOCK'],
      ],
      'CHALLENGE',
    ],
    [
      'BLOCK where one prefix has several',
      [
        ['.0/28', 'RATE_LIMIT'],
        ['.0/28', 'BLOCK'],
        ['.0/28', 'CHALLENGE'],
      ],
      'BLOCK',
    ],
    [
      'none of those beside it',
      [
        ['.8/29', 'BLOCK'],
        ['.6', 'BLOCK'],
      ],
      undefined,
    ],
  ]
  it.each(cases)('%s', async (_what, entries, expected) => {
    const { blockList } = await process()
    const own = net()
    for (const [bits, action] of entries)
      await blockList.add({ cidr: own + bits, action: action as 'BLOCK', reason: 'test' }, { by: 'cli' })
    expect(actionFor(blockList, `${own}.7`)).toBe(expected)
  })

  it('MANUAL where one prefix is there from several sources, and another source goes on when one ends', async () => {
    const { blockList } = await process()
    const cidr = `${net()}.7`
    const feed = await blockList.add({ cidr, source: 'FEED', reason: 'feed' }, { by: 'system' })
    const manual = await blockList.add({ cidr, reason: 'by hand' }, { by: 'cli' })
    expect(blockList.lookup(manual.prefix.address)).toBe(manual)
    await blockList.remove(manual.id, { by: 'cli' })
    expect(blockList.lookup(manual.prefix.address)).toBe(feed)
  })
})

it('ends an entry at its time, to the millisecond, and raises the revision then', async () => {
  const { blockList } = await process()
  const own = net()
  const expiresAt = soon(1_500)
  const entry = await blockList.add({ cidr: `${own}.7`, reason: 'test', expiresAt }, { by: 'cli' })
  const { revision } = blockList
  for (;;) {
    const before = Date.now()
    const found = blockList.lookup(entry.prefix.address)
    const denied = blockList.denied().some(({ cidr }) => cidr === entry.cidr)
    const after = Date.now()
    if (after < expiresAt.getTime()) expect([found, denied]).toEqual([entry, true])
    if (before >= expiresAt.getTime()) {
      expect([found, denied]).toEqual([undefined, false])
      break
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(blockList.revision).toBeGreaterThan(revision)
  expect(blockList.isActive(entry)).toBe(false)
  expect(blockList.active()).not.toContain(entry)
  expect(blockList.list()).toContain(entry)
})

it('gives an entry that is added again its new reason and end, and begins anew what was over', async () => {
  const { blockList, events } = await process()
  const cidr = `${net()}.7`
  const first = await blockList.add({ cidr, reason: 'one', expiresAt: soon(60_000) }, { by: 'key_1' })
  const again = await blockList.add({ cidr, reason: 'two' }, { by: 'key_2' })
  expect(again).toMatchObject({ id: first.id, reason: 'two', expiresAt: null, createdBy: 'key_1', version: 2 })
  expect(again.createdAt).toEqual(first.createdAt)
  expect((await blockList.add({ cidr, reason: 'two' }, { by: 'key_3' })).version).toBe(2)
  await blockList.remove(first.id, { by: 'cli' })
  const anew = await blockList.add({ cidr, reason: 'three' }, { by: 'key_3' })
  expect(anew).toMatchObject({ id: first.id, createdBy: 'key_3', removedAt: null, removedBy: null, version: 4 })
  expect(events.map((each) => [each.event, 'by' in each && each.by])).toEqual([
    ['block_list_added', 'key_1'],
    ['block_list_changed', 'key_2'],
    ['block_list_removed', 'cli'],
    ['block_list_added', 'key_3'],
  ])
})

it('changes nothing for the same idempotency key from the same author, not even what was removed since', async () => {
  const { blockList } = await process()
  const own = net()
  const entry: NewBlockListEntry = { cidr: `${own}.7`, reason: 'one', idempotencyKey: 'incident 7' }
  const first = await blockList.add(entry, { by: 'key_1' })
  await blockList.remove(first.id, { by: 'cli' })
  expect(await blockList.add({ ...entry, reason: 'later' }, { by: 'key_1' })).toMatchObject({
    version: 2,
    removedAt: expect.any(Date),
  })
  // Another process knows it as well.
  const { blockList: other } = await process()
  expect((await other.add(entry, { by: 'key_1' })).version).toBe(2)
  await expect(other.add({ ...entry, cidr: `${own}.8` }, { by: 'key_1' })).rejects.toThrow(
    `idempotencyKey: "incident 7" was used for ${own}.7; use a new one for each entry`,
  )
  expect(await other.add(entry, { by: 'key_2' })).toMatchObject({ version: 3, removedAt: null })
})

describe('adds many', () => {
  it('in one statement, and what is named twice once, as it was said last', async () => {
    const { blockList, clickhouse, events } = await process()
    const own = net()
    const entries = [1, 2, 3, 2].map((last, index) => ({ cidr: `${own}.${last}`, reason: `line ${index}` }))
    const added = await blockList.addMany(entries, { by: 'cli' })
    expect(added.map(({ cidr, reason }) => [cidr, reason])).toEqual([
      [`${own}.1`, 'line 0'],
      [`${own}.2`, 'line 3'],
      [`${own}.3`, 'line 2'],
      [`${own}.2`, 'line 3'],
    ])
    expect(events).toHaveLength(3)
    expect(actionFor(blockList, `${own}.2`)).toBe('BLOCK')
    const again = await blockList.addMany(entries, { by: 'cli' })
    expect(again.map(({ version }) => version)).toEqual([1, 1, 1, 1])
    expect(events).toHaveLength(3)
    const { rows } = await clickhouse.query<{ inserts: number; rows: number }>(
      sql`SELECT uniqExact(changed_at) AS inserts, count() AS rows FROM store_versions WHERE body LIKE ${`%"${own}.%`}`,
    )
    expect(rows).toEqual([{ inserts: 1, rows: 3 }])
  })

  it('or none: a bad one is named, and nothing is there', async () => {
    const { blockList, events } = await process()
    const own = net()
    const entries = [`${own}.1`, `${own}.2`, '10.0.0.0/8'].map((cidr) => ({ cidr, reason: 'test' }))
    await expect(blockList.addMany(entries, { by: 'cli' })).rejects.toThrow(
      'entry 3: cidr: 10.0.0.0/8 is private addresses (RFC 1918); if it is meant all the same, set force',
    )
    const { blockList: other } = await process()
    for (const list of [blockList, other]) expect(actionFor(list, `${own}.1`)).toBeUndefined()
    expect(events).toEqual([])
  })
})

describe('refuses, naming the field, what was given and the way out', () => {
  it.each<[NewBlockListEntry, string, RegExp]>([
    [
      { cidr: 'example.com', reason: 'x' },
      'cidr',
      /^cidr: "example.com" is no address; give one such as 203\.0\.113\.7/,
    ],
    [
      { cidr: '203.0.113.7', reason: ' ' },
      'reason',
      /^reason: " " is not allowed; give 1 to 500 printable characters$/,
    ],
    [
      { cidr: '203.0.113.7', reason: 'x', expiresAt: new Date(0) },
      'expiresAt',
      /^expiresAt: 1970-01-01T00:00:00\.000Z is over; give a time to come/,
    ],
    [
      { cidr: '203.0.113.7', reason: 'x', action: 'DENY' as 'BLOCK' },
      'action',
      /^action: "DENY" is none of BLOCK, RATE_LIMIT, CHALLENGE, ALLOW$/,
    ],
  ])('%j', async (entry, field, message) => {
    const { blockList } = await process()
    const adding = blockList.add(entry, { by: 'cli' })
    await expect(adding).rejects.toMatchObject({ code: 'INVALID', field })
    await expect(adding).rejects.toThrow(message)
  })
})

describe.each([
  { by: 'a message of Redis, without a poll', redisUrls: () => [inject('redisUrl')], pollMs: 3_600_000 },
  { by: 'the poll alone, without Redis', redisUrls: () => [], pollMs: 1_000 },
  { by: 'the poll, while Redis is away', redisUrls: () => ['redis://127.0.0.1:1'], pollMs: 1_000 },
])('two processes: by $by', ({ redisUrls, pollMs }) => {
  it('one knows within 2 s what the other added, changed and removed, and says so once', async () => {
    const first = await process({ redisUrls: redisUrls(), pollMs })
    const second = await process({ redisUrls: redisUrls(), pollMs })
    const own = net()
    const told: BlockListChange[] = []
    second.blockList.onChange((changes) =>
      told.push(...changes.filter(({ entry }) => entry.cidr.startsWith(`${own}.`))),
    )
    const within = { timeout: 2_000, interval: 20 }
    const { id } = await first.blockList.add({ cidr: `${own}.0/25`, reason: 'one' }, { by: 'cli' })
    await expect.poll(() => actionFor(second.blockList, `${own}.1`), within).toBe('BLOCK')
    await first.blockList.add({ cidr: `${own}.0/25`, reason: 'two' }, { by: 'cli' })
    await expect.poll(() => second.blockList.get(id)?.reason, within).toBe('two')
    await first.blockList.remove(id, { by: 'cli' })
    await expect.poll(() => actionFor(second.blockList, `${own}.1`), within).toBeUndefined()
    await first.blockList.addMany(
      [1, 2, 3].map((last) => ({ cidr: `${own}.20${last}`, reason: 'many' })),
      { by: 'cli' },
    )
    await expect
      .poll(() => [1, 2, 3].map((last) => actionFor(second.blockList, `${own}.20${last}`)), within)
      .toEqual(['BLOCK', 'BLOCK', 'BLOCK'])
    expect(told.map(({ action }) => action)).toEqual(['added', 'changed', 'removed', 'added', 'added', 'added'])
    expect(first.events).toHaveLength(6)
    expect(second.events).toEqual([])
  })
})

describe('while ClickHouse is away', () => {
  it('a restart goes on with what was known, ends what is over, and says that it is known', async () => {
    const gate = await createGate(database.url)
    const dataDir = await folder()
    const own = net()
    const before = await process({ url: gate.url, dataDir })
    const expiresAt = soon(3_000)
    await before.blockList.add({ cidr: `${own}.1`, reason: 'stays' }, { by: 'cli' })
    const brief = await before.blockList.add({ cidr: `${own}.2`, reason: 'brief', expiresAt }, { by: 'cli' })
    const { id } = await before.blockList.add({ cidr: `${own}.3`, reason: 'gone' }, { by: 'cli' })
    await before.blockList.remove(id, { by: 'cli' })
    await gate.close()
    await before.stop()

    const { blockList } = await process({ url: gate.url, dataDir })
    expect(blockList.loaded).toBe(true)
    expect(actionFor(blockList, `${own}.1`)).toBe('BLOCK')
    expect(actionFor(blockList, `${own}.3`)).toBeUndefined()
    await expect.poll(() => Date.now()).toBeGreaterThanOrEqual(expiresAt.getTime())
    expect(blockList.lookup(brief.prefix.address)).toBeUndefined()
    await expect(blockList.add({ cidr: `${own}.4`, reason: 'late' }, { by: 'cli' })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    })
    await gate.open()
    await expect
      .poll(() =>
        blockList.add({ cidr: `${own}.4`, reason: 'late' }, { by: 'cli' }).then(
          ({ cidr }) => cidr,
          () => '',
        ),
      )
      .toBe(`${own}.4`)
    await gate.close()
  })

  it('a first start knows that it knows nothing, until ClickHouse is back', async () => {
    const gate = await createGate(database.url)
    await gate.close()
    const { blockList } = await process({ url: gate.url })
    expect(blockList.loaded).toBe(false)
    await gate.open()
    await expect.poll(() => blockList.loaded).toBe(true)
    await gate.close()
  })
})
