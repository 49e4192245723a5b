import { afterAll, beforeAll, expect, it } from 'vitest'

import type { Asker } from '../../src/analytics/index.ts'
import {
  createDetectors,
  createSuspicious,
  type Detectors,
  readDetectors,
  type Suspicious,
  suspiciousIpId,
} from '../../src/detection/index.ts'
import { type BlockList, createBlockList } from '../../src/ratelimit/index.ts'
import { createRedis } from '../../src/redis/index.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'
import { insertFindings } from '../support/findings.ts'

const database = testDatabase()
const HOUR = 3_600_000
/** Blocks end by the true clock; what is asked is asked ten minutes into the hour. */
const THIS_HOUR = Math.floor(Date.now() / HOUR) * HOUR
const NOW = THIS_HOUR + 600_000
const hour = (ago: number) => new Date(THIS_HOUR - ago * HOUR)
const ASKER: Asker = { services: null, comment: 'test' }

let suspicious: Suspicious
let detectors: Detectors
let blockList: BlockList
const redis = createRedis([], { log: silent })

beforeAll(async () => {
  await redis.start()
  const stores = { clickhouse: database.clickhouse, redis, log: silent, dataDir: undefined }
  blockList = createBlockList({ ...stores, trustedProxies: [] })
  detectors = createDetectors({ ...stores, files: await readDetectors() })
  suspicious = createSuspicious({ ...stores, detectors, blockList, now: () => NOW })
  await Promise.all([blockList.start(), detectors.start(), suspicious.start()])
})
afterAll(async () => {
  await Promise.all([blockList.stop(), detectors.stop(), suspicious.stop()])
  await redis.stop()
})

const id = (ip: string) => suspiciousIpId(ip.includes(':') ? ip : `::ffff:${ip}`)
const of = async (ip: string, asker = ASKER) => (await suspicious.get([id(ip)], asker))[0]
const status = async (ip: string) => (await of(ip))!.review.status
const by = { by: 'key_me' }
const learnt = () => detectors.exceptions().map(({ detector, cidr }) => [detector, cidr])
const ips = async (input: Parameters<Suspicious['list']>[0], asker = ASKER) =>
  (await suspicious.list(input, asker).page()).edges.map(({ node }) => node.ip)

beforeAll(async () => {
  await database.empty('findings_by_run', 'job_runs')
  await insertFindings(database.clickhouse, [
    ...['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4', '10.0.0.9', '192.0.2.6'].map((address) => ({
      hour: hour(2),
      address,
    })),
    { hour: hour(2), address: '192.0.2.3', detector: 'password_spraying' },
  ])
})

it('a verdict is shown with who, when and why, is one of a history, and can be taken back', async () => {
  await suspicious.review([id('192.0.2.1')], { status: 'RESOLVED', note: 'patched' }, by)
  expect((await of('192.0.2.1'))!.review).toEqual({
    status: 'RESOLVED',
    note: 'patched',
    reviewedBy: 'key_me',
    reviewedAt: expect.any(Date),
    detectors: ['not_found_probing'],
  })
  await suspicious.review([id('192.0.2.1')], { status: 'OPEN' }, by)
  expect(await status('192.0.2.1')).toBe('OPEN')
  const history = await suspicious.history('::ffff:192.0.2.1')
  expect(history.map(({ status, note }) => [status, note])).toEqual([
    ['OPEN', null],
    ['RESOLVED', 'patched'],
  ])
})

it('a verdict opens again as each says: RESOLVED by a later finding, FALSE_POSITIVE by another detector, CONFIRMED and IGNORED never', async () => {
  await suspicious.review([id('192.0.2.1')], { status: 'RESOLVED' }, by)
  await suspicious.review([id('192.0.2.2')], { status: 'FALSE_POSITIVE' }, by)
  await suspicious.review([id('192.0.2.3')], { status: 'CONFIRMED' }, by)
  await suspicious.review([id('192.0.2.4')], { status: 'IGNORED' }, by)
  const all = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4']
  const statuses = () => Promise.all(all.map(status))
  expect(await statuses()).toEqual(['RESOLVED', 'FALSE_POSITIVE', 'CONFIRMED', 'IGNORED'])
  await insertFindings(
    database.clickhouse,
    all.map((address) => ({ hour: hour(1), address })),
  )
  expect(await statuses()).toEqual(['OPEN', 'FALSE_POSITIVE', 'CONFIRMED', 'IGNORED'])
  await insertFindings(
    database.clickhouse,
    all.map((address) => ({ hour: hour(0), address, detector: 'repeat_offender' })),
  )
  expect(await statuses()).toEqual(['OPEN', 'OPEN', 'CONFIRMED', 'IGNORED'])
  expect((await ips({ where: { status: ['OPEN'] } })).toSorted()).toEqual([
    '10.0.0.9',
    '192.0.2.1',
    '192.0.2.2',
    '192.0.2.6',
  ])
})

