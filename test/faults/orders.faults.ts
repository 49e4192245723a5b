import { expect, test } from 'vitest'

import type { DemoEvent } from '../../src/demo/index.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { random } from '../support/request-logs.ts'
import { hours, insertEvents, openHourly, written } from './hourly.ts'

const database = testDatabase()

/** Feeds the requests in these parts, closing what hours there are after each, and tells what was written. */
const fed = async (parts: readonly (readonly DemoEvent[])[]): Promise<Record<string, string[]>> => {
  await database.empty()
  const { jobs, close } = await openHourly(database.clickhouse)
  try {
    await jobs.start()
    for (const part of parts) {
      await insertEvents(database.clickhouse, part)
      await jobs.catchUp()
    }
    return await written(database.clickhouse)
  } finally {
    await close()
  }
}

test('roll-ups and findings are the same in order, shuffled, and once late rows have come', async () => {
  const events = hours()
  const chance = random(7)
  const shuffled = events.map((event) => [chance(), event] as const).sort(([a], [b]) => a - b)
  const inOrder = await fed([events])
  expect(inOrder['findings']!.length).toBeGreaterThan(10)
  expect(inOrder['probes']!.length).toBeGreaterThan(10)

  expect(await fed([shuffled.map(([, event]) => event)])).toEqual(inOrder)

  const late = new Set(events.filter(() => chance() < 0.05))
  expect(late.size).toBeGreaterThan(20)
  expect(await fed([events.filter((event) => !late.has(event)), [...late]])).toEqual(inOrder)
})
