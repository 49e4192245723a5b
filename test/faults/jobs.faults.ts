import { beforeAll, describe, expect, test } from 'vitest'

import { sql } from '../../src/clickhouse/index.ts'
import { killAtRandom, startCounting } from '../jobs/kills.ts'
import { at, counted, makeTarget } from '../jobs/support.ts'
import { testDatabase, type TestDatabase } from '../support/clickhouse.ts'
import { insertLogs, random } from '../support/request-logs.ts'

const KILLS = Number(process.env['KILLS'] ?? 10)
const HOURS = 36

const disturbed = testDatabase()
const undisturbed = testDatabase()

const fill = async ({ clickhouse }: TestDatabase): Promise<void> => {
  await makeTarget(clickhouse)
  const next = random(7)
  const rows = Array.from({ length: 20_000 }, (_, row) => ({
    timestamp: new Date(at(next() * HOURS)),
    ip: '203.0.113.1',
    row,
  }))
  await insertLogs(clickhouse, rows)
}

describe('a process that does jobs', () => {
  beforeAll(async () => {
    for (const database of [disturbed, undisturbed]) await fill(database)
  })

  test(
    `killed at ${KILLS} random moments: what counts in the end is what an undisturbed one has written`,
    { timeout: 120_000 },
    async () => {
      const env = ({ url }: TestDatabase) => ({ CLICKHOUSE_URL: url, NOW: String(at(HOURS + 1)), PAUSE_MS: '30' })
      const killed = await killAtRandom(() => startCounting(env(disturbed)), { kills: KILLS, withinMs: 800 })
      await killAtRandom(() => startCounting(env(undisturbed)), { kills: 0, withinMs: 0 })
      expect(await counted(disturbed.clickhouse)).toEqual(await counted(undisturbed.clickhouse))
      expect(Object.keys(await counted(disturbed.clickhouse))).toHaveLength(HOURS)
      const { rows } = await disturbed.clickhouse.query<{ failed: number; written: number }>(
        sql`SELECT uniqExactIf(run_id, status = 'failed') AS failed, (SELECT count() FROM counted_by_run) AS written FROM job_runs`,
      )
      console.log(
        `jobs: ${killed} of ${KILLS} killed at work, ${rows[0]!.failed} runs cut off, ${rows[0]!.written} rows written, ${HOURS * 2} of them count`,
      )
      expect(killed).toBeGreaterThan(0)
    },
  )
})
