import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { expect, it } from 'vitest'

import { decodeRecords, encodeRecord, type RecordMeta } from '../../src/spool/record.ts'
import { recoverSegment } from '../../src/spool/segment.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { filesOf, openSpool, rowsOf, testFolder } from './support.ts'

const database = testDatabase({ migrated: false })

const records = [rowsOf(2), rowsOf(3, { mark: { name: 'a file', offset: 300 } }), rowsOf(1)]
const encoded = records.map(({ meta, rows }) => Buffer.concat(encodeRecord(meta, rows)))
const whole = Buffer.concat(encoded)
const last = whole.length - encoded[2]!.length
const metas = (): RecordMeta[] => records.map((record) => record.meta)

const nameOf = (length: number): string => `00000000000001-${String(length).padStart(6, '0')}`

it('gives back what was written', () => {
  const decoded = decodeRecords(whole)
  expect(decoded.records.map(({ meta, rows }) => ({ meta, rows: String(rows) }))).toEqual(
    records.map(({ meta, rows }) => ({ meta, rows: String(Buffer.concat(rows)) })),
  )
  expect(decoded).toMatchObject({ end: whole.length, damaged: [] })
})

it('cuts a torn tail at the last whole record, wherever the tear is', async () => {
  const folder = await testFolder()
  for (let length = last; length < whole.length; length++) {
    const name = `00000000000001-${length}.segment`
    await writeFile(join(folder, name), whole.subarray(0, length))
    const recovered = await recoverSegment(folder, name)
    expect(recovered.metas).toEqual(metas().slice(0, 2))
    expect(recovered.segment).toMatchObject({ bytes: last, rows: 5, mayBeStored: true })
    expect(recovered.tail).toEqual(whole.subarray(last, length))
  }
})

it('starts on a folder full of torn segments, and keeps each torn tail', async () => {
  const folder = await testFolder()
  await mkdir(join(folder, 'events'))
  for (let length = 0; length < whole.length; length++)
    await writeFile(join(folder, 'events', `${nameOf(length)}.segment`), whole.subarray(0, length))

  const { spool } = await openSpool({ clickhouse: database.clickhouse, table: 'events', folder })
  const firstEnd = encoded[0]!.length
  const withOne = last - firstEnd
  const withTwo = whole.length - last
  expect(spool.state()).toMatchObject({
    rows: withOne * 2 + withTwo * 5,
    segments: withOne + withTwo,
    bytes: withOne * firstEnd + withTwo * last,
  })
  const tails = await filesOf(folder, '.tail')
  // The three lengths that end with a record (or before the first) leave nothing over.
  expect(tails).toHaveLength(whole.length - 3)
  for (const { name, content } of tails) {
    const length = Number(/(\d{6})\.tail$/.exec(name)![1])
    const end = length >= last ? last : length >= firstEnd ? firstEnd : 0
    expect(content).toEqual(whole.subarray(end, length))
  }
  expect(spool.journal.mark('a file')).toBe(300)
})

it('finds a flipped bit wherever it is, and does not lose the records around it', () => {
  const begin = encoded[0]!.length
  for (let at = begin; at < last; at++) {
    const flipped = Buffer.from(whole)
    flipped[at]! ^= 1 << (at % 8)
    const decoded = decodeRecords(flipped)
    expect(decoded.records.map((record) => record.meta)).toEqual([metas()[0], metas()[2]])
    expect(decoded.damaged).toEqual([flipped.subarray(begin, last)])
    expect(decoded.end).toBe(whole.length)
  }
  for (let at = last; at < whole.length; at++) {
    const flipped = Buffer.from(whole)
    flipped[at]! ^= 1 << (at % 8)
    expect(decodeRecords(flipped)).toMatchObject({ end: last, records: [{}, {}], damaged: [] })
  }
})

it('takes nothing for a record that only looks like the beginning of one', () => {
  const { meta, rows } = rowsOf(1, { amount: 'VDR1 VDR1VDR1' })
  const torn = Buffer.concat([Buffer.concat(encodeRecord(meta, rows)).subarray(0, -1), Buffer.from('VDR1')])
  expect(decodeRecords(torn)).toEqual({ records: [], end: 0, damaged: [] })
})