it('verdicts give the precision of each detector that it was about, with what that is worth', () => {
  const { not_found_probing: probing, password_spraying: spraying } = Object.fromEntries(suspicious.precision())
  expect(probing).toMatchObject({ confirmed: 1, falsePositives: 1, precision: 0.5 })
  expect(probing!.interval!.low).toBeCloseTo(0.0945, 3)
  expect(probing!.interval!.high).toBeCloseTo(0.9055, 3)
  expect(spraying).toMatchObject({ confirmed: 1, falsePositives: 0, precision: 1 })
  expect(spraying!.interval!.low).toBeCloseTo(0.2065, 3)
})

it('a verdict may block, under its own name; where the block list refuses, nothing is changed', async () => {
  await suspicious.review([id('192.0.2.3')], { status: 'CONFIRMED', note: 'scans\nus', block: 'ONE_DAY' }, by)
  expect(await of('192.0.2.3')).toMatchObject({ isBlocked: true })
  expect(suspicious.blocksOf('192.0.2.3')).toMatchObject([
    {
      cidr: '192.0.2.3',
      source: 'MANUAL',
      reason: 'verdict CONFIRMED: scans us',
      createdBy: 'key_me',
      expiresAt: new Date(NOW + 24 * HOUR),
    },
  ])
  const both = [id('192.0.2.6'), id('10.0.0.9')]
  await expect(suspicious.review(both, { status: 'CONFIRMED', block: 'FOREVER' }, by)).rejects.toMatchObject({
    code: 'INVALID',
    field: 'block',
    message: expect.stringContaining('10.0.0.9'),
  })
  expect([await status('192.0.2.6'), await status('10.0.0.9')]).toEqual(['OPEN', 'OPEN'])
  expect((await of('192.0.2.6'))!.isBlocked).toBe(false)
})

it('FALSE_POSITIVE takes an automatic block off, and teaches the detectors where that is asked for', async () => {
  await blockList.add({ cidr: '192.0.2.6', source: 'AUTOMATIC', reason: 'detected' }, { by: 'system' })
  expect((await of('192.0.2.6'))!.isBlocked).toBe(true)
  await suspicious.review([id('192.0.2.6')], { status: 'FALSE_POSITIVE', note: 'our monitor', except: true }, by)
  expect((await of('192.0.2.6'))!.isBlocked).toBe(false)
  expect(blockList.list().find(({ cidr }) => cidr === '192.0.2.6')).toMatchObject({
    removedBy: 'key_me',
    removedReason: 'verdict FALSE_POSITIVE: our monitor',
  })
  expect(learnt()).toEqual([['not_found_probing', '192.0.2.6']])
  await suspicious.review([id('192.0.2.6')], { status: 'FALSE_POSITIVE', except: true }, by)
  expect(learnt()).toHaveLength(1)
})

it.each([
  [[id('192.0.2.99')], { status: 'CONFIRMED' }, 'NOT_FOUND', /192\.0\.2\.99/],
  [['sus_nonsense'], { status: 'CONFIRMED' }, 'NOT_FOUND', /sus_nonsense/],
  [[], { status: 'CONFIRMED' }, 'INVALID', /^ids/],
  [[id('192.0.2.1')], { status: 'CONFIRMED', except: true }, 'INVALID', /^except/],
  [[id('192.0.2.1')], { status: 'FALSE_POSITIVE', block: 'ONE_DAY' }, 'INVALID', /^block/],
  [[id('192.0.2.1')], { status: 'CONFIRMED', note: 'x'.repeat(1_001) }, 'INVALID', /^note/],
])('a verdict that cannot be is refused with its reason: %j %j', async (ids, input, code, message) => {
  await expect(suspicious.review(ids, input as never, by)).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message),
  })
})

it('verdicts are counted: how many have one, and how long it took', async () => {
  const reviewed = await suspicious.reviewed(suspicious.rangeOf(), ASKER)
  expect(reviewed).toEqual({ flagged: 6, reviewed: 3, share: 0.5, timeToVerdictMs: expect.any(Number) })
  expect(reviewed.timeToVerdictMs).toBeGreaterThan(0)
  const nobody = await suspicious.reviewed({ from: 0, to: HOUR }, ASKER)
  expect(nobody).toEqual({ flagged: 0, reviewed: 0, share: null, timeToVerdictMs: null })
})
