import { beforeAll, describe, expect, it } from 'vitest'

import { createAnalytics, type EffectivenessRow, LIMITS } from '../../src/analytics/index.ts'
import { param, sql } from '../../src/clickhouse/index.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { type DecisionRow, insertDecisions } from '../support/decisions.ts'
import { insertLogs, type LogRow, random } from '../support/request-logs.ts'

const database = testDatabase()
const asker = { services: null, comment: 'test' }
const FROM = Date.parse('2026-05-01')
const MINUTE = 60_000
const HOUR = 60 * MINUTE
const RANGE = { from: new Date(FROM), to: new Date(FROM + 2 * HOUR) }

const TOLD = {
  CONFIRMED: ['203.0.113.3', '203.0.113.4', '203.0.113.5'],
  FALSE_POSITIVE: ['203.0.113.6', '198.51.100.1'],
}
const addressesTold = (verdict: keyof typeof TOLD) =>
  sql`SELECT arrayJoin(${param(
    'Array(IPv6)',
    TOLD[verdict].map((ip) => `::ffff:${ip}`),
  )})`

const ask = (
  input: object = {},
  selection: object = {},
  who: { services: readonly string[] | null; comment: string } = asker,
) =>
  createAnalytics({ clickhouse: database.clickhouse, addressesTold }).rateLimitEffectiveness(
    {
      timeRange: RANGE,
      ...input,
      selection: { rows: true, totals: true, errorRates: true, verdicts: true, ...selection },
    },
    who,
  )

const next = random(5)
const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)]!

const POLICIES = { login: 60, api: 600, '': 0 }

/** Two hours and the time around them, by seconds, the way the decision log writes them. */
const DECISIONS: DecisionRow[] = Array.from({ length: 3000 }, (_, row) => {
  const policyId = pick(['login', 'login', 'api', ''] as const)
  const outcome =
    policyId === ''
      ? pick(['allowed', 'blocked'] as const)
      : pick(['allowed', 'allowed', 'limited', 'shadow_limited', 'blocked'] as const)
  const isTold = outcome !== 'allowed' || next() < 0.4
  // Bursts of some minutes with rests between them, so that limiting ends and begins again.
  const at = Math.floor(next() * 14) * 10 * MINUTE + Math.floor(next() * 3 * MINUTE)
  return {
    row,
    timestamp: new Date(FROM - 10 * MINUTE + at),
    outcome,
    policyId,
    windowSeconds: outcome === 'blocked' ? 0 : POLICIES[policyId],
    service: pick(['shop', 'blog']),
    ip: isTold ? `203.0.113.${Math.floor(next() * 120)}` : '',
    entryId: outcome === 'blocked' ? pick(['blk_a', 'blk_b']) : '',
    count: 1 + Math.floor(next() * 20),
  }
})

const REQUESTS: LogRow[] = Array.from({ length: 4000 }, (_, row) => ({
  row,
  timestamp: new Date(FROM - 20 * MINUTE + Math.floor(next() * (2 * HOUR + 40 * MINUTE))),
  ip: '203.0.113.1',
  service: pick(['shop', 'blog', 'api']),
  status: pick([200, 200, 404, 500, 503]),
  action: pick(['allowed', 'allowed', 'allowed', 'rate_limited', 'blocked'] as const),
}))

beforeAll(async () => {
  await insertDecisions(database.clickhouse, DECISIONS)
  await insertLogs(database.clickhouse, REQUESTS)
})

const sum = (rows: readonly DecisionRow[], holds: (row: DecisionRow) => boolean): number =>
  rows.reduce((total, row) => total + (holds(row) ? row.count! : 0), 0)
const isOver = ({ outcome }: DecisionRow): boolean => outcome === 'limited' || outcome === 'shadow_limited'
const within = (rows: readonly DecisionRow[]) =>
  rows.filter(({ timestamp }) => timestamp >= RANGE.from && timestamp < RANGE.to)

const naiveVerdicts = (over: readonly DecisionRow[]) => {
  const clients = [...new Set(over.map(({ ip }) => ip!))]
  const [confirmed, mistaken] = (['CONFIRMED', 'FALSE_POSITIVE'] as const).map(
    (verdict) => clients.filter((ip) => TOLD[verdict].includes(ip)).length,
  )
  return {
    limitedConfirmedAbusive: confirmed!,
    limitedFalsePositive: mistaken!,
    precision: confirmed! + mistaken! > 0 ? confirmed! / (confirmed! + mistaken!) : null,
  }
}

