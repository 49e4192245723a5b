import { Registry } from 'prom-client'
import { beforeAll, expect, it } from 'vitest'

import { createClickHouse } from '../../src/clickhouse/index.ts'
import { createJobs } from '../../src/jobs/index.ts'
import { createRedis } from '../../src/redis/index.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { createGate } from '../support/gate.ts'
import { capturedLog } from '../support/log.ts'
import { insertLogs } from '../support/request-logs.ts'
import { at, counted, countingJob, makeTarget } from './support.ts'

const database = testDatabase()
beforeAll(() => makeTarget(database.clickhouse))

it('waits for a ClickHouse that is away, says so once, and goes on when it is back', async () => {
  const gate = await createGate(database.url)
  const { log, lines, text } = capturedLog()
  const clickhouse = await createClickHouse({ url: gate.url, dataDir: '', log })
  const redis = createRedis([], { log, prefix: 'test:' })
  const seen = countingJob(clickhouse)
  let now = at(1, 30)
  const jobs = createJobs({
    clickhouse,
    redis,
    log,
    registry: new Registry(),
    jobs: [seen.job],
    runsJobs: true,
    now: () => now,
  })
  try {
    await insertLogs(database.clickhouse, [{ timestamp: new Date(at(0)), ip: '203.0.113.1' }])
    await gate.close()
    await jobs.start()
    await expect.poll(text).toContain('the job cannot go on; trying again until it can')
    await expect(jobs.states()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    // And once more in the middle of a run, whose end is then kept until it can be recorded.
    seen.during = () => gate.close()
    await gate.open()
    await expect.poll(text).toContain('what a run came to cannot be recorded yet')
    seen.during = () => {}
    await gate.open()
    await jobs.catchUp()
    const { runs } = await jobs.runs({ limit: 10 })
    expect(runs).toMatchObject([{ status: 'FAILED', error: expect.stringContaining('it is tried again at') }])
    now += 61_000
    await jobs.catchUp()
    expect(await counted(database.clickhouse)).toEqual({ 10: 1 })
    expect(lines.filter((line) => line.includes('the job cannot go on'))).toHaveLength(1)
  } finally {
    await jobs.stop(0)
    await clickhouse.close()
    await gate.close()
  }
})
