import { expect, test } from 'vitest'

import { testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'

const service = testApp(testDatabase())
const row = { ip: '8.8.8.8', method: 'GET', path: '/', status: 200 }

const metric = async (name: string): Promise<number> => {
  const text = await (await service.request('/metrics')).text()
  const line = text.split('\n').find((each) => each.startsWith(`${name} `))
  if (!line) throw new Error(`no metric ${name}`)
  return Number(line.slice(name.length + 1))
}

test('metrics count what came, what was taken, what was refused and why, and what is stored', async () => {
  await service.post(
    [row, row, { ...row, ip: 'nobody' }, { ...row, status: 7 }, { ...row, 'made-up': { a: 1 }, service: 4 }],
    {
      query: '?wait=stored',
    },
  )
  expect(await metric('vedette_rows_received_total')).toBe(5)
  expect(await metric('vedette_rows_accepted_total')).toBe(2)
  for (const reason of ['ip', 'status', 'service'])
    expect(await metric(`vedette_rows_rejected_total{reason="${reason}"}`)).toBe(1)
  await expect.poll(() => metric('vedette_stored_rows_total')).toBe(2)
  expect(await metric('vedette_spool_rows')).toBe(0)
  expect(await metric('vedette_spool_bytes')).toBe(0)
  expect(await metric('vedette_spool_oldest_row_age_seconds')).toBe(0)
  expect(await metric('vedette_insert_rows_count')).toBe(1)
  expect(await metric('vedette_insert_seconds_count')).toBe(1)
  expect(await metric('vedette_geo_lookups_total{cache="miss"}')).toBeGreaterThan(0)
  expect(await metric('vedette_event_loop_delay_seconds{quantile="0.99"}')).toBeGreaterThanOrEqual(0)
})

test('a body that is refused whole is counted by its outcome', async () => {
  const before = await metric('vedette_collector_requests_total{outcome="refused"}').catch(() => 0)
  await service.post('{')
  expect(await metric('vedette_collector_requests_total{outcome="refused"}')).toBe(before + 1)
})