/** By the definitions, one row at a time. @param visible what the asker may see @param rows of the answer's row */
const naive = (
  rows: readonly DecisionRow[],
  visible: readonly DecisionRow[],
  rates: [number | null, number | null],
) => {
  const first = new Map<string, number>()
  for (const { policyId, ip, timestamp } of within(visible).filter(isOver)) {
    const client = `${policyId} ${ip}`
    first.set(client, Math.min(timestamp.getTime(), first.get(client) ?? Number.POSITIVE_INFINITY))
  }
  const firstOver = ({ policyId, ip }: DecisionRow): number =>
    first.get(`${policyId} ${ip}`) ?? Number.POSITIVE_INFINITY
  const asked = rows.filter(({ windowSeconds }) => windowSeconds! > 0)
  const evaluated = sum(asked, ({ outcome }) => outcome !== 'blocked')
  const limited = sum(asked, ({ outcome }) => outcome === 'limited')
  const over = asked.filter(isOver)
  const repeated = over.filter((row) => row.timestamp.getTime() >= firstOver(row) + row.windowSeconds! * 1000)
  return {
    evaluated,
    allowed: evaluated - limited,
    limited,
    shadowLimited: sum(asked, ({ outcome }) => outcome === 'shadow_limited'),
    blocked: sum(rows, ({ outcome }) => outcome === 'blocked'),
    limitedRate: evaluated > 0 ? limited / evaluated : null,
    uniqLimitedClients: new Set(over.map(({ ip }) => ip)).size,
    repeatOffenders: new Set(repeated.map(({ ip }) => ip)).size,
    passedAfterLimit: sum(
      asked,
      (row) => row.outcome === 'allowed' && row.ip !== '' && row.timestamp.getTime() > firstOver(row),
    ),
    ...naiveVerdicts(over),
    serverErrorRateBefore: rates[0],
    serverErrorRateAfter: rates[1],
  }
}

/** Where limiting began: a second with a limited decision after five minutes without. */
const beginnings = (visible: readonly DecisionRow[]) =>
  Object.values(
    Object.groupBy(
      visible.filter(({ outcome }) => outcome === 'limited'),
      ({ policyId, service }) => `${policyId} ${service}`,
    ),
  )
    .flatMap((rows) => {
      const seconds = [...new Set(rows!.map(({ timestamp }) => Math.floor(timestamp.getTime() / 1000)))].toSorted(
        (a, b) => a - b,
      )
      return seconds
        .filter((second, index) => index === 0 || second > seconds[index - 1]! + 300)
        .map((second) => ({ at: second * 1000, policyId: rows![0]!.policyId!, service: rows![0]!.service! }))
    })
    .filter(({ at }) => at >= FROM && at < FROM + 2 * HOUR)

const ratesAround = (episodes: readonly { at: number; service: string }[]): [number | null, number | null] => {
  const rate = (from: number, to: number): number | null => {
    const served = episodes.flatMap(({ at, service }) =>
      REQUESTS.filter((request) => {
        const second = Math.floor(request.timestamp.getTime() / 1000) * 1000
        return request.service === service && request.action === 'allowed' && second >= at + from && second < at + to
      }),
    )
    return served.length > 0 ? served.filter(({ status }) => status! >= 500).length / served.length : null
  }
  return [rate(-5 * MINUTE, 0), rate(0, 5 * MINUTE)]
}

const byPlace = (rows: readonly EffectivenessRow[]) =>
  new Map(
    rows.map(({ bucket, policyId, service, ...row }) => [
      `${bucket?.start.toISOString() ?? ''} ${policyId ?? ''} ${service}`,
      row,
    ]),
  )

