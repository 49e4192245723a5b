import { createServer } from 'node:net'
import { once as event } from 'node:events'

import { expect, it, onTestFinished } from 'vitest'

import { type ClickHouse, createClickHouse, raw } from '../../src/clickhouse/index.ts'
import type { Spool } from '../../src/spool/index.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'
import { createGate, type Gate } from '../support/gate.ts'
import { bytesOf, createTable, filesOf, once, openSpool, rowsOf, stored, uniqueTable } from './support.ts'

const database = testDatabase({ migrated: false })
const REFUSED = { amount: 'many' }

const connect = async (url: string): Promise<ClickHouse> => {
  const clickhouse = await createClickHouse({ url, dataDir: '', log: silent })
  onTestFinished(() => clickhouse.close())
  return clickhouse
}

const throughGate = async (): Promise<{ gate: Gate; clickhouse: ClickHouse }> => {
  const gate = await createGate(database.url)
  onTestFinished(() => gate.close())
  return { gate, clickhouse: await connect(gate.url) }
}

/** Takes connections and never answers, as a frozen ClickHouse. */
const silentServer = async (): Promise<string> => {
  const server = createServer((socket) => socket.on('error', () => {}).resume()).listen(0, '127.0.0.1')
  await event(server, 'listening')
  onTestFinished(() => void server.close())
  return `http://default:@127.0.0.1:${(server.address() as { port: number }).port}/default`
}

const emptied = (spool: Spool): Promise<unknown> =>
  expect.poll(() => spool.state(), { timeout: 20_000 }).toMatchObject({ rows: 0, bytes: 0, segments: 0 })

it('ClickHouse away: the same segment again with growing pauses; back: everything is stored once', async () => {
  const table = await createTable(database.clickhouse)
  const { gate, clickhouse } = await throughGate()
  const { spool, metric } = await openSpool({ clickhouse, table })
  await gate.close()
  spool.start()
  const { stored: first } = await spool.append(table, rowsOf(10))
  const failures = (): Promise<number> => metric('vedette_insert_failures_total', 'kind="unavailable"')
  await expect.poll(failures, { interval: 10 }).toBe(1)
  const begun = performance.now()
  expect(spool.state().obstacle).toContain('ClickHouse does not answer')
  for (let append = 0; append < 20; append++) await spool.append(table, rowsOf(10))
  await expect.poll(failures, { interval: 10, timeout: 5000 }).toBe(4)
  // 0.1 s, 0.2 s and 0.4 s, each a quarter more or less.
  expect(performance.now() - begun).toBeGreaterThan(500)
  // One waits for its turn; what comes meanwhile goes together into the next.
  expect(spool.state()).toMatchObject({ rows: 210, segments: 1 })

  await gate.open()
  await first
  await emptied(spool)
  expect(spool.state().obstacle).toBeUndefined()
  expect(await stored(database.clickhouse, table)).toEqual(once(210))
  expect(await metric('vedette_stored_rows_total')).toBe(210)
  expect(await spool.quarantined()).toEqual([])
})

it('a refused segment is quarantined with its reason once another goes through, holds nobody up, and can be replayed', async () => {
  const table = await createTable(database.clickhouse)
  const { spool, metric, folder } = await openSpool({ clickhouse: database.clickhouse, table })
  spool.start()
  const receipt = { key: 'refused', fingerprint: 'f', answer: '{}', at: Date.now() }
  await spool.append(table, rowsOf(3, { ...REFUSED, receipt, mark: { name: 'a log', offset: 70 } }))
  // Long enough for the pauses between its tries to have grown.
  await expect
    .poll(() => metric('vedette_insert_failures_total', 'kind="refused"'), { timeout: 10_000 })
    .toBeGreaterThan(3)
  expect(await spool.quarantined()).toEqual([])

  const begun = performance.now()
  await (
    await spool.append(table, rowsOf(10))
  ).stored
  expect(performance.now() - begun).toBeLessThan(1000)
  await expect.poll(() => spool.quarantined()).toHaveLength(1)
  const [entry] = await spool.quarantined()
  expect(entry).toMatchObject({ table, rows: 3, reason: expect.stringContaining('amount') })
  expect(spool.state()).toMatchObject({ rows: 0, segments: 0, obstacle: undefined, bytes: entry!.bytes })
  expect(await metric('vedette_quarantined_rows_total')).toBe(3)
  expect(await stored(database.clickhouse, table)).toEqual(once(10))

  // What was acknowledged stays known, or a repetition would be doubled by the replay.
  await spool.stop(1000)
  const next = await openSpool({ clickhouse: database.clickhouse, table, folder })
  expect(next.spool.journal.receipt('refused')).toEqual(receipt)
  expect(next.spool.journal.mark('a log')).toBe(70)
  expect(next.spool.state()).toMatchObject({ rows: 0, bytes: entry!.bytes })
  next.spool.start()

  // Replayed before its time it comes back.
  expect(await next.spool.replay(entry!.id)).toBe(true)
  await expect.poll(() => next.spool.state()).toMatchObject({ rows: 3, segments: 1 })
  await (
    await next.spool.append(table, rowsOf(10))
  ).stored
  await expect.poll(() => next.spool.quarantined()).toMatchObject([{ id: entry!.id, rows: 3 }])

  await database.clickhouse.command(raw(`ALTER TABLE ${table} MODIFY COLUMN amount String`))
  expect(await next.spool.replay(entry!.id)).toBe(true)
  await emptied(next.spool)
  expect(await next.spool.quarantined()).toEqual([])
  expect(await next.spool.replay(entry!.id)).toBe(false)
  expect(await stored(database.clickhouse, table)).toEqual(once(23))
  expect(await filesOf(folder, '.segment')).toEqual([])
})

