import * as fc from 'fast-check'
import { expect, test } from 'vitest'

import { nameField } from '../../src/middleware/json.ts'
import { type Batch, createRows } from '../../src/middleware/rows.ts'

const parse = (batches: readonly Batch[]): Record<string, unknown>[] =>
  batches.flatMap(({ bytes }) =>
    bytes
      .toString()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>),
  )

const absent = (text: string): string | undefined => (text === '' ? undefined : text)

const written = fc.record({
  durationMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
  status: fc.integer({ min: 100, max: 999 }),
  size: fc.oneof(fc.constant(-1), fc.nat(), fc.maxSafeNat()),
  path: fc.string({ unit: 'binary', maxLength: 300 }),
  route: fc.string({ unit: 'binary', maxLength: 20 }),
  userId: fc.string({ unit: 'binary', maxLength: 20 }),
})

test('what is written is JSON with the same values, in ASCII, whatever they are', () => {
  fc.assert(
    fc.property(fc.array(written, { minLength: 1, maxLength: 20 }), (given) => {
      const batches: Batch[] = []
      const rows = createRows({ maxRows: 7, maxDelayMs: 60_000, onBatch: (batch) => batches.push(batch) })
      const before = Date.now()
      const start = performance.now()
      for (const { userId, ...row } of given) {
        const client = Uint8Array.from(Buffer.from(',"ip":"192.0.2.1","path":"'))
        expect(rows.add({ ...row, start, client, rest: nameField('userId', userId) })).toBe(true)
      }
      rows.seal()
      for (const { bytes } of batches) expect(bytes.every((byte) => byte < 0x7f)).toBe(true)
      const parsed = parse(batches)
      expect(parsed).toHaveLength(given.length)
      for (const [index, { durationMs, status, size, path, route, userId }] of given.entries()) {
        const row = parsed[index]!
        expect(row).toMatchObject({ ip: '192.0.2.1', path, status })
        expect([row['route'], row['userId']]).toEqual([absent(route), absent(userId)])
        expect(row['responseBytes']).toBe(size < 0 ? undefined : size)
        expect(Math.abs((row['durationMs'] as number) - durationMs)).toBeLessThanOrEqual(0.002)
        expect(Math.abs((row['timestamp'] as number) - before)).toBeLessThan(1000)
      }
    }),
    { numRuns: 300 },
  )
})

test('a batch is full at its rows or at 1 MiB, and memory that was sent is used again', () => {
  const batches: Batch[] = []
  const rows = createRows({ maxRows: 1000, maxDelayMs: 60_000, onBatch: (batch) => batches.push(batch) })
  const client = Uint8Array.from(Buffer.from(',"path":"'))
  const add = (path: string): boolean =>
    rows.add({ start: 0, durationMs: 0, status: 200, size: -1, client, path, route: '', rest: '' })
  for (let index = 0; index < 2500; index++) add('/')
  expect(batches.map(({ rows }) => rows)).toEqual([1000, 1000])
  expect(rows.rows()).toBe(500)
  rows.seal()
  for (let index = 0; index < 30; index++) add('x'.repeat(65_000))
  rows.seal()
  const large = batches.slice(3)
  expect(large.length).toBeGreaterThan(1)
  expect(large.reduce((sum, batch) => sum + batch.rows, 0)).toBe(30)
  for (const { bytes } of batches) expect(bytes.length).toBeLessThanOrEqual(2 ** 20)
  rows.recycle(large[0]!)
  for (let index = 0; index < 30; index++) add('y'.repeat(65_000))
  rows.seal()
  expect(batches.slice(3 + large.length).some(({ bytes }) => bytes.buffer === large[0]!.bytes.buffer)).toBe(true)
  // Longer than any batch: nothing of it is kept.
  expect(
    rows.add({
      start: 0,
      durationMs: 0,
      status: 200,
      size: -1,
      client,
      path: '/',
      route: '',
      rest: 'x'.repeat(2 ** 20),
    }),
  ).toBe(false)
  expect(rows.rows()).toBe(0)
})
