import { fileURLToPath } from 'node:url'

import { expect, test } from 'vitest'

import { sql } from '../../src/clickhouse/index.ts'
import { killAtRandom, startVictim } from '../jobs/kills.ts'
import { testDatabase, type TestDatabase } from '../support/clickhouse.ts'
import { hours, insertEvents, written } from './hourly.ts'

const CHILD = fileURLToPath(new URL('hourly-child.ts', import.meta.url))
const KILLS = Number(process.env['KILLS'] ?? 10)

const start = ({ url }: TestDatabase) => startVictim(CHILD, { CLICKHOUSE_URL: url })

const disturbed = testDatabase()
const undisturbed = testDatabase()

test(`the hourly job killed at ${KILLS} random moments leaves in the end what an undisturbed one does`, async () => {
  for (const { clickhouse } of [disturbed, undisturbed]) await insertEvents(clickhouse, hours())
  const killed = await killAtRandom(() => start(disturbed), { kills: KILLS, withinMs: 3_000 })
  expect(killed).toBeGreaterThan(0)
  expect(await start(undisturbed).ended).toBe(0)
  const expected = await written(undisturbed.clickhouse)
  expect(expected['findings']!.length).toBeGreaterThan(10)
  expect(await written(disturbed.clickhouse)).toEqual(expected)
  const { rows } = await disturbed.clickhouse.query<{ runs: number; written: string; count: string }>(
    sql`SELECT uniqExact(run_id) AS runs, (SELECT count() FROM address_hours_by_run) AS written, (SELECT count() FROM address_hours) AS count FROM job_runs`,
  )
  const { runs, written: all, count } = rows[0]!
  console.log(
    `hourly: ${killed} of ${KILLS} killed at work, ${runs} runs over 3 hours, ${all} rows of address_hours written, ${count} count`,
  )
})
