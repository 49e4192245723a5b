import { afterAll, beforeAll, describe, expect, it } from 'vitest'

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
const LAST_30_DAYS = { from: Date.now() - 30 * 86_400_000, to: Date.now() }
const of = async (ip: string, asker = ASKER) => (await suspicious.get([id(ip)], asker, LAST_30_DAYS))[0]
const list = (input: object) => () => suspicious.list(input, ASKER)
const ips = async (input: Parameters<Suspicious['list']>[0], asker = ASKER) =>
  (await suspicious.list(input, asker).page()).edges.map(({ node }) => node.ip)

describe('findings of one address', () => {
  beforeAll(async () => {
    await database.empty()
    await insertFindings(database.clickhouse, [
      {
        hour: hour(3),
        address: '203.0.113.7',
        score: 40,
        requests: 100,
        errors: 60,
        services: ['shop'],
        country: 'NL',
      },
      {
        hour: hour(3),
        address: '203.0.113.7',
        detector: 'password_spraying',
        severity: 'HIGH',
        windowFrom: hour(26),
        score: 60,
        requests: 120,
        errors: 70,
        services: ['blog', 'shop'],
        firstSeen: hour(20),
      },
      {
        hour: hour(2),
        address: '203.0.113.7',
        score: 50.5,
        requests: 80,
        errors: 8,
        country: 'DE',
        city: 'Berlin',
        asn: 64500,
      },
      {
        hour: hour(2),
        address: '203.0.113.7',
        detector: 'quiet',
        mode: 'REPORT_ONLY',
        severity: 'CRITICAL',
        score: 98,
      },
      { hour: hour(2), address: '203.0.113.8', mode: 'REPORT_ONLY' },
      { hour: hour(1), address: '2001:db8:1:2::', ip: '2001:db8:1:2::77' },
      { hour: hour(31 * 24), address: '203.0.113.7', detector: 'old', score: 90 },
    ])
  })

  it('are put together: scores of detectors add up, hours of hourly detectors count once, the last place is the place', async () => {
    const { review, strongest, ...suspect } = (await of('203.0.113.7'))!
    expect(suspect).toEqual({
      id: id('203.0.113.7'),
      address: '::ffff:203.0.113.7',
      ip: '203.0.113.7',
      score: 80.2, // 1 - (1 - 0.505) · (1 - 0.6)
      severity: 'HIGH',
      flaggedAt: hour(1),
      firstSeenAt: hour(20),
      lastSeenAt: new Date(hour(1).getTime() - 1_000),
      requests: 180,
      errorRate: 68 / 180,
      country: 'DE',
      city: 'Berlin',
      asn: 64500,
      asOrganization: null,
      services: ['blog', 'shop'],
      detectors: ['not_found_probing', 'password_spraying'],
      isBlocked: false,
    })
    expect(review).toEqual({ status: 'OPEN', note: null, reviewedBy: null, reviewedAt: null, detectors: [] })
    expect(strongest).toMatchObject({
      detector: 'password_spraying',
      score: 60,
      window: { from: hour(26), to: hour(2) },
    })
  })

  it('of a detector that only reports flag nobody, and those of a run that was replaced count no more', async () => {
    expect(await of('203.0.113.8')).toBeUndefined()
    await insertFindings(database.clickhouse, [{ hour: hour(5), address: '203.0.113.9' }], { runId: 1 })
    expect(await of('203.0.113.9')).toBeDefined()
    await insertFindings(database.clickhouse, [{ hour: hour(5), address: '203.0.113.10' }], { runId: 2 })
    expect(await of('203.0.113.9')).toBeUndefined()
    expect(await of('203.0.113.10')).toBeDefined()
  })

  it('of IPv6 are of its /64, which any address of it leads to', async () => {
    const range = suspicious.rangeOf()
    expect(await suspicious.ofIp('2001:db8:1:2:3:4:5:6', range, ASKER)).toMatchObject({
      ip: '2001:db8:1:2::77',
      address: '2001:db8:1:2::',
    })
    expect(await suspicious.ofIp('2001:db8:1:3::', range, ASKER)).toBeUndefined()
    expect(await ips({ where: { ip: { eq: '2001:db8:1:2::5' } } })).toEqual(['2001:db8:1:2::77'])
    expect(await ips({ where: { ip: { in: ['2001:db8::/32'] } } })).toEqual(['2001:db8:1:2::77'])
  })

  it('are shown to a key for the services it is for, and to no other', async () => {
    const blog = { ...ASKER, services: ['blog'] }
    expect(await of('203.0.113.7', blog)).toMatchObject({ services: ['blog'], detectors: ['password_spraying'] })
    expect(await of('2001:db8:1:2::', blog)).toBeUndefined()
    const [finding] = (await suspicious.detections({ addresses: ['::ffff:203.0.113.7'], first: 5 }, blog)).get(
      '::ffff:203.0.113.7',
    )!
    expect(finding).toMatchObject({ services: ['blog'], target: null })
  })

  it('are listed newest first, with a sentence for people', async () => {
    const all = (await suspicious.detections({ addresses: ['::ffff:203.0.113.7'], first: 2 }, ASKER)).get(
      '::ffff:203.0.113.7',
    )!
    expect(all.map(({ detector, flaggedAt }) => [detector, flaggedAt])).toEqual([
      ['not_found_probing', hour(1)],
      ['password_spraying', hour(2)],
    ])
    expect(suspicious.summary({ ...all[0]!, target: '/wp-login.php' })).toBe(
      'Not-found probing: 11 paths within an hour, from 11 on it is flagged; most asked for /wp-login.php.',
    )
    expect(suspicious.summary({ ...all[0]!, observed: 1 })).toMatch(/^Not-found probing: 1 path within/)
    expect(suspicious.summary({ ...all[1]!, observed: 1 })).toMatch(/^Password spraying: 1 address within/)
    expect(suspicious.summary(all[1]!)).toMatch(/^Password spraying: 11 addresses within 24 hours, from 11 on/)
  })
})

