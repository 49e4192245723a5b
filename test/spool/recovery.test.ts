import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { expect, it } from 'vitest'

import type { Receipt, Spool } from '../../src/spool/index.ts'
import { lockFolder } from '../../src/spool/lock.ts'
import { testDatabase } from '../support/clickhouse.ts'
import {
  COLUMNS,
  createTable,
  filesOf,
  once,
  openSpool,
  rowsOf,
  stored,
  testFolder,
  type TestSpool,
  uniqueTable,
} from './support.ts'

const database = testDatabase({ migrated: false })
const HOUR_MS = 3_600_000

const spoolOn = (table: string, folder?: string): Promise<TestSpool> =>
  openSpool({ clickhouse: database.clickhouse, table, ...(folder && { folder }) })

const emptied = (spool: Spool): Promise<unknown> =>
  expect.poll(() => spool.state(), { timeout: 10_000 }).toMatchObject({ rows: 0, bytes: 0, segments: 0 })

const receipt = (key: string, at = Date.now()): Receipt => ({ key, fingerprint: 'f', answer: `{"of":"${key}"}`, at })

it('brings in what an earlier life left behind, under the same id', async () => {
  const table = await createTable(database.clickhouse)
  const folder = await testFolder()
  for (let life = 0; life < 3; life++) {
    const { spool } = await spoolOn(table, folder)
    await spool.append(table, rowsOf(100))
    await spool.stop(0)
  }
  const left = join(await testFolder(), 'left')
  await cp(folder, left, { recursive: true })

  const second = await spoolOn(table, folder)
  expect(second.spool.state()).toMatchObject({ rows: 300, segments: 3 })
  second.spool.start()
  await emptied(second.spool)
  expect(await filesOf(folder, '.segment')).toEqual([])
  expect(await stored(database.clickhouse, table)).toEqual(once(300))

  // Killed between the insert and the deletion of its segment, it finds all of them once more.
  const third = await spoolOn(table, left)
  third.spool.start()
  await emptied(third.spool)
  expect(await stored(database.clickhouse, table)).toEqual(once(300))
})

it('does not insert again what is there, even when ClickHouse has forgotten its token', async () => {
  const table = await createTable(database.clickhouse)
  const { clickhouse } = database
  const first = await spoolOn(table)
  const appends = [rowsOf(100), rowsOf(50, { days: [1, 2, 3] })]
  for (const append of appends) await first.spool.append(table, append)
  await first.spool.stop(0)
  for (const { meta, rows } of appends) {
    const token = `another for ${meta.batch}`
    await clickhouse.insert({ table, columns: COLUMNS, rows: Buffer.concat(rows), deduplicationToken: token })
  }

  const { spool } = await spoolOn(table, first.folder)
  spool.start()
  await emptied(spool)
  expect(await stored(clickhouse, table)).toEqual(once(150))
})

it('keeps what the disk has damaged, counts it, and brings in the records around it', async () => {
  const table = await createTable(database.clickhouse)
  const first = await spoolOn(table)
  for (const rows of [10, 20, 30]) await first.spool.append(table, rowsOf(rows))
  await first.spool.stop(0)
  const [segment] = await filesOf(first.folder, '.segment')
  const damaged = Buffer.from(segment!.content)
  const middle = damaged.indexOf('VDR1', 1)
  damaged[middle + 40]! ^= 1
  await writeFile(join(first.folder, segment!.name), damaged)

  const { spool, metric } = await spoolOn(table, first.folder)
  expect(spool.state().rows).toBe(40)
  spool.start()
  await emptied(spool)
  expect(await stored(database.clickhouse, table)).toEqual(once(40))
  const [kept] = await filesOf(first.folder, '.damaged')
  expect(kept!.content).toEqual(damaged.subarray(middle, damaged.indexOf('VDR1', middle + 1)))
  expect(await metric('vedette_spool_damaged_bytes_total')).toBe(kept!.content.length)
})