it('whoever waits for rows that are in quarantine is not told that they are stored', async () => {
  const table = await createTable(database.clickhouse)
  const { spool } = await openSpool({ clickhouse: database.clickhouse, table })
  spool.start()
  const receipt = { key: 'refused', fingerprint: 'f', answer: '{}', at: Date.now() }
  let told = 0
  const count = (): void => void told++
  void (await spool.append(table, rowsOf(3, { ...REFUSED, receipt }))).stored.then(count)
  await expect.poll(() => spool.state().obstacle).toBeDefined()
  await (
    await spool.append(table, rowsOf(1))
  ).stored
  await expect.poll(() => spool.quarantined()).toHaveLength(1)
  void spool.journal.stored('refused').then(count)
  await (
    await spool.append(table, rowsOf(1))
  ).stored
  expect(told).toBe(0)

  await database.clickhouse.command(raw(`ALTER TABLE ${table} MODIFY COLUMN amount String`))
  await spool.replay((await spool.quarantined())[0]!.id)
  await expect.poll(() => told).toBe(2)
})

it('all refused, such as by a table that is missing: nothing is quarantined, and all is stored once it is there', async () => {
  const table = uniqueTable()
  const { spool, metric } = await openSpool({ clickhouse: database.clickhouse, table })
  spool.start()
  for (let segment = 1; segment <= 5; segment++) {
    await spool.append(table, rowsOf(10))
    await expect.poll(() => spool.state().segments).toBe(segment)
  }
  // A mark without rows needs no table, so that it goes through proves nothing.
  await spool.append(table, rowsOf(0, { mark: { name: 'a log', offset: 9 }, partitions: [] }))
  const failures = (): Promise<number> => metric('vedette_insert_failures_total', 'kind="refused"')
  await expect.poll(failures, { timeout: 10_000 }).toBeGreaterThan(15)
  expect(spool.state()).toMatchObject({ rows: 50, segments: 5, obstacle: expect.stringContaining(table) })
  expect(await spool.quarantined()).toEqual([])

  await createTable(database.clickhouse, table)
  // A new one is the first to find the table; those that were refused before it must not be blamed for that.
  await spool.append(table, rowsOf(10))
  await emptied(spool)
  expect(await spool.quarantined()).toEqual([])
  expect(await stored(database.clickhouse, table)).toEqual(once(60))
})

it('stop flushes what is there within its grace', async () => {
  const table = await createTable(database.clickhouse)
  const { spool, folder } = await openSpool({ clickhouse: database.clickhouse, table, sealAfterMs: 60_000 })
  spool.start()
  await Promise.all(Array.from({ length: 10 }, () => spool.append(table, rowsOf(5000))))
  await spool.stop(20_000)
  expect(await stored(database.clickhouse, table)).toEqual(once(50_000))
  expect(await filesOf(folder, '.segment')).toEqual([])
  await expect(spool.append(table, rowsOf(1))).rejects.toThrow('the service is stopping')
})

it('stop leaves on disk what ClickHouse does not take within the grace', async () => {
  const table = await createTable(database.clickhouse)
  const { spool, folder } = await openSpool({ clickhouse: await connect(await silentServer()), table })
  spool.start()
  await spool.append(table, rowsOf(10))
  await expect.poll(() => spool.state().segments).toBe(1)
  const begun = performance.now()
  await spool.stop(300)
  const took = performance.now() - begun
  expect(took).toBeGreaterThan(290)
  expect(took).toBeLessThan(2000)

  const next = await openSpool({ clickhouse: database.clickhouse, table, folder })
  next.spool.start()
  await emptied(next.spool)
  expect(await stored(database.clickhouse, table)).toEqual(once(10))
})

it('stop does not wait for a ClickHouse that is away, nor for one that was never there', async () => {
  const { gate, clickhouse } = await throughGate()
  await gate.close()
  for (const started of [true, false]) {
    const table = uniqueTable()
    const { spool, folder } = await openSpool({ clickhouse, table })
    if (started) spool.start()
    await spool.append(table, rowsOf(10))
    await expect.poll(() => spool.state().segments).toBe(1)
    if (started) await expect.poll(() => spool.state().obstacle).toBeDefined()
    const begun = performance.now()
    await spool.stop(10_000)
    expect(performance.now() - begun).toBeLessThan(2000)
    expect(await filesOf(folder, '.segment')).toHaveLength(1)
  }
})

it('its gauges say what the folder says', async () => {
  const table = await createTable(database.clickhouse)
  const { gate, clickhouse } = await throughGate()
  const { spool, folder, metric } = await openSpool({ clickhouse, table })
  const gauges = async () => ({
    bytes: await metric('vedette_spool_bytes'),
    rows: await metric('vedette_spool_rows'),
    waits: (await metric('vedette_spool_oldest_row_age_seconds')) > 0,
  })
  expect(await gauges()).toEqual({ bytes: 0, rows: 0, waits: false })
  await gate.close()
  spool.start()
  for (let append = 1; append <= 5; append++) {
    await spool.append(table, rowsOf(100))
    await expect.poll(gauges).toEqual({ bytes: await bytesOf(folder, '.segment'), rows: append * 100, waits: true })
  }
  await gate.open()
  await emptied(spool)
  expect(await gauges()).toEqual({ bytes: 0, rows: 0, waits: false })
  expect(await bytesOf(folder, '.segment')).toBe(0)
})