/** All rows that a naive reading makes. @param startOf the beginning of a decision's bucket; '' without buckets */
const naiveRows = (shown: readonly DecisionRow[], visible: readonly DecisionRow[], startOf: (at: number) => string) => {
  const counting = within(shown).filter(({ outcome, windowSeconds }) => outcome === 'blocked' || windowSeconds! > 0)
  const episodes = beginnings(visible)
  return new Map(
    [...Map.groupBy(counting, (row) => `${startOf(row.timestamp.getTime())} ${row.policyId} ${row.service}`)].map(
      ([key, rows]) => [
        key,
        naive(
          rows,
          visible,
          ratesAround(episodes.filter(({ at, policyId, service }) => `${startOf(at)} ${policyId} ${service}` === key)),
        ),
      ],
    ),
  )
}

/** Beginning of the quarter of an hour. */
const quarter = (at: number): string => new Date(Math.floor(at / (15 * MINUTE)) * 15 * MINUTE).toISOString()

describe('each number is what its definition says', () => {
  it('by policy and service, and over all of them', async () => {
    const { rows, totals, truncated } = await ask()
    const expected = naiveRows(DECISIONS, DECISIONS, () => '')
    expect(byPlace(rows)).toEqual(expected)
    expect(truncated).toBe(false)
    const counting = within(DECISIONS).filter(
      ({ outcome, windowSeconds }) => outcome === 'blocked' || windowSeconds! > 0,
    )
    const { bucket, policyId, service, ...all } = totals!
    expect([bucket, policyId, service]).toEqual([null, null, null])
    expect(all).toEqual(naive(counting, DECISIONS, ratesAround(beginnings(DECISIONS))))
    for (const of of ['uniqLimitedClients', 'repeatOffenders', 'passedAfterLimit'] as const)
      expect(Number(all[of])).toBeGreaterThan(0)
    expect(beginnings(DECISIONS).length).toBeGreaterThan(20)
  })

  it('in buckets, where an episode and a repetition count where they happen', async () => {
    const { rows, granularity } = await ask({ bucket: { granularity: 'FIFTEEN_MINUTES', fillGaps: false } })
    expect(granularity).toBe('FIFTEEN_MINUTES')
    expect(byPlace(rows)).toEqual(naiveRows(DECISIONS, DECISIONS, quarter))
  })

  it('for some policies and services alone', async () => {
    const { rows } = await ask({ policyIds: ['login'], services: ['shop'] })
    const shown = DECISIONS.filter(({ policyId, service }) => policyId === 'login' && service === 'shop')
    expect(byPlace(rows)).toEqual(naiveRows(shown, DECISIONS, () => ''))
    expect((await ask({ policyIds: [] })).rows).toEqual([])
  })

  it('for the services that the asker may see alone', async () => {
    const { rows, totals } = await ask({}, {}, { services: ['blog'], comment: 'test' })
    const visible = DECISIONS.filter(({ service }) => service === 'blog')
    expect(byPlace(rows)).toEqual(naiveRows(visible, visible, () => ''))
    expect(totals!.blocked).toBe(sum(within(visible), ({ outcome }) => outcome === 'blocked'))
  })
})

it('fills gaps with rows of nothing, bucket by bucket in the clock of the time zone, the busiest first', async () => {
  const bucket = { granularity: 'HOUR' as const, timezone: 'Asia/Kolkata' }
  const { rows, timeZone } = await ask({ bucket, services: ['shop'] }, { errorRates: false })
  // Half past the hour in UTC: three hours of India touch two of UTC.
  expect(rows.map(({ bucket }) => bucket!.local)).toEqual(
    ['05:00:00', '06:00:00', '07:00:00'].flatMap((time) => Array.from({ length: 3 }, () => `2026-05-01T${time}+05:30`)),
  )
  const busiest = (await ask({ services: ['shop'] })).rows.map(({ policyId }) => policyId)
  expect(rows.map(({ policyId }) => policyId)).toEqual([...busiest, ...busiest, ...busiest])
  expect(timeZone).toBe('Asia/Kolkata')
  const idle = { from: new Date(FROM), to: new Date(FROM + 10 * MINUTE) }
  const { rows: quiet } = await ask({ timeRange: idle, bucket: { granularity: 'MINUTE' }, services: ['shop'] })
  expect(quiet.at(-1)).toEqual({
    ...quiet.at(-1)!,
    evaluated: 0,
    allowed: 0,
    limited: 0,
    blocked: 0,
    limitedRate: null,
    uniqLimitedClients: 0,
    serverErrorRateBefore: null,
  })
})

