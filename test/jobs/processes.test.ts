import { randomUUID } from 'node:crypto'

import { beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'

import { sql } from '../../src/clickhouse/index.ts'
import type { JobRun } from '../../src/jobs/index.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { insertLogs } from '../support/request-logs.ts'
import { startCounting } from './kills.ts'
import { at, counted, countingJob, makeTarget, testJobs, told } from './support.ts'

const database = testDatabase()
const start = testJobs(database)

beforeAll(() => makeTarget(database.clickhouse))
beforeEach(async () => {
  await database.empty('request_logs', 'job_runs', 'counted_by_run')
  await insertLogs(
    database.clickhouse,
    [0, 0, 1, 1, 2, 2, 3, 3].map((hour, row) => ({ timestamp: new Date(at(hour)), ip: '203.0.113.1', row })),
  )
})

const WHOLE = { 10: 2, 11: 2, 12: 2, 13: 2 }
const now = () => at(4, 30)
const shared = () => ({ redisUrls: [inject('redisUrl')], prefix: `${randomUUID()}:`, now })

describe('several processes on one Redis', () => {
  it('never do a job at once, and each window once', async () => {
    const options = shared()
    let inside = 0
    let most = 0
    const ran = await Promise.all(
      [1, 2, 3].map(async () => {
        const seen = countingJob(database.clickhouse)
        seen.during = async () => {
          most = Math.max(most, ++inside)
          await database.clickhouse.query(sql`SELECT sleep(0.05)`)
          inside--
        }
        const { jobs } = await start({ ...options, job: seen.job })
        await jobs.catchUp()
        return seen.ran
      }),
    )
    expect({ most, ran: ran.flat().toSorted((a, b) => a - b) }).toEqual({ most: 1, ran: [10, 11, 12, 13] })
    expect(await counted(database.clickhouse)).toEqual(WHOLE)
  })

  it('take over from one that was killed: its run is closed, its window run again', async () => {
    const options = shared()
    const victim = startCounting({
      CLICKHOUSE_URL: database.url,
      REDIS_URL: options.redisUrls[0]!,
      REDIS_PREFIX: options.prefix,
      NOW: String(now()),
      PAUSE_MS: '60000',
    })
    const seen = countingJob(database.clickhouse)
    const { jobs, redis } = await start({ ...options, job: seen.job })
    await expect.poll(async () => told(await jobs.runs({ limit: 10 }))).toEqual(['10 RUNNING 2'])
    const working = jobs.catchUp()
    await victim.kill()
    // Its lease would run out within 10 s.
    await redis.delete('lease:job:count')
    await working
    expect(told(await jobs.runs({ limit: 10 }))).toEqual([
      '10 FAILED 2',
      ...[10, 11, 12, 13].map((hour) => `${hour} SUCCEEDED 2`),
    ])
    const { runs } = await jobs.runs({ status: 'FAILED', limit: 1 })
    expect(runs[0]).toMatchObject({
      finishedAt: null,
      error: 'the process that ran it ended, or lost its lease; the window is run again',
    })
    expect(await counted(database.clickhouse)).toEqual(WHOLE)
  })

  it('cut a run off whose lease was lost: it counts for nothing', async () => {
    const options = shared()
    const seen = countingJob(database.clickhouse)
    const { jobs, redis } = await start({ ...options, job: seen.job })
    seen.during = async ({ signal }) => {
      if (seen.ran.length > 1) return
      const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      await redis.set('lease:job:count', 'somebody else', 60_000)
      await aborted
    }
    const working = jobs.catchUp()
    const failed = () => jobs.runs({ status: 'FAILED', limit: 10 })
    await expect
      .poll(async () => (await failed()).runs[0]?.error)
      .toBe('cut off: its lease was lost; the window is run again')
    expect(await counted(database.clickhouse)).toEqual({})
    await redis.delete('lease:job:count')
    await working
    expect(seen.ran).toEqual([10, 10, 11, 12, 13])
    expect(await counted(database.clickhouse)).toEqual(WHOLE)
  })

  it('leave the work to the one with the role, which the others wait for and hear of', async () => {
    const options = shared()
    const [worker, asker] = [countingJob(database.clickhouse), countingJob(database.clickhouse)]
    const does = await start({ ...options, job: worker.job })
    await does.jobs.start()
    await does.jobs.catchUp()
    const asks = await start({ ...options, job: asker.job, runsJobs: false })
    await asks.jobs.start()
    const heard: JobRun[] = []
    asks.jobs.onChange((run) => heard.push(run))
    const window = { from: new Date(at(1)), to: new Date(at(3)) }
    const runs = await asks.jobs.runNow('count', { window, by: 'key_me' })
    expect(told({ runs: runs.toReversed() })).toEqual(['11 SUCCEEDED 2', '12 SUCCEEDED 2'])
    expect([worker.ran, asker.ran]).toEqual([[10, 11, 12, 13, 11, 12], []])
    await expect.poll(() => heard.at(-1)).toEqual(runs.at(-1))
  })
})

it('answers with what is known where nobody does the work in time', async () => {
  const { jobs } = await start({ job: countingJob(database.clickhouse).job, now, runsJobs: false })
  const [run] = await jobs.runNow('count', { by: 'cli', waitMs: 50 })
  expect(run).toMatchObject({ status: 'QUEUED', startedAt: null, requestedBy: 'cli' })
  // It is not forgotten.
  const seen = countingJob(database.clickhouse)
  const worker = await start({ job: seen.job, now })
  await worker.jobs.catchUp()
  expect(await jobs.get(run!.id)).toMatchObject({ status: 'SUCCEEDED', requestedBy: 'cli' })
})
