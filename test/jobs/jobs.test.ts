import { beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { sql } from '../../src/clickhouse/index.ts'
import type { JobRun } from '../../src/jobs/index.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { insertLogs } from '../support/request-logs.ts'
import { at, counted, countingJob, HOUR, makeTarget, testJobs, told } from './support.ts'

const database = testDatabase()
const start = testJobs(database)

beforeAll(() => makeTarget(database.clickhouse))
beforeEach(() => database.empty('request_logs', 'job_runs', 'counted_by_run'))

/** So many requests in hours that begin so long after 10:00. */
const log = (counts: Record<number, number>): Promise<void> =>
  insertLogs(
    database.clickhouse,
    Object.entries(counts).flatMap(([hours, count]) =>
      Array.from({ length: count }, (_, index) => ({
        timestamp: new Date(at(Number(hours)) + index),
        ip: '203.0.113.1',
      })),
    ),
  )

const all = { limit: 1_000 }

it('runs every window since the first with rows, oldest first, once it is over and its delay has passed', async () => {
  const seen = countingJob(database.clickhouse)
  let now = at(5, 4)
  const { jobs } = await start({ job: seen.job, now: () => now })
  await log({ 0: 3, 1: 2, 3: 5, 4: 7 })
  await jobs.catchUp()
  expect(seen.ran).toEqual([10, 11, 13])
  expect(await counted(database.clickhouse)).toEqual({ 10: 3, 11: 2, 13: 5 })
  now = at(5, 5)
  await jobs.catchUp()
  await jobs.catchUp()
  expect(seen.ran).toEqual([10, 11, 13, 14])
  expect(told(await jobs.runs(all))).toEqual([
    '10 SUCCEEDED 3',
    '11 SUCCEEDED 2',
    '12 SUCCEEDED 0',
    '13 SUCCEEDED 5',
    '14 SUCCEEDED 7',
  ])
})

it('records a long silence in few inserts', async () => {
  const seen = countingJob(database.clickhouse)
  const { jobs } = await start({ job: seen.job, now: () => at(24 * 150) })
  await log({ 0: 1, [24 * 120]: 1 })
  await jobs.catchUp()
  expect(seen.ran).toEqual([10, 10 + 24 * 120])
  expect((await jobs.runs({ limit: 1 })).total).toBe(24 * 150 - 1)
  const { rows } = await database.clickhouse.query<{ parts: number }>(
    sql`SELECT uniqExact(recorded_at) > 1 AS rows, uniqExact(started_at) AS parts FROM job_runs`,
  )
  expect(rows[0]!.parts).toBeLessThan(10)
})

it('runs a window again that late rows touched, and the later ones that look back at it; the new rows replace the old', async () => {
  const seen = countingJob(database.clickhouse, { lookedBackSeconds: 7200 })
  const { jobs } = await start({ job: seen.job, now: () => at(6) })
  await log({ 0: 2, 1: 2, 2: 2, 3: 2, 4: 2 })
  await jobs.catchUp()
  expect(seen.ran.splice(0)).toEqual([10, 11, 12, 13, 14])
  await log({ 1: 4 })
  await jobs.catchUp()
  expect(seen.ran.splice(0)).toEqual([11, 12, 13])
  expect(await counted(database.clickhouse)).toEqual({ 10: 2, 11: 6, 12: 2, 13: 2, 14: 2 })
  await jobs.catchUp()
  expect(seen.ran).toEqual([])
})

it('goes on where it died between a window with late rows and those that look back at it', async () => {
  const first = countingJob(database.clickhouse, { lookedBackSeconds: 7200 })
  const one = await start({ job: first.job, now: () => at(6) })
  await log({ 0: 2, 1: 2, 2: 2, 3: 2 })
  await one.jobs.catchUp()
  await log({ 0: 1 })
  const reached = Promise.withResolvers<void>()
  first.during = async ({ window, signal }) => {
    if (window.from.getTime() !== at(1)) return
    reached.resolve()
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('cut')), { once: true }))
  }
  const working = one.jobs.catchUp()
  await reached.promise
  await one.jobs.stop(0)
  await working
  const next = countingJob(database.clickhouse, { lookedBackSeconds: 7200 })
  const two = await start({ job: next.job, now: () => at(6) })
  await two.jobs.catchUp()
  expect(next.ran).toEqual([11, 12])
})

