import { expect, test } from 'vitest'

import { sql } from '../../src/clickhouse/index.ts'
import { applyRetention } from '../../src/retention/index.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { insertLogs } from '../support/request-logs.ts'

const store = testDatabase()
const DEFAULT = { requestLogs: 30, decisions: 30, findings: 400 }

const ttl = async (table: string): Promise<string> => {
  const { rows } = await store.clickhouse.query<{ engine_full: string }>(
    sql`SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = ${table}`,
  )
  return /TTL (.*?) SETTINGS/.exec(rows[0]!.engine_full)![1]!
}

test('retention is changed only where it differs', async () => {
  expect(await applyRetention(store.clickhouse, DEFAULT)).toEqual([])
  expect(await applyRetention(store.clickhouse, { requestLogs: 7, decisions: 30, findings: 90 })).toEqual([
    'request logs are now kept for 7 days',
    'findings are now kept for 90 days',
  ])
  expect(await ttl('request_logs')).toBe('ingested_at + toIntervalDay(7)')
  expect(await ttl('decisions')).toBe('ingested_at + toIntervalDay(30)')
  expect(await ttl('findings_by_run')).toBe('written_at + toIntervalDay(90)')
  expect(await applyRetention(store.clickhouse, { requestLogs: 7, decisions: 30, findings: 90 })).toEqual([])
  expect(await applyRetention(store.clickhouse, DEFAULT)).toHaveLength(2)
})

test('retention counts from arrival, and a shorter one lets rows go that came under the longer one', async () => {
  const arrived = (days: number, batch: number) =>
    insertLogs(store.clickhouse, [
      {
        timestamp: new Date('2015-05-17T10:05:03Z'),
        ingestedAt: new Date(Date.now() - days * 86_400_000),
        ip: '192.0.2.1',
        batch,
      },
    ])
  await arrived(10, 1)
  await arrived(1, 2)
  const rows = async () => (await store.clickhouse.query(sql`SELECT 1 FROM request_logs`)).rows.length
  expect(await rows()).toBe(2)
  await applyRetention(store.clickhouse, { ...DEFAULT, requestLogs: 7 })
  await expect
    .poll(
      async () => {
        await store.clickhouse.command(sql`OPTIMIZE TABLE request_logs`)
        return rows()
      },
      { timeout: 10_000 },
    )
    .toBe(1)
})

test.each([0, -1, 1.5, Number.NaN])('retention of %d days is refused', async (days) => {
  await expect(applyRetention(store.clickhouse, { ...DEFAULT, requestLogs: days })).rejects.toThrow(RangeError)
})
