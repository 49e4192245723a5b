import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

import { describe, expect, inject, test } from 'vitest'

import { type ClickHouse, createClickHouse, param, raw, sql } from '../../src/clickhouse/index.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'
import { asking, linesOf } from './asking.ts'

const store = testDatabase()
const { running, valueOf } = asking(store)
const ENDLESS = sql`SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1`

describe('values of parameters arrive as they were given', () => {
  test.each([
    ['String', "it's"],
    ['String', String.raw`C:\temp\n`],
    ['String', 'line\nline\r\n\ttab'],
    ['String', 'Zürich 東京 🚲 \u0000 end'],
    ['String', ''],
    ['String', "'; DROP TABLE request_logs; --"],
    ['String', String.raw`{x:String} \N %00 &a=b+c`],
    ['String', 'long '.repeat(20_000)],
    ['Nullable(String)', null],
    ['Nullable(String)', 'NULL'],
    ['Int64', -42],
    ['Float64', 0.1],
    ['Bool', true],
    ['UInt64', Number.MAX_SAFE_INTEGER],
    ['Array(String)', ['a', "b'c", String.raw`\d`, 'ü', '', 'x\ny']],
    ['Array(UInt16)', [1, 2, 65_535]],
    ['Array(IPv6)', ['2001:db8::1', '::ffff:192.0.2.1']],
    ["DateTime64(3, 'UTC')", '2024-02-29 23:59:59.999'],
    ['Date', '2024-02-29'],
    ['IPv6', '2001:db8::1'],
    ['IPv6', '::ffff:192.0.2.1'],
  ])('%s %j', async (type, value) => {
    expect(await valueOf(sql`SELECT ${param(type, value)} AS value`)).toEqual(value)
  })

  test('a Date by its instant, a bigint in full', async () => {
    const instant = new Date('2024-02-29T23:59:59.999Z')
    expect(await valueOf(sql`SELECT toUnixTimestamp64Milli(${instant}) AS value`)).toBe(instant.getTime())
    expect(await valueOf(sql`SELECT toString(${2n ** 64n - 1n}) AS value`)).toBe('18446744073709551615')
  })
})

describe('query', () => {
  test('gives rows with numbers as numbers, and what it cost', async () => {
    const result = await store.clickhouse.query(
      sql`SELECT number AS n, toString(n) AS s, toInt64(n) AS i, NULL AS nothing FROM numbers(3)`,
      { queryId: 'my-query-1' },
    )
    expect(result).toMatchObject({ queryId: 'my-query-1', rowsRead: 3, bytesRead: 24 })
    expect(result.elapsedMs).toBeGreaterThan(0)
    expect(result.rows).toEqual([0, 1, 2].map((n) => ({ n, s: String(n), i: n, nothing: null })))
  })

  test('an error half-way through is that error and no rows', async () => {
    const query = sql`SELECT throwIf(number = 150000, 'boom') FROM numbers(200000)`
    await expect(store.clickhouse.query(query)).rejects.toMatchObject({ kind: 'refused', code: 395 })
  })

  test.each([
    ['UNKNOWN_TABLE', 60, sql`SELECT * FROM nowhere`],
    ['SYNTAX_ERROR', 62, sql`SELECT FROM WHERE`],
    ['UNKNOWN_SETTING', 115, sql`SELECT 1 SETTINGS no_such = 1`],
    ['TOO_MANY_ROWS_OR_BYTES', 396, sql`SELECT number FROM numbers(1000) SETTINGS max_result_rows = 10`],
  ])('%s is refused, with its number and name', async (type, code, query) => {
    await expect(store.clickhouse.query(query)).rejects.toMatchObject({
      name: 'ClickHouseError',
      kind: 'refused',
      code,
      type,
    })
  })

  test('settings of one statement are not those of the next', async () => {
    const threads = sql`SELECT getSetting('max_threads') AS value`
    const { rows } = await store.clickhouse.query<{ value: number }>(threads, { settings: { max_threads: 1 } })
    expect(rows[0]!.value).toBe(1)
    expect(await valueOf(threads)).not.toBe(1)
  })

  test('its time limit is a timeout, and ends it in the engine', async () => {
    await expect(
      store.clickhouse.query(ENDLESS, { maxExecutionSeconds: 0.3, comment: 'over-time' }),
    ).rejects.toMatchObject({ kind: 'timeout', message: 'The statement took over 0.3 s' })
    await expect.poll(() => running('over-time'), { timeout: 1000, interval: 50 }).toBe(0)
  })

  test("the engine's own time limit is a timeout too", async () => {
    await expect(store.clickhouse.query(ENDLESS, { settings: { max_execution_time: 1 } })).rejects.toMatchObject({
      kind: 'timeout',
      code: 159,
    })
  })

  test('memory of one statement is refused, since it will be in the way again', async () => {
    const query = sql`SELECT groupArray(number) FROM numbers(10000000)`
    await expect(store.clickhouse.query(query, { settings: { max_memory_usage: 1_000_000 } })).rejects.toMatchObject({
      kind: 'refused',
      code: 241,
    })
  })
})

