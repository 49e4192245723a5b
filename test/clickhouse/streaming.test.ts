import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { type ClickHouse, createClickHouse, sql } from '../../src/clickhouse/index.ts'
import type { EngineAddress } from '../../src/clickhouse/embedded/index.ts'
import { silent } from '../support/clickhouse.ts'

// An engine of its own, so that its memory is this test's alone.
const folder = mkdtempSync(join(tmpdir(), 'vedette-streaming-'))
let clickhouse: ClickHouse
let pid: number
beforeAll(async () => {
  clickhouse = await createClickHouse({ dataDir: folder, log: silent })
  pid = (JSON.parse(readFileSync(join(folder, 'engine.json'), 'utf8')) as EngineAddress).pid
})
afterAll(async () => {
  await clickhouse.close()
  rmSync(folder, { recursive: true, force: true })
})

const megabytes = (line: 'VmRSS' | 'VmHWM', of: number | 'self'): number => {
  const [, kilobytes] = new RegExp(`^${line}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${of}/status`, 'utf8'))!
  return Number(kilobytes) / 1024
}

test('a result of 400 MB passes through both processes without being held in either', async () => {
  const large = sql`SELECT number, repeat('x', 250) AS s FROM numbers(1600000)`
  // A first small one, so that what every stream needs is there already.
  const small = await clickhouse.stream(sql`SELECT number FROM numbers(100000)`, 'JSONEachRow')
  await once(small.resume(), 'end')
  const before = { engine: megabytes('VmRSS', pid), self: megabytes('VmRSS', 'self') }
  let bytes = 0
  let last = 0
  let peak = 0
  for await (const chunk of (await clickhouse.stream(large, 'JSONCompactEachRow')) as AsyncIterable<Buffer>) {
    bytes += chunk.length
    last = chunk.at(-1)!
    peak = Math.max(peak, megabytes('VmRSS', 'self'))
  }
  // `[N, "x…x"]` and a newline: the digits of N, and 257 bytes beside them.
  expect(bytes).toBe(10 + 90 * 2 + 900 * 3 + 9000 * 4 + 90_000 * 5 + 900_000 * 6 + 600_000 * 7 + 1_600_000 * 257)
  expect(last).toBe(0x0a)
  expect(megabytes('VmHWM', pid) - before.engine).toBeLessThan(250)
  expect(peak - before.self).toBeLessThan(150)
})

test('a reader that pauses holds the engine up instead of filling its memory', async () => {
  const rows = await clickhouse.stream(
    sql`SELECT number, repeat('x', 1000) AS s FROM numbers(100000000)`,
    'JSONEachRow',
  )
  const [first] = await Promise.all([rows[Symbol.asyncIterator]().next(), sleep(0)])
  expect(first.done).toBe(false)
  const before = megabytes('VmRSS', pid)
  // As long as it would take to make hundreds of megabytes.
  await sleep(1500)
  expect(megabytes('VmRSS', pid) - before).toBeLessThan(200)
  rows.destroy()
})
