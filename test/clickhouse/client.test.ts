import { describe, expect, test } from 'vitest'

import { param, sql } from '../../src/clickhouse/index.ts'
import { testDatabase } from '../support/clickhouse.ts'

const store = testDatabase()

describe('values of parameters arrive as they were given', () => {
  test.each([
    ['String', "it's"],
    ['String', String.raw`C:\temp\n`],
    ['String', 'line\nline\r\n\ttab'],
    ['String', 'Zürich 東京 🚲 \u0000 end'],
    ['String', ''],
    ['String', "'; DROP TABLE request_logs; --"],
    ['String', '{x:String} \\N %00 &a=b+c'],
    ['Nullable(String)', null],
    ['Int64', -42],
    ['Float64', 0.1],
    ['Bool', true],
    ['UInt64', 9_007_199_254_740_991],
    ['Array(String)', ['a', "b'c", String.raw`\d`, 'ü', '']],
    ['Array(UInt16)', [1, 2, 65_535]],
    ["DateTime64(3, 'UTC')", '2024-02-29 23:59:59.999'],
    ['IPv6', '2001:db8::1'],
    ['IPv6', '::ffff:192.0.2.1'],
  ])('%s %j', async (type, value) => {
    const { rows } = await store.clickhouse.query<{ value: unknown }>(sql`SELECT ${param(type, value)} AS value`)
    expect(rows).toEqual([{ value }])
  })
})