it('without decisions there are no rows, and totals of nothing', async () => {
  const timeRange = { from: new Date('2020-01-01'), to: new Date('2020-01-02') }
  const { rows, totals } = await ask({ timeRange, bucket: {} })
  expect(rows).toEqual([])
  expect(totals).toMatchObject({ evaluated: 0, limitedRate: null, serverErrorRateAfter: null })
})

it('counts what people said of a /64 for each of its addresses, and looks it up only where it is asked for', async () => {
  const at = FROM + 40 * 24 * HOUR
  await insertDecisions(
    database.clickhouse,
    ['2001:db8:0:1::7', '2001:db8:0:2::7', '203.0.113.3'].map((ip) => ({
      timestamp: new Date(at),
      outcome: 'limited' as const,
      ip,
      counted: ip,
    })),
  )
  const { rateLimitEffectiveness } = createAnalytics({
    clickhouse: database.clickhouse,
    addressesTold: (verdict) =>
      sql`SELECT toIPv6(${verdict === 'CONFIRMED' ? '2001:db8:0:1::' : '::ffff:203.0.113.3'})`,
  })
  const askTotals = async (verdicts: boolean) => {
    const selection = { rows: false, totals: true, errorRates: false, verdicts }
    const timeRange = { from: new Date(at), to: new Date(at + HOUR) }
    return (await rateLimitEffectiveness({ timeRange, selection }, asker)).totals
  }
  const told = { limitedConfirmedAbusive: 1, limitedFalsePositive: 1, precision: 0.5 }
  expect(await askTotals(true)).toMatchObject({ uniqLimitedClients: 3, ...told })
  expect(await askTotals(false)).toMatchObject({ limitedConfirmedAbusive: 0, precision: null })
})

it('reads only what is asked for', async () => {
  const { spent, totals } = await ask({}, { totals: false, errorRates: false })
  expect(spent.statements).toHaveLength(1)
  expect(totals).toBeUndefined()
})

it('says that there are more policies and services than rows, and shows the busiest', async () => {
  const at = new Date('2026-08-01')
  await insertDecisions(
    database.clickhouse,
    Array.from({ length: 120 }, (_, index) => ({
      timestamp: at,
      outcome: 'allowed' as const,
      service: `s${index}`,
      row: index,
      count: index + 1,
    })),
  )
  const timeRange = { from: at, to: new Date(at.getTime() + 100 * MINUTE) }
  const { rows, truncated } = await ask({ timeRange, bucket: { granularity: 'MINUTE' } })
  expect([rows.length, truncated]).toEqual([LIMITS.maxRows, true])
  expect([rows[0]!.service, rows[99]!.service]).toEqual(['s119', 's20'])
})

it.each([
  [
    'a list too long',
    { policyIds: Array.from({ length: 1001 }, () => 'p') },
    /^policyIds is "1001 entries"; allowed is/,
  ],
  ['no time zone', { bucket: { timezone: 'Nowhere' } }, /^bucket.timezone is "Nowhere"; allowed is an IANA time zone/],
  ['no range', { timeRange: {} }, /^timeRange has no beginning; give from and to, or last/],
])('refuses %s', async (_what, input, message) => {
  await expect(ask(input)).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    message: expect.stringMatching(message),
  })
})

const hitsOfA = (rows: readonly DecisionRow[]): number => sum(within(rows), ({ entryId }) => entryId === 'blk_a')

describe('hits of the block list', () => {
  it('are the decisions of the range in which an entry had a say, of the services that the asker may see', async () => {
    const analytics = createAnalytics({ clickhouse: database.clickhouse })
    const hits = await analytics.blockListHits({ entryIds: ['blk_a', 'blk_none'], timeRange: RANGE }, asker)
    expect(hits).toEqual(new Map([['blk_a', hitsOfA(DECISIONS)]]))
    const bound = await analytics.blockListHits(
      { entryIds: ['blk_a'], timeRange: RANGE },
      { services: ['blog'], comment: 'test' },
    )
    expect(bound.get('blk_a')).toBe(hitsOfA(DECISIONS.filter(({ service }) => service === 'blog')))
  })
})