it('does not run a window again that has fewer rows than before', async () => {
  const seen = countingJob(database.clickhouse)
  const { jobs } = await start({ job: seen.job, now: () => at(2) })
  await log({ 0: 5 })
  await jobs.catchUp()
  await database.empty('request_logs')
  await log({ 0: 3 })
  await jobs.catchUp()
  const fresh = await start({ job: seen.job, now: () => at(2) })
  await fresh.jobs.catchUp()
  expect(seen.ran).toEqual([10])
  expect(await counted(database.clickhouse)).toEqual({ 10: 5 })
})

it('sees rows that came in while a run was reading, and runs again', async () => {
  const seen = countingJob(database.clickhouse)
  const { jobs } = await start({ job: seen.job, now: () => at(2) })
  await log({ 0: 2 })
  seen.during = async () => {
    if (seen.ran.length === 1) await log({ 0: 2 })
  }
  await jobs.catchUp()
  await jobs.catchUp()
  expect(seen.ran).toEqual([10, 10])
  expect(await counted(database.clickhouse)).toEqual({ 10: 4 })
})

it('says of a run that fails why, and when it is tried again; later windows go on, and those that look back at it run again after it', async () => {
  const seen = countingJob(database.clickhouse, { lookedBackSeconds: 3600 })
  let now = at(3)
  const { jobs, registry } = await start({ job: seen.job, now: () => now })
  await log({ 0: 2, 1: 2 })
  seen.during = ({ window }) => {
    if (window.from.getTime() === at(0) && seen.ran.length < 5) throw new Error('no luck')
  }
  await jobs.catchUp()
  await jobs.catchUp()
  expect(seen.ran).toEqual([10, 11])
  const { runs } = await jobs.runs({ ...all, status: 'FAILED' })
  expect(runs).toMatchObject([
    { attempt: 1, error: expect.stringMatching(/^no luck; it is tried again at .*Z \(failure 1 of 12\)$/) },
  ])
  expect(await counted(database.clickhouse)).toEqual({ 11: 2 })
  expect((await jobs.states())[0]!.doneUntil).toEqual(new Date(at(0)))
  now += 61_000
  await jobs.catchUp()
  expect(seen.ran).toEqual([10, 11, 10])
  now += 61_000
  await jobs.catchUp()
  expect(seen.ran).toEqual([10, 11, 10])
  now += 61_000
  await jobs.catchUp()
  expect(seen.ran.slice(3)).toEqual([10])
  now += 300_000
  await jobs.catchUp()
  expect(seen.ran.slice(4)).toEqual([10, 11])
  expect(await counted(database.clickhouse)).toEqual({ 10: 2, 11: 2 })
  expect((await jobs.states())[0]!.doneUntil).toEqual(new Date(at(3)))
  const text = await registry.metrics()
  expect(text).toContain('vedette_job_runs_total{job="count",status="failed"} 3')
  expect(text).toContain('vedette_job_runs_total{job="count",status="succeeded"} 3')
  expect(text).toContain(`vedette_job_lag_seconds{job="count"} ${(now - at(3)) / 1000}`)
})

