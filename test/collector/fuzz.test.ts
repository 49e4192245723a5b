import * as fc from 'fast-check'
import { expect, test } from 'vitest'

import { sql } from '../../src/clickhouse/index.ts'
import { accessLog } from '../../src/collector/formats/access-log.ts'
import { testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'

const database = testDatabase()
const service = testApp(database)

const row = {
  timestamp: '2026-10-01T12:00:00Z',
  ip: '8.8.8.8',
  method: 'GET',
  path: '/a?b=c',
  status: 200,
  attributes: { a: 1 },
}
const line =
  '83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET /a?b=c HTTP/1.1" 200 203023 "http://a.example/" "Mozilla/5.0"'

/** A text with some of its characters replaced, removed, or doubled. */
const mutated = (text: string): fc.Arbitrary<string> =>
  fc
    .array(
      fc.tuple(
        fc.nat(text.length),
        fc.constantFrom(0, 1, 2, 5),
        fc.oneof(fc.string({ maxLength: 4 }), fc.constantFrom('"', '\\', '{', '[', '\0', '\ud800', ',', 'é', '1e999')),
      ),
      { minLength: 1, maxLength: 6 },
    )
    .map((edits) =>
      edits.reduce((all, [at, remove, insert]) => all.slice(0, at) + insert + all.slice(at + remove), text),
    )

const anyField = fc.oneof(fc.anything({ maxDepth: 2 }), fc.string(), fc.integer(), fc.double())
const anyRow = fc.record(
  Object.fromEntries(
    [...Object.keys(row), 'service', 'durationMs', 'userAgent', '__proto__', 'x'].map((name) => [
      name,
      fc.oneof(fc.constant((row as Record<string, unknown>)[name]), anyField),
    ]),
  ),
  { requiredKeys: [] },
)
const toJson = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? 'null'
  } catch {
    return 'null'
  }
}

const body = fc.oneof(
  mutated(JSON.stringify(row)).map((text) => ['application/json', text] as const),
  mutated(JSON.stringify([row, row])).map((text) => ['application/json', text] as const),
  mutated(`${JSON.stringify(row)}\n${JSON.stringify(row)}\n`).map((text) => ['application/x-ndjson', text] as const),
  fc.array(anyRow, { maxLength: 5 }).map((rows) => ['application/json', toJson(rows)] as const),
)

test('whatever is sent, the answer is 202, 400 or 422, and every row that was accepted is stored', async () => {
  let accepted = 0
  await fc.assert(
    fc.asyncProperty(body, async ([type, text]) => {
      const answer = await service.post(text, { headers: { 'content-type': type } })
      expect([202, 400, 422]).toContain(answer.status)
      if (answer.status === 202) accepted += answer.body.accepted
    }),
    { numRuns: 1500 },
  )
  expect(accepted).toBeGreaterThan(100)
  const quarantined = await service.app.spool.quarantined()
  expect(quarantined).toEqual([])
  const { body: last } = await service.post(row, { query: '?wait=stored' })
  expect(last.stored).toBe(true)
  const { rows } = await database.clickhouse.query<{ stored: number }>(sql`SELECT count() AS stored FROM request_logs`)
  expect(rows[0]!.stored).toBe(accepted + 1)
})

test('no access-log line, however mangled, stops the reading of the others', () => {
  fc.assert(
    fc.property(mutated(line), (text) => {
      const rows = [...accessLog.rows(Buffer.from(`${line}\n${text.replaceAll('\n', ' ')}\n${line}`))].flat()
      expect(rows[0]).toMatchObject({ ip: '83.149.9.216' })
      expect(rows.at(-1)).toEqual(rows[0])
    }),
    { numRuns: 3000 },
  )
})
