import { expect, it } from 'vitest'

import { rowsOfHours } from '../../src/jobs/index.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { insertLogs } from '../support/request-logs.ts'
import { at, HOUR, TEN } from './support.ts'

const database = testDatabase()

const row = (hour: number, minutes: number) => ({ timestamp: new Date(at(hour, minutes)), ip: '203.0.113.1' })

const hours = async (since: Date): Promise<Record<number, number>> => {
  const rows = await rowsOfHours(database.clickhouse)(since, AbortSignal.timeout(10_000))
  return Object.fromEntries([...rows].map(([from, count]) => [(from - TEN) / HOUR + 10, count]))
}

it('counts the request logs of each hour, of the days alone that rows came to since', async () => {
  expect(await hours(new Date(0))).toEqual({})
  await insertLogs(database.clickhouse, [row(0, 0), row(0, 59), row(1, 0), row(-30, 0)])
  expect(await hours(new Date(0))).toEqual({ 10: 2, 11: 1, [-20]: 1 })
  const later = Math.ceil(Date.now() / 1000) * 1000 + 1000
  expect(await hours(new Date(later))).toEqual({})
  await expect.poll(() => Date.now() > later).toBe(true)
  await insertLogs(database.clickhouse, [row(0, 30)])
  expect(await hours(new Date(later))).toEqual({ 10: 3, 11: 1 })
})
