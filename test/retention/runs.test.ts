import { beforeEach, expect, test } from 'vitest'

import { raw, sql } from '../../src/clickhouse/index.ts'
import type { Job } from '../../src/jobs/index.ts'
import { createRetention } from '../../src/retention/index.ts'
import { createRunCleaner } from '../../src/retention/runs.ts'
import { createVersionCleaner } from '../../src/retention/versions.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'

const store = testDatabase()
const HOUR = 3_600_000
const DAY = 24 * HOUR
const NOW = Date.parse('2026-11-24T12:00:00Z')

const stamp = (at: number): string => new Date(at).toISOString().slice(0, 19).replace('T', ' ')

/** A run as the jobs record it, with a row of each of two tables that it wrote. */
const run = async (id: number, status: string, recordedAt: number, window = '2026-11-20 10:00:00'): Promise<void> => {
  const finished = status === 'succeeded' ? `'${stamp(recordedAt)}'` : 'NULL'
  await store.clickhouse.command(
    raw(
      `INSERT INTO job_runs (job, window_from, run_id, status, finished_at, recorded_at) VALUES ('hourly', '${window}', ${id}, '${status}', ${finished}, '${stamp(recordedAt)}')`,
    ),
  )
  for (const [table, column] of [
    ['address_hours_by_run', 'hour'],
    ['service_days_by_run', 'day'],
  ])
    await store.clickhouse.command(
      raw(`INSERT INTO ${table} (${column}, run_id) VALUES ('${window.slice(0, 10)}', ${id})`),
    )
}

const idsIn = async (table: string): Promise<number[]> =>
  (
    await store.clickhouse.query<{ id: number }>(
      raw(`SELECT DISTINCT toUInt32(run_id) AS id FROM ${table} ORDER BY id`),
    )
  ).rows.map(({ id }) => id)

beforeEach(() => store.empty('job_runs', 'address_hours_by_run', 'service_days_by_run', 'store_versions'))

test('rows of dead, failed and replaced runs go after a day; those that count or may still be written stay', async () => {
  await run(1, 'succeeded', NOW - 3 * DAY)
  await run(2, 'running', NOW - 2 * DAY)
  await run(3, 'failed', NOW - 2 * DAY)
  await run(4, 'succeeded', NOW - 2 * DAY + HOUR)
  await run(5, 'running', NOW - HOUR)
  await run(6, 'failed', NOW - 2 * DAY, '2026-11-20 11:00:00')
  const cleaner = createRunCleaner(store.clickhouse)
  expect(await cleaner.clean(NOW)).toBe(8)
  expect(await idsIn('address_hours_by_run')).toEqual([4, 5])
  expect(await idsIn('service_days_by_run')).toEqual([4, 5])
  // What was done is still told.
  expect(await idsIn('job_runs')).toEqual([1, 2, 3, 4, 5, 6])
  expect(await cleaner.clean(NOW)).toBe(0)
})

test('records of replaced runs go after 30 days; of a window that never succeeded they stay', async () => {
  await run(1, 'succeeded', NOW - 40 * DAY)
  await run(2, 'succeeded', NOW - 39 * DAY)
  await run(3, 'failed', NOW - 40 * DAY, '2026-10-10 10:00:00')
  await createRunCleaner(store.clickhouse).clean(NOW)
  expect(await idsIn('job_runs')).toEqual([2, 3])
  expect(await idsIn('address_hours_by_run')).toEqual([2])
})

test('records that no row refers to go when they are old enough, those of rows that are kept for years stay', async () => {
  await run(1, 'succeeded', NOW - 500 * DAY, '2025-07-01 10:00:00')
  await run(2, 'succeeded', NOW - 500 * DAY, '2025-07-02 10:00:00')
  await run(3, 'succeeded', NOW - 401 * DAY, '2025-10-01 10:00:00')
  await store.clickhouse.command(
    raw('ALTER TABLE address_hours_by_run DELETE WHERE run_id IN (1, 2, 3) SETTINGS mutations_sync = 2'),
  )
  await store.clickhouse.command(
    raw('ALTER TABLE service_days_by_run DELETE WHERE run_id IN (2, 3) SETTINGS mutations_sync = 2'),
  )
  expect(await createRunCleaner(store.clickhouse).clean(NOW)).toBe(0)
  expect(await createRunCleaner(store.clickhouse, 402).clean(NOW)).toBe(1)
  expect(await idsIn('job_runs')).toEqual([1, 3])
  expect(await idsIn('service_days_by_run')).toEqual([1])
})

test('notices of incidents go after 400 days, or with findings that are kept longer, of runs of a report all but the last, what people changed never', async () => {
  const version = (kind: string, id: string, number: number, daysAgo: number) =>
    `('${kind}', '${id}', ${number}, '{}', '${stamp(NOW - daysAgo * DAY)}')`
  await store.clickhouse.command(
    raw(
      `INSERT INTO store_versions (kind, id, version, body, changed_at) VALUES ${[
        version('incident', 'inc_old', 1, 402),
        version('incident', 'inc_old', 2, 401),
        version('incident', 'inc_new', 1, 399),
        version('report_run', 'sub_idle', 1, 500),
        version('report_run', 'sub_idle', 2, 450),
        version('report_run', 'sub_busy', 1, 401),
        version('report_run', 'sub_busy', 2, 1),
        version('verdict', '203.0.113.7', 1, 900),
      ].join()}`,
    ),
  )
  expect(await createVersionCleaner(store.clickhouse, 1_000).clean(NOW)).toBe(2)
  const cleaner = createVersionCleaner(store.clickhouse)
  expect(await cleaner.clean(NOW)).toBe(2)
  const { rows } = await store.clickhouse.query<{ what: string }>(
    raw(`SELECT concat(id, ' ', toString(version)) AS what FROM store_versions ORDER BY kind, id, version`),
  )
  expect(rows.map(({ what }) => what)).toEqual(['inc_new 1', 'sub_busy 2', 'sub_idle 2', '203.0.113.7 1'])
  expect(await cleaner.clean(NOW + DAY)).toBe(0)
})

test('the job cleans as of the end of its window, changes nothing where there is nothing, and can be cut off', async () => {
  await run(1, 'succeeded', NOW - 3 * DAY)
  await run(2, 'succeeded', NOW - 2 * DAY)
  const job: Job = createRetention({ clickhouse: store.clickhouse, log: silent }).job
  const { signal } = new AbortController()
  const to = (at: number) => ({ from: new Date(at - HOUR), to: new Date(at) })
  expect(await job.run({ window: to(NOW - 2 * DAY - HOUR), runId: '9', signal })).toEqual({
    rowsRead: 0,
    rowsWritten: 0,
  })
  expect(await job.run({ window: to(NOW), runId: '9', signal })).toEqual({ rowsRead: 2, rowsWritten: 0 })
  const { rows } = await store.clickhouse.query<{ table: string; mutations: string }>(
    sql`SELECT table, count() AS mutations FROM system.mutations WHERE database = currentDatabase() GROUP BY table ORDER BY table`,
  )
  await job.run({ window: to(NOW + HOUR), runId: '9', signal })
  const { rows: after } = await store.clickhouse.query(
    sql`SELECT table, count() AS mutations FROM system.mutations WHERE database = currentDatabase() GROUP BY table ORDER BY table`,
  )
  expect(after).toEqual(rows)
  await expect(job.run({ window: to(NOW), runId: '9', signal: AbortSignal.abort() })).rejects.toThrow()
})
