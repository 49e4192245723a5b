import { afterAll, beforeAll, expect, it } from 'vitest'

import { type Asker, createAnalytics, LOG_FIELDS } from '../../src/analytics/index.ts'
import {
  createDetectors,
  createSuspicious,
  type Detectors,
  type Finding,
  readDetectors,
  type Suspicious,
} from '../../src/detection/index.ts'
import { createBlockList } from '../../src/ratelimit/index.ts'
import { createRedis } from '../../src/redis/index.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'
import { insertLogs } from '../support/request-logs.ts'
import { createRunner, HOUR } from './support.ts'

const database = testDatabase()
const hour = (ago: number) => new Date((Math.floor(Date.now() / HOUR) - ago) * HOUR)
const ASKER: Asker = { services: null, comment: 'test' }
const GUESSER = '203.0.113.7'
const HOUSEHOLD = '2001:db8:1:2::'

const redis = createRedis([], { log: silent })
const closers: (() => Promise<void>)[] = []
let detectors: Detectors
let suspicious: Suspicious

beforeAll(async () => {
  await redis.start()
  const stores = { clickhouse: database.clickhouse, redis, log: silent, dataDir: undefined }
  const blockList = createBlockList({ ...stores, trustedProxies: [] })
  detectors = createDetectors({ ...stores, files: await readDetectors() })
  suspicious = createSuspicious({ ...stores, detectors, blockList })
  closers.push(suspicious.stop, detectors.stop, blockList.stop, redis.stop)
  await Promise.all([blockList.start(), detectors.start(), suspicious.start()])

  let batch = 0
  for (const ago of [3, 2]) {
    const minute = (index: number) => new Date(hour(ago).getTime() + index * 60_000)
    const guesses = (ip: (index: number) => string) =>
      Array.from({ length: 30 }, (_, row) => ({
        timestamp: minute(row),
        ip: ip(row),
        row,
        path: `/guess/${row}`,
        status: row % 3 === 0 ? 200 : 404,
      }))
    const sprayed = Array.from({ length: 6 }, (_, row) => ({
      timestamp: minute(40 + row),
      ip: `198.51.100.${row}`,
      row: 100 + row,
      path: '/login',
      method: 'POST',
      status: 401,
      userId: 'alice',
    }))
    for (const rows of [guesses(() => GUESSER), guesses((index) => `${HOUSEHOLD}${index + 1}`), sprayed])
      await insertLogs(
        database.clickhouse,
        rows.map((row) => ({ ...row, batch })),
      ).finally(() => batch++)
  }
})
afterAll(async () => {
  for (const close of closers) await close()
})

const WANTED = new Set(['not_found_probing', 'password_spraying'])
const closeHour = (ago: number, runner = createRunner(database)) =>
  runner.close(
    hour(ago),
    detectors.list().filter(({ id }) => WANTED.has(id)),
  )
const ips = async () => (await suspicious.list({}, ASKER).page()).edges.map(({ node }) => node.ip).toSorted()
const findings = async (address: string): Promise<Finding[]> =>
  (await suspicious.detections({ addresses: [address], first: 10 }, ASKER)).get(address) ?? []

it('what a detector counted is what its evidence shows, and a false positive that teaches is not flagged again', async () => {
  const runner = createRunner(database)
  await closeHour(3, runner)
  expect(await ips()).toEqual(
    [...Array.from({ length: 6 }, (_, index) => `198.51.100.${index}`), `${HOUSEHOLD}1`, GUESSER].toSorted(),
  )

  const analytics = createAnalytics({ clickhouse: database.clickhouse })
  const evidence = async (finding: Finding) => {
    const query = analytics.requestLogs(
      { timeRange: finding.window, condition: suspicious.evidence(finding), fields: new Set(LOG_FIELDS), first: 1_000 },
      ASKER,
    )
    return (await query.page()).edges.map(({ node }) => node)
  }
  for (const address of [`::ffff:${GUESSER}`, HOUSEHOLD]) {
    const [finding] = await findings(address)
    const rows = await evidence(finding!)
    expect(rows).toHaveLength(finding!.details['hits'] as number)
    expect(new Set(rows.map(({ statusCode }) => statusCode))).toEqual(new Set([404]))
  }
  const [spray] = await findings('::ffff:198.51.100.3')
  expect(await evidence(spray!)).toMatchObject([{ clientIp: '198.51.100.3', path: '/login', userId: 'alice' }])

  // What is excepted from now on was evidence then.
  await detectors.addException({ detector: 'not_found_probing', pathPattern: '/guess/1', note: 'moved' }, { by: 'cli' })
  const [before] = await findings(HOUSEHOLD)
  expect(await evidence(before!)).toHaveLength(20)

  const { id } = (await suspicious.ofIp(GUESSER, suspicious.rangeOf(), ASKER))!
  await suspicious.review([id], { status: 'FALSE_POSITIVE', note: 'our crawler', except: true }, { by: 'cli' })
  await closeHour(2, runner)
  expect((await findings(`::ffff:${GUESSER}`)).map(({ flaggedAt }) => flaggedAt)).toEqual([hour(2)])
  expect((await findings(HOUSEHOLD)).map(({ flaggedAt }) => flaggedAt)).toEqual([hour(1), hour(2)])
})
