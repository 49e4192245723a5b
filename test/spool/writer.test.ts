import { cpSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'

import { expect, it, onTestFinished, vi } from 'vitest'

import { SpoolFullError } from '../../src/spool/index.ts'
import { decodeRecords } from '../../src/spool/record.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { bytesOf, createTable, filesOf, once, openSpool, rowsOf, stored, testFolder } from './support.ts'

const database = testDatabase({ migrated: false })

/** Rows of each segment on disk, oldest first. */
const segmentsOf = async (folder: string): Promise<number[]> =>
  (await filesOf(folder, '.segment')).map(({ content }) =>
    decodeRecords(content).records.reduce((sum, { meta }) => sum + meta.rows, 0),
  )

const days = (from: number, count: number): number[] => Array.from({ length: count }, (_, day) => from + day)

/** What the process does with its files, in the order in which it is done. */
const watchFiles = async (): Promise<string[]> => {
  const handle = await open(import.meta.filename)
  const prototype = Object.getPrototypeOf(handle)
  await handle.close()
  const done: string[] = []
  for (const method of ['writev', 'datasync']) {
    const original = prototype[method]
    const spy = vi.spyOn(prototype, method).mockImplementation(function (this: unknown, ...args: unknown[]) {
      return original.apply(this, args).finally(() => done.push(method))
    })
    onTestFinished(() => spy.mockRestore())
  }
  return done
}

it('an append resolves when its rows are on disk: a copy of the folder taken at that moment holds them', async () => {
  const table = await createTable(database.clickhouse)
  const done = await watchFiles()
  const { spool, folder } = await openSpool({ clickhouse: database.clickhouse, table, sealAfterMs: 60_000 })
  const copies: string[] = []
  for (let append = 1; append <= 3; append++) {
    const copy = join(await testFolder(), 'copy')
    await spool.append(table, rowsOf(10))
    cpSync(folder, copy, { recursive: true })
    expect(done).toEqual(Array.from({ length: append }, () => ['writev', 'datasync']).flat())
    copies.push(copy)
  }
  // Each into a table of its own, which the spool knows by the folder's name.
  for (const [place, copy] of copies.entries()) {
    const other = await createTable(database.clickhouse)
    cpSync(join(copy, table), join(copy, other), { recursive: true })
    const recovered = await openSpool({ clickhouse: database.clickhouse, table: other, folder: copy })
    recovered.spool.start()
    await expect.poll(() => stored(database.clickhouse, other)).toEqual(once((place + 1) * 10))
  }
})

it('many appends at once share few fdatasyncs', async () => {
  const done = await watchFiles()
  const { spool, folder } = await openSpool({ clickhouse: database.clickhouse, table: 'events', sealAfterMs: 60_000 })
  const client = async (): Promise<void> => {
    for (let post = 0; post < 10; post++) await spool.append('events', rowsOf(1))
  }
  await Promise.all(Array.from({ length: 50 }, client))
  expect(spool.state().rows).toBe(500)
  expect(await segmentsOf(folder)).toEqual([500])
  expect(done.filter((method) => method === 'datasync').length).toBeLessThanOrEqual(50)
})

it('seals at 20,000 rows', async () => {
  const { spool, folder } = await openSpool({ clickhouse: database.clickhouse, table: 'events', sealAfterMs: 60_000 })
  await Promise.all(Array.from({ length: 9 }, () => spool.append('events', rowsOf(5000))))
  await expect.poll(() => spool.state().segments).toBe(2)
  expect(await segmentsOf(folder)).toEqual([20_000, 20_000, 5000])
})

it('seals at 16 MiB, and gives what is larger a segment of its own', async () => {
  const { spool, folder } = await openSpool({ clickhouse: database.clickhouse, table: 'events', sealAfterMs: 60_000 })
  for (const mib of [7, 7, 7, 20, 1]) await spool.append('events', rowsOf(1, { amount: 'x'.repeat(mib * 2 ** 20) }))
  expect(await segmentsOf(folder)).toEqual([2, 1, 1, 1])
})

it('seals by age, and not before', async () => {
  const { spool, folder } = await openSpool({ clickhouse: database.clickhouse, table: 'events', sealAfterMs: 200 })
  const begun = performance.now()
  await spool.append('events', rowsOf(1))
  await expect.poll(() => spool.state().segments, { interval: 10 }).toBe(1)
  expect(performance.now() - begun).toBeGreaterThanOrEqual(199)
  expect(await segmentsOf(folder)).toEqual([1])
})

it('seals before a segment touches more than 100 partitions, and inserts a record that does by itself', async () => {
  const table = await createTable(database.clickhouse)
  const { spool, folder } = await openSpool({ clickhouse: database.clickhouse, table, sealAfterMs: 60_000 })
  await spool.append(table, rowsOf(60, { days: days(10_000, 60) }))
  await spool.append(table, rowsOf(100, { days: days(10_000, 100) }))
  await spool.append(table, rowsOf(1, { days: days(10_100, 1) }))
  await spool.append(table, rowsOf(150, { days: days(10_000, 150) }))
  expect(await segmentsOf(folder)).toEqual([160, 1, 150])
  spool.start()
  await spool.stop(10_000)
  expect(await stored(database.clickhouse, table)).toEqual(once(311))
})

it('takes nothing past its limit, says so, and takes again when there is room', async () => {
  const table = await createTable(database.clickhouse)
  const maxBytes = 100_000
  const { spool, folder } = await openSpool({ clickhouse: database.clickhouse, table, maxBytes })
  const outcomes = await Promise.allSettled(Array.from({ length: 100 }, () => spool.append(table, rowsOf(200))))
  const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []))
  const taken = (outcomes.length - refused.length) * 200
  expect(taken).toBeGreaterThan(0)
  expect(refused.length).toBeGreaterThan(0)
  for (const reason of refused) expect(reason).toBeInstanceOf(SpoolFullError)
  expect(refused[0]).toMatchObject({ message: expect.stringContaining(`at most ${maxBytes}`), retryAfter: 5 })
  expect(spool.state()).toMatchObject({ rows: taken, bytes: await bytesOf(folder, '.segment') })
  expect(spool.state().bytes).toBeLessThanOrEqual(maxBytes)

  spool.start()
  await expect.poll(() => spool.state().bytes).toBe(0)
  await spool.append(table, rowsOf(200))
  await spool.stop(10_000)
  expect(await stored(database.clickhouse, table)).toEqual(once(taken + 200))
})