describe('runNow', () => {
  it('runs the last window that is over, or those that were asked for, though they ran before', async () => {
    const seen = countingJob(database.clickhouse)
    const { jobs } = await start({ job: seen.job, now: () => at(3, 30) })
    await log({ 0: 2, 1: 2, 2: 2 })
    await jobs.catchUp()
    seen.ran.length = 0
    const [last] = await jobs.runNow('count', { by: 'key_me' })
    expect(last).toMatchObject({
      status: 'SUCCEEDED',
      requestedBy: 'key_me',
      attempt: 2,
      windowRows: 2,
      rowsWritten: 2,
    })
    expect(last!.window).toEqual({ from: new Date(at(2)), to: new Date(at(3)) })
    const range = { from: new Date(at(0, 30)), to: new Date(at(1, 30)) }
    const runs = await jobs.runNow('count', { window: range, by: 'key_me' })
    expect(told({ runs: runs.toReversed() })).toEqual(['10 SUCCEEDED 2', '11 SUCCEEDED 2'])
    expect(seen.ran).toEqual([12, 10, 11])
    expect(await counted(database.clickhouse)).toEqual({ 10: 2, 11: 2, 12: 2 })
    expect(await jobs.get(last!.id)).toEqual(last)
  })

  it('runs a window that is still open for the time being, and again when it is over', async () => {
    const seen = countingJob(database.clickhouse)
    let now = at(0, 30)
    const { jobs } = await start({ job: seen.job, now: () => now })
    await log({ 0: 2 })
    const [run] = await jobs.runNow('count', { window: { from: new Date(now) }, by: 'cli' })
    expect(run).toMatchObject({ status: 'SUCCEEDED', windowRows: 2 })
    now = at(1, 5)
    await jobs.catchUp()
    expect(seen.ran).toEqual([10, 10])
  })

  it('refuses a job that there is not, and windows that are yet to come; then nothing is recorded', async () => {
    const { jobs } = await start({ job: countingJob(database.clickhouse).job, now: () => at(1, 30) })
    await expect(jobs.runNow('hourly', { by: 'cli' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: 'there is no job "hourly"; there are: count',
    })
    const window = { from: new Date(at(2, 30)) }
    await expect(jobs.runNow('count', { window, by: 'cli' })).rejects.toMatchObject({
      code: 'INVALID',
      field: 'windowFrom',
      message: 'windowFrom: 2026-11-20T12:30:00.000Z is yet to come; give a time that is over',
    })
    expect((await jobs.runs(all)).total).toBe(0)
  })
})

it('tells of every change of a run', async () => {
  const seen = countingJob(database.clickhouse)
  const { jobs } = await start({ job: seen.job, now: () => at(1, 30) })
  await log({ 0: 1 })
  const heard: JobRun[] = []
  jobs.onChange((run) => heard.push(run))
  const [run] = await jobs.runNow('count', { by: 'cli' })
  expect(heard.map(({ id, status }) => `${id} ${status}`)).toEqual(
    ['QUEUED', 'RUNNING', 'SUCCEEDED'].map((status) => `${run!.id} ${status}`),
  )
  expect(heard.at(-1)).toEqual(run)
})

it('of a job that need not catch up runs the newest window alone, and says that it passed over the others', async () => {
  const seen = countingJob(database.clickhouse, { catchUp: 'latest', rowsOfWindows: undefined as never })
  let now = at(1, 30)
  const { jobs } = await start({ job: seen.job, now: () => now })
  await jobs.catchUp()
  now = at(4, 30)
  await jobs.catchUp()
  await jobs.catchUp()
  expect(seen.ran).toEqual([10, 13])
  expect(told(await jobs.runs(all))).toEqual(['10 SUCCEEDED 0', '11 SKIPPED 0', '12 SKIPPED 0', '13 SUCCEEDED 0'])
})

it('pages through runs by job and status, newest first', async () => {
  const seen = countingJob(database.clickhouse)
  const { jobs } = await start({ job: seen.job, now: () => at(6) })
  await log({ 0: 1 })
  await jobs.catchUp()
  const whole = await jobs.runs(all)
  expect(whole.total).toBe(5)
  const first = await jobs.runs({ job: 'count', status: 'SUCCEEDED', limit: 2 })
  const second = await jobs.runs({ limit: 10, before: first.runs[1]!.runId })
  expect([...first.runs, ...second.runs]).toEqual(whole.runs)
  expect((await jobs.runs({ job: 'other', limit: 10 })).total).toBe(0)
})

it('runs a window when it is due, by the clock, without being asked', async () => {
  const { job } = countingJob(database.clickhouse, {
    windowSeconds: 1,
    settleSeconds: 0,
    catchUp: 'latest',
    rowsOfWindows: undefined as never,
  })
  const { jobs } = await start({ job, now: Date.now })
  await jobs.start()
  const done = async (): Promise<number> => (await jobs.runs({ status: 'SUCCEEDED', limit: 1 })).total
  await expect.poll(done).toBeGreaterThan(1)
})

it('a window of another length is refused where no clock shows it', async () => {
  const { job } = countingJob(database.clickhouse, { windowSeconds: HOUR / 1000 + 1 })
  await expect(start({ job, now: Date.now })).rejects.toThrow(/divides neither a minute, an hour nor a day/)
})