describe('the abort signal', () => {
  test.each([
    [
      'query',
      (clickhouse: ClickHouse, signal: AbortSignal) => clickhouse.query(ENDLESS, { signal, comment: 'cut-query' }),
    ],
    [
      'command',
      (clickhouse: ClickHouse, signal: AbortSignal) =>
        clickhouse.command(sql`INSERT INTO FUNCTION null('n UInt64') SELECT n FROM (${ENDLESS_ROWS})`, {
          signal,
          comment: 'cut-command',
        }),
    ],
    [
      'stream',
      (clickhouse: ClickHouse, signal: AbortSignal) =>
        clickhouse.stream(sql`SELECT * FROM (${ENDLESS})`, 'JSONEachRow', { signal, comment: 'cut-stream' }),
    ],
  ] as const)('of a %s ends it in the engine within a second', async (kind, start) => {
    const abort = new AbortController()
    const cancelled = expect(start(store.clickhouse, abort.signal)).rejects.toMatchObject({ kind: 'cancelled' })
    await expect.poll(() => running(`cut-${kind}`)).toBe(1)
    abort.abort()
    await cancelled
    await expect.poll(() => running(`cut-${kind}`), { timeout: 1000, interval: 50 }).toBe(0)
  })

  test('that had fired before means that nothing is sent', async () => {
    const signal = AbortSignal.abort()
    await expect(
      store.clickhouse.command(sql`CREATE TABLE early (n UInt8) ENGINE = Memory`, { signal }),
    ).rejects.toMatchObject({ kind: 'cancelled' })
    expect(await valueOf(sql`SELECT count() AS value FROM system.tables WHERE name = 'early'`)).toBe(0)
  })

  test('of a stream half read destroys it as cancelled', async () => {
    const abort = new AbortController()
    const rows = await store.clickhouse.stream(sql`SELECT number FROM numbers(100000000000)`, 'JSONEachRow', {
      signal: abort.signal,
      comment: 'cut-half-read',
    })
    const read = async (): Promise<void> => {
      for await (const chunk of rows) if (chunk) abort.abort()
    }
    await expect(read()).rejects.toMatchObject({ name: 'ClickHouseError', kind: 'cancelled' })
    await expect.poll(() => running('cut-half-read'), { timeout: 1000, interval: 50 }).toBe(0)
  })
})

const ENDLESS_ROWS = sql`SELECT number AS n FROM numbers(1000000000000) WHERE sipHash64(number) = 1`

describe('stream', () => {
  test('gives the lines of the format, byte for byte', async () => {
    const query = sql`SELECT number AS n, ${'a "b"\n\r\\'} AS s FROM numbers(2)`
    expect(await linesOf(await store.clickhouse.stream(query, 'JSONCompactEachRow'))).toEqual([
      String.raw`[0, "a \"b\"\n\r\\"]`,
      String.raw`[1, "a \"b\"\n\r\\"]`,
    ])
  })

  test('an empty result is an empty stream', async () => {
    const rows = await store.clickhouse.stream(sql`SELECT 1 WHERE 0`, 'JSONEachRow')
    expect(await linesOf(rows)).toEqual([])
  })

  test('an error before the first row rejects, one half-way destroys the stream, both with what it was', async () => {
    await expect(store.clickhouse.stream(sql`SELECT * FROM nowhere`, 'JSONEachRow')).rejects.toMatchObject({ code: 60 })
    const rows = await store.clickhouse.stream(
      sql`SELECT number, throwIf(number = 900000, 'half-way') FROM numbers(1000000)`,
      'JSONEachRow',
      { settings: { max_block_size: 10_000, max_threads: 1 } },
    )
    await expect(linesOf(rows)).rejects.toMatchObject({ name: 'ClickHouseError', kind: 'refused', code: 395 })
  })

  test('an error that comes before anyone reads is told to the one who reads later', async () => {
    const rows = await store.clickhouse.stream(
      sql`SELECT number, throwIf(number = 900000, 'early') FROM numbers(1000000)`,
      'JSONEachRow',
      { settings: { max_block_size: 10_000, max_threads: 1 } },
    )
    rows.resume()
    await once(rows, 'close').catch(() => {})
    await expect(linesOf(rows)).rejects.toMatchObject({ kind: 'refused', code: 395 })
  })

  test('left by its reader, it ends in the engine', async () => {
    const rows = await store.clickhouse.stream(sql`SELECT number FROM numbers(100000000000)`, 'JSONEachRow', {
      comment: 'left',
    })
    for await (const chunk of rows) if (chunk) break
    await expect.poll(() => running('left'), { timeout: 1000, interval: 50 }).toBe(0)
  })
})

const connect = async (change: (url: URL) => void): Promise<ClickHouse> => {
  const url = new URL(inject('clickhouseUrl'))
  change(url)
  return createClickHouse({ url: url.href, dataDir: '', log: silent })
}

describe('who cannot be reached or does not let us in', () => {
  test('a wrong password is a matter of credentials, and is not repeated in the error', async () => {
    const clickhouse = await connect((url) => {
      url.password = 'hunter2hunter2'
    })
    const error: unknown = await clickhouse.ping().catch((reason: unknown) => reason)
    expect(error).toMatchObject({ kind: 'credentials', code: 516 })
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('hunter2')
    await clickhouse.close()
  })

  test('nobody at the address is unavailable', async () => {
    const clickhouse = await connect((url) => {
      url.port = '1'
    })
    await expect(clickhouse.ping()).rejects.toMatchObject({ kind: 'unavailable' })
    await expect(clickhouse.query(sql`SELECT 1`)).rejects.toMatchObject({ kind: 'unavailable' })
    await clickhouse.close()
  })

  test('sockets that stood idle for longer than the store keeps them do not fail the next call', async () => {
    const clickhouse = await connect(() => {})
    await Promise.all(Array.from({ length: 8 }, () => clickhouse.query(sql`SELECT 1`)))
    // Past the client's own time for idle sockets; the loop is held up, so that its timers are late.
    await sleep(2100)
    const until = performance.now() + 300
    while (performance.now() < until);
    await Promise.all(Array.from({ length: 8 }, () => clickhouse.query(sql`SELECT 1`)))
    await clickhouse.close()
  })
})

test('SQL of our own files goes in as it is', async () => {
  expect(await valueOf(raw('SELECT 1 + 1 AS value -- two'))).toBe(2)
})
