import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { createBacktest, createExempt, type Detector } from '../../src/detection/index.ts'
import { createVersions } from '../../src/store/index.ts'
import { createRedis } from '../../src/redis/index.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'
import { insertLogs } from '../support/request-logs.ts'
import { at, createRunner, detector, HOUR, NOON } from './support.ts'

const database = testDatabase()
const redis = createRedis([], { log: silent })

const missing = detector(
  'missing',
  'WITH page AND status_code = 404 AS evidence SELECT uniqExactIf(path, evidence) AS observed, {paths:UInt32} AS threshold, countIf(evidence) AS hits',
  { header: ['parameter: paths UInt32 = 10 [1, 100] paths', 'unit: paths'] },
)
const users = detector(
  'users',
  'SELECT address, uniqExact(path) AS observed, {paths:UInt32} AS threshold FROM requests GROUP BY address',
  { header: ['parameter: paths UInt32 = 10 [1, 100] paths'] },
)
const repeated = detector(
  'repeated',
  'SELECT address, uniqExact(hour) AS observed, {hours:UInt32} AS threshold FROM findings GROUP BY address',
  { header: ['parameter: hours UInt32 = 1 [1, 100] hours'] },
)
const day = (file: Detector): Detector => ({ ...file, windowSeconds: 86_400 })
const withValue = (file: Detector, name: string, value: number): Detector => ({ ...file, values: { [name]: value } })

const hour = (index: number): Date => new Date(NOON.getTime() + index * HOUR)
/** Asks for so many pages that are not there. */
const knocks = (ip: string, paths: number, from: Date) =>
  Array.from({ length: paths }, (_, index) => ({ ip, timestamp: at(index, from), path: `/x${index}`, status: 404 }))

const RANGE = { from: hour(0).getTime(), to: hour(3).getTime() }
const COMMENT = 'test'

beforeAll(async () => {
  await redis.start()
  await insertLogs(database.clickhouse, [
    ...knocks('203.0.113.1', 12, hour(0)),
    ...knocks('203.0.113.1', 20, hour(1)),
    ...knocks('203.0.113.2', 6, hour(0)),
    ...knocks('203.0.113.2', 5, hour(2)),
    ...knocks('203.0.113.3', 5, hour(1)),
    ...knocks('203.0.113.4', 5, hour(1)),
    ...knocks('203.0.113.9', 30, hour(1)),
    // Not closed yet.
    ...knocks('203.0.113.5', 40, hour(3)),
  ])
  const runner = createRunner(database)
  for (const index of [0, 1, 2]) await runner.close(hour(index), [missing])
  const verdicts = createVersions<object>({
    kind: 'verdict',
    clickhouse: database.clickhouse,
    redis,
    log: silent,
    dataDir: undefined,
  })
  await verdicts.start()
  const say = (id: string, status: string) =>
    verdicts.write(id, { status, detectors: ['missing'], flaggedUntil: 0 }, { by: 'x' })
  await say('203.0.113.1', 'FALSE_POSITIVE')
  await say('203.0.113.1', 'CONFIRMED')
  await say('203.0.113.3', 'FALSE_POSITIVE')
  await say('203.0.113.4', 'IGNORED')
  await verdicts.stop()
})
afterAll(() => redis.stop())

const exempt = createExempt({ blockList: { lookup: () => undefined }, trustedProxies: ['203.0.113.9/32'] })
const backtest = (tried: Detector, range = RANGE, budgetMs?: number) =>
  createBacktest({ clickhouse: database.clickhouse, exempt, ...(budgetMs !== undefined && { budgetMs }) })(tried, {
    range,
    comment: COMMENT,
  })

it('tells whom other parameters would have flagged, by what is known of them', async () => {
  const { sample, elapsedMs, ...counts } = await backtest(withValue(missing, 'paths', 5))
  expect(counts).toEqual({
    windows: 3,
    flagged: 4,
    flaggedAlreadyConfirmed: 1,
    flaggedAlreadyFalsePositive: 1,
    flaggedNew: 3,
  })
  expect(elapsedMs).toBeGreaterThan(0)
  expect(sample.map(({ ip, observed, threshold, window }) => [ip, observed, threshold, window.from])).toEqual([
    ['203.0.113.1', 20, 5, hour(1)],
    ['203.0.113.2', 6, 5, hour(0)],
    ['203.0.113.3', 5, 5, hour(1)],
    ['203.0.113.4', 5, 5, hour(1)],
  ])
  expect(sample[0]).toMatchObject({
    detector: 'missing',
    requests: 20,
    target: '/x9',
    details: { hits: 20 },
    parameters: { paths: 5 },
    summary: 'missing: 20 paths within an hour, from 5 on it is flagged; most asked for /x9.',
  })
})

it('finds with the same parameters what the hourly job found', async () => {
  expect(await backtest(missing)).toMatchObject({ flagged: 1, flaggedNew: 0, sample: [{ ip: '203.0.113.1' }] })
  expect(await backtest(withValue(missing, 'paths', 21))).toMatchObject({ windows: 3, flagged: 0, sample: [] })
})

it.each([
  ['of one hour', users, 5, ['203.0.113.1', '203.0.113.2', '203.0.113.3', '203.0.113.4']],
  ['of a day', day(users), 6, ['203.0.113.1', '203.0.113.2']],
])('runs a statement %s for each closed hour', async (_what, file, paths, ips) => {
  const { windows, sample } = await backtest(withValue(file, 'paths', paths))
  expect([windows, sample.map(({ ip }) => ip)]).toEqual([3, ips])
})

it('reads the findings of the past for a detector that builds on them', async () => {
  const found = await backtest(day(repeated))
  expect(found).toMatchObject({ windows: 3, flagged: 1, flaggedNew: 0 })
  expect(found.sample).toMatchObject([{ ip: '203.0.113.1', observed: 2 }])
})

it('looks at whole hours alone, and respects who and what is excepted', async () => {
  const cut = { from: hour(0).getTime() + 1, to: hour(2).getTime() - 1 }
  expect(await backtest(withValue(missing, 'paths', 5), cut)).toMatchObject({ windows: 0, flagged: 0 })
  const exception = { id: 'x', detector: '*', cidr: null, pathPattern: null, note: '', createdBy: '', createdAt: NOON }
  const excepting = {
    ...withValue(missing, 'paths', 5),
    exceptions: [
      { ...exception, cidr: '203.0.113.2/31' },
      { ...exception, pathPattern: '/x4' },
    ],
  }
  expect(await backtest(excepting)).toMatchObject({ flagged: 1, sample: [{ ip: '203.0.113.1', observed: 19 }] })
})

describe('what cannot be is said with the way out', () => {
  const now = NOON.getTime()
  it('too long a range', async () => {
    await expect(backtest(missing, { from: now - 61 * 24 * HOUR, to: now })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      argument: 'timeRange',
      message: 'timeRange is 61 days; allowed is 60 days at most',
    })
  })

  it('more than may be spent on one question', async () => {
    await expect(backtest(users, RANGE, 0)).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
      message: 'only 1 of 3 hours could be looked at within 0 s; ask for a shorter timeRange',
    })
  })

  it('a detector that cannot be run', async () => {
    const bad = detector('bad', "SELECT count() + throwIf(1, 'it is bad') AS observed, 1 AS threshold")
    await expect(backtest(bad)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/^bad cannot be run with these parameters: it is bad/),
    })
  })
})