describe('the list', () => {
  beforeAll(async () => {
    await database.empty()
    await insertFindings(
      database.clickhouse,
      Array.from({ length: 40 }, (_, index) => ({
        hour: hour(1 + (index % 5)),
        address: `198.51.100.${index}`,
        detector: index % 3 === 0 ? 'password_spraying' : 'not_found_probing',
        severity: index % 3 === 0 ? ('HIGH' as const) : ('MEDIUM' as const),
        score: 40 + (index % 4) * 10,
        requests: 10 * (index % 3),
        country: index % 2 === 0 ? 'NL' : 'DE',
        asn: index < 10 ? 64501 : 64502,
        services: [index % 2 === 0 ? 'shop' : 'blog'],
      })),
    )
  })

  it.each(['SCORE_DESC', 'LAST_SEEN_DESC', 'FIRST_SEEN_DESC', 'REQUESTS_DESC'] as const)(
    'in order %s neither skips nor repeats among equals, forwards and backwards',
    async (orderBy) => {
      const whole = await ips({ orderBy, first: 1_000 })
      expect(new Set(whole).size).toBe(40)
      const walk = async (backwards: boolean) => {
        const pages: string[][] = []
        for (let cursor: string | undefined; ;) {
          const page = await suspicious
            .list(backwards ? { orderBy, last: 15, before: cursor } : { orderBy, first: 15, after: cursor }, ASKER)
            .page()
          pages.push(page.edges.map(({ node }) => node.ip))
          if (!(backwards ? page.hasPreviousPage : page.hasNextPage)) break
          cursor = (backwards ? page.edges[0] : page.edges.at(-1))!.cursor
        }
        return (backwards ? pages.reverse() : pages).flat()
      }
      expect(await walk(false)).toEqual(whole)
      expect(await walk(true)).toEqual(whole)
    },
  )

  it.each([
    [{ severity: ['HIGH'] as const }, 14],
    [{ detector: ['password_spraying'] }, 14],
    [{ minScore: 60 }, 20],
    [{ country: ['NL'] }, 20],
    [{ asn: [64501] }, 10],
    [{ service: ['blog'] }, 20],
    [{ status: ['OPEN'] as const }, 40],
    [{ status: ['CONFIRMED'] as const }, 0],
    [{ severity: [] }, 0],
    [{ ip: { in: ['198.51.100.0/29'], neq: '198.51.100.1' } }, 7],
    [{ ip: { notIn: ['198.51.100.0/27'] } }, 8],
    [{ country: ['NL'], asn: [64501] }, 5],
  ])('keeps those that fit %j, and counts them', async (where, expected) => {
    const list = suspicious.list({ where, first: 1_000 }, ASKER)
    expect((await list.page()).edges.length).toBe(expected)
    expect(await list.count()).toBe(expected)
  })

  it('is of those who were seen in the time that is asked for', async () => {
    expect((await ips({ lastSeen: { from: hour(2) } })).length).toBe(16)
    expect((await ips({ lastSeen: { from: hour(1), to: new Date(NOW) } })).length).toBe(8)
    expect(await ips({ lastSeen: { from: new Date(NOW - 60_000) } })).toEqual([])
  })

  it('refuses a cursor of another order or none of ours, and pages out of bounds', () => {
    expect(list({ after: 'nonsense' })).toThrow(/^after is not a cursor/)
    const cursor = Buffer.from('0 400 ::ffff:198.51.100.1').toString('base64url')
    expect(list({ after: cursor, orderBy: 'LAST_SEEN_DESC' })).toThrow(
      /order SCORE_DESC, but orderBy is LAST_SEEN_DESC/,
    )
    expect(list({ first: 0 })).toThrow(/^first is 0; allowed is/)
    expect(list({ first: 1, last: 1 })).toThrow(/both given/)
    expect(list({ where: { ip: { in: Array.from({ length: 1_001 }, () => '10.0.0.1') } } })).toThrow(/1000 at most/)
  })
})