const expectKnown = ({ journal }: Spool): void => {
  expect(journal.receipt('one')).toMatchObject({ fingerprint: 'f', answer: '{"of":"one"}' })
  expect(journal.receipt('two')).toBeUndefined()
  expect(journal.marks()).toEqual([{ name: 'a log', offset: 900 }])
}

it('remembers receipts and marks after a restart, while their segment stands and after it is gone', async () => {
  const table = await createTable(database.clickhouse)
  const first = await spoolOn(table)
  await first.spool.append(table, rowsOf(1, { receipt: receipt('one') }))
  await first.spool.append(table, rowsOf(1, { mark: { name: 'a log', offset: 700 } }))
  // Past lines that are no rows a mark goes on as well.
  await first.spool.append(table, rowsOf(0, { mark: { name: 'a log', offset: 900 }, partitions: [] }))
  expectKnown(first.spool)
  await first.spool.stop(0)

  const second = await spoolOn(table, first.folder)
  expectKnown(second.spool)
  second.spool.start()
  await emptied(second.spool)
  await second.spool.stop(0)
  expect(await filesOf(first.folder, '.segment')).toEqual([])
  for (let life = 0; life < 3; life++) {
    const { spool } = await spoolOn(table, first.folder)
    expectKnown(spool)
    await spool.stop(0)
  }
})

it('says of a receipt whether its rows can be queried yet', async () => {
  const table = await createTable(database.clickhouse)
  const { spool } = await spoolOn(table)
  await spool.append(table, rowsOf(1, { receipt: receipt('waits') }))
  let isStored = false
  const waiting = spool.journal.stored('waits').then(() => {
    isStored = true
  })
  expect(isStored).toBe(false)
  spool.start()
  await waiting
  expect(await stored(database.clickhouse, table)).toEqual(once(1))
  await spool.journal.stored('waits')
})

it('forgets receipts after 24 h, marks never', async () => {
  const now = Date.now()
  const folder = await testFolder()
  const journal = join(folder, 'journal')
  await mkdir(journal)
  const fileOf = (hoursAgo: number): string =>
    join(journal, `receipts-${Math.floor((now - hoursAgo * HOUR_MS) / HOUR_MS)}.ndjson`)
  for (const hours of [40, 30, 23, 1])
    await writeFile(fileOf(hours), `${JSON.stringify(receipt(`${hours} h`, now - hours * HOUR_MS))}\n{"torn":`)
  // What was replayed from quarantine lies among younger ones.
  await writeFile(
    fileOf(2),
    [receipt('2 h', now - 2 * HOUR_MS), receipt('replayed', now - 25 * HOUR_MS)]
      .map((line) => JSON.stringify(line))
      .join('\n'),
  )
  await writeFile(join(journal, 'marks.ndjson'), '{"name":"old","offset":5}\n{"name":"old","offset":9}\n{"name":"ol')

  const { spool } = await spoolOn(uniqueTable(), folder)
  const known = ['40 h', '30 h', 'replayed', '23 h', '2 h', '1 h'].filter((key) => spool.journal.receipt(key))
  expect(known).toEqual(['23 h', '2 h', '1 h'])
  expect(spool.journal.mark('old')).toBe(9)
  expect((await filesOf(folder, '.ndjson')).map(({ name }) => join(folder, name))).toEqual(
    [join(journal, 'marks.ndjson'), fileOf(23), fileOf(2), fileOf(1)].toSorted(),
  )
  expect(await readFile(join(journal, 'marks.ndjson'), 'utf8')).toBe('{"name":"old","offset":9}')
})

it('belongs to one process: a second one is told who to stop', async () => {
  const { spool, folder } = await spoolOn(uniqueTable())
  await expect(lockFolder(folder, 0)).rejects.toThrow(
    `The spool ${folder} is in use by another process; stop that one first, or set DATA_DIR to a folder of its own`,
  )
  await spool.stop(0)
  const unlock = await lockFolder(folder, 0)
  unlock()
})
