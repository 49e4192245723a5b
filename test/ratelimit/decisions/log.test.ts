import { describe, expect, it } from 'vitest'

import { sql } from '../../../src/clickhouse/index.ts'
import { OUTCOMES } from '../../../src/ratelimit/index.ts'
import { testDatabase } from '../../support/clickhouse.ts'
import { random } from '../../support/request-logs.ts'
import { decisionOf, openLog, type StoredRow, TODAY } from './support.ts'

const database = testDatabase()
const total = (rows: readonly StoredRow[]): number => rows.reduce((sum, { count }) => sum + count, 0)
const brief = (rows: readonly StoredRow[]) =>
  rows.map(({ timestamp, outcome, counted, count }) => [timestamp.slice(11), outcome, counted, count])

it('counts what passes by second, policy and service, without the client', async () => {
  const { decisions, clock, finish } = await openLog(database)
  for (const ip of ['203.0.113.1', '203.0.113.2', '203.0.113.2']) decisions.note(decisionOf(ip))
  decisions.note(decisionOf('203.0.113.1', { service: 'blog' }))
  decisions.note(decisionOf('203.0.113.1', { policyId: '', windowSeconds: 0 }))
  clock.now += 1000
  decisions.note(decisionOf('203.0.113.1'))
  expect(await finish()).toEqual(
    [
      [`${TODAY} 10:00:00`, '', 0, 'shop', 1],
      [`${TODAY} 10:00:00`, 'default', 60, 'blog', 1],
      [`${TODAY} 10:00:00`, 'default', 60, 'shop', 3],
      [`${TODAY} 10:00:01`, 'default', 60, 'shop', 1],
    ].map(([timestamp, policy_id, window_seconds, service, count]) => ({
      timestamp,
      outcome: 'allowed',
      policy_id,
      window_seconds,
      service,
      ip: '::',
      counted: '',
      entry_id: '',
      method: '',
      path: '',
      count,
    })),
  )
})

it('counts what is limited, shadow-limited and blocked by client, with the first request of each', async () => {
  const { decisions, finish } = await openLog(database)
  decisions.note(decisionOf('2001:db8::1', { outcome: 'limited', method: 'POST', path: '/first' }))
  decisions.note(decisionOf('2001:db8::2', { outcome: 'limited', path: '/second' }))
  decisions.note(decisionOf('198.51.100.1', { outcome: 'limited', counted: 'user:42' }))
  decisions.note(decisionOf('198.51.100.2', { outcome: 'limited', counted: 'user:42' }))
  decisions.note(decisionOf('198.51.100.3', { outcome: 'blocked', entryId: 'blk_1' }))
  decisions.note(decisionOf('198.51.100.3', { outcome: 'blocked', entryId: 'blk_2' }))
  decisions.note(decisionOf('198.51.100.4', { outcome: 'shadow_limited', policyId: 'trial' }))
  decisions.note(decisionOf(undefined, { outcome: 'limited' }))
  const rows = (await finish()).map(({ outcome, ip, counted, entry_id, method, path, count }) =>
    [outcome, ip, counted, entry_id, method, path, count].join(' '),
  )
  expect(rows.toSorted()).toEqual(
    [
      'limited ::   GET / 1',
      'limited 2001:db8::1 2001:db8::/64  POST /first 2',
      'limited ::ffff:198.51.100.1 user:42  GET / 1',
      'limited ::ffff:198.51.100.2 user:42  GET / 1',
      'blocked ::ffff:198.51.100.3 198.51.100.3 blk_1 GET / 1',
      'blocked ::ffff:198.51.100.3 198.51.100.3 blk_2 GET / 1',
      'shadow_limited ::ffff:198.51.100.4 198.51.100.4  GET / 1',
    ].toSorted(),
  )
})

it('counts what passes by client for an hour after it was limited or would have been, and not longer', async () => {
  const { decisions, clock, finish } = await openLog(database)
  const [limited, shadow, other] = ['203.0.113.1', '203.0.113.2', '203.0.113.3']
  decisions.note(decisionOf(limited))
  decisions.note(decisionOf(limited, { outcome: 'limited' }))
  decisions.note(decisionOf(shadow, { outcome: 'shadow_limited' }))
  decisions.note(decisionOf(other, { outcome: 'blocked' }))
  clock.now += 3_599_000
  for (const ip of [limited, shadow, other]) decisions.note(decisionOf(ip, { path: '/again' }))
  clock.now += 1000
  for (const ip of [limited, shadow, other]) decisions.note(decisionOf(ip))
  expect(brief(await finish())).toEqual([
    ['10:00:00', 'allowed', '', 1],
    ['10:00:00', 'limited', limited, 1],
    ['10:00:00', 'blocked', other, 1],
    ['10:00:00', 'shadow_limited', shadow, 1],
    ['10:59:59', 'allowed', '', 1],
    ['10:59:59', 'allowed', limited, 1],
    ['10:59:59', 'allowed', shadow, 1],
    ['11:00:00', 'allowed', '', 3],
  ])
})

it('keeps what an entry of the allow-list let pass apart', async () => {
  const { decisions, finish } = await openLog(database)
  decisions.note(decisionOf('203.0.113.1'))
  for (const ip of ['203.0.113.7', '203.0.113.8']) decisions.note(decisionOf(ip, { entryId: 'blk_allow' }))
  const rows = await finish()
  expect(rows.map(({ entry_id, count }) => `${entry_id} ${count}`).toSorted()).toEqual([' 1', 'blk_allow 2'])
})

it('writes by itself each second that is over, once', async () => {
  const { decisions, clock, stored, finish } = await openLog(database)
  decisions.start()
  decisions.note(decisionOf('203.0.113.1'))
  clock.now += 1000
  await expect.poll(async () => total(await stored())).toBe(1)
  decisions.note(decisionOf('203.0.113.1'))
  clock.now += 1000
  await expect.poll(async () => total(await stored())).toBe(2)
  expect(await finish()).toHaveLength(2)
})

it('loses no decision and invents none, whatever comes', async () => {
  const { decisions, clock, finish, metric } = await openLog(database)
  const next = random(7)
  const expected = new Map<string, number>()
  const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)]!
  for (let index = 0; index < 30_000; index++) {
    if (next() < 0.001) clock.now += pick([200, 1000, 86_400_000])
    const outcome = pick(OUTCOMES)
    const policyId = pick(['default', 'login', ''])
    const service = pick(['shop', 'blog', 'ü\ud800'])
    decisions.note(
      decisionOf(pick([undefined, `10.0.0.${Math.floor(next() * 200)}`, `2001:db8:${Math.floor(next() * 50)}::1`]), {
        outcome,
        policyId,
        service,
        windowSeconds: pick([60, 3600]),
        entryId: pick(['', 'blk_1']),
        path: pick(['/', '/\ud800"\n', `/${'x'.repeat(9000)}`]),
      }),
    )
    const second = new Date(clock.now).toISOString().slice(0, 19).replace('T', ' ')
    const key = [second, outcome, policyId, service.toWellFormed()].join('|')
    expected.set(key, (expected.get(key) ?? 0) + 1)
  }
  const found = new Map<string, number>()
  for (const { timestamp, outcome, policy_id, service, count, path } of await finish()) {
    const key = [timestamp, outcome, policy_id, service].join('|')
    found.set(key, (found.get(key) ?? 0) + count)
    expect(path.length).toBeLessThanOrEqual(256)
  }
  expect(found).toEqual(expected)
  const counted = await Promise.all(
    OUTCOMES.map((outcome) => metric('vedette_decisions_total', `outcome="${outcome}"`)),
  )
  expect(counted.reduce((sum, count) => sum + count)).toBe(30_000)
  const { rows } = await database.clickhouse.query<{ rows: number; different: number }>(
    sql`SELECT count() AS rows, uniqExact(batch, row) AS different FROM decisions`,
  )
  expect(rows[0]!.different).toBe(rows[0]!.rows)
})

describe('the security log', () => {
  it('gets one line a second for each client, policy and entry, with its count, and none for what passed', async () => {
    const { decisions, clock, events } = await openLog(database)
    decisions.note(decisionOf('203.0.113.9'))
    for (let index = 0; index < 5; index++)
      decisions.note(decisionOf('203.0.113.1', { outcome: 'limited', method: 'POST', path: `/login/${index}` }))
    decisions.note(decisionOf('2001:db8::1', { outcome: 'blocked', entryId: 'blk_1' }))
    clock.now += 1000
    decisions.note(decisionOf('203.0.113.1', { outcome: 'limited' }))
    await decisions.stop()
    const common = { service: 'shop', policyId: 'default', entryId: '', path: '/', method: 'GET', count: 1 }
    const limited = { ...common, event: 'limited', ip: '203.0.113.1', counted: '203.0.113.1' }
    expect(events).toEqual([
      { ...limited, method: 'POST', path: '/login/0', count: 5 },
      { ...common, event: 'blocked', ip: '2001:db8::1', counted: '2001:db8::/64', entryId: 'blk_1' },
      limited,
    ])
  })
})

const address = (client: number): string => `10.${client >> 16}.${(client >> 8) & 255}.${client & 255}`

describe('bounds', () => {
  it('tells 20,000 clients a second apart and counts those beyond without their client, said by a metric', async () => {
    const { decisions, finish, metric, events } = await openLog(database)
    for (let client = 0; client < 25_000; client++)
      decisions.note(decisionOf(address(client), { outcome: 'limited', service: client % 2 ? 'shop' : 'blog' }))
    const rows = await finish()
    expect([rows.length, total(rows)]).toEqual([20_002, 25_000])
    expect(rows.filter(({ counted }) => counted === '').map(({ count }) => count)).toEqual([2500, 2500])
    expect(await metric('vedette_decisions_folded_total', 'without="client"')).toBe(5000)
    expect(events).toHaveLength(20_002)
  })

  it('tells services apart as long as there is room, so that made-up names fill nothing', async () => {
    const { decisions, finish } = await openLog(database)
    for (let index = 0; index < 30_000; index++)
      decisions.note(decisionOf('10.0.0.1', { outcome: 'limited', service: `made-up-${index}` }))
    const rows = await finish()
    expect([rows.length, total(rows)]).toEqual([21_001, 30_000])
    expect(rows.filter(({ service }) => service === '').map(({ count }) => count)).toEqual([9000])
  })

  it('keeps what the spool has no room for, adds seconds up where it takes long, and brings all of it in later', async () => {
    const { decisions, clock, spool, metric, stored, finish } = await openLog(database, {
      maxBytes: 20_000,
      isStarted: false,
    })
    decisions.start()
    for (let second = 0; second < 200; second++) {
      for (let client = 0; client < 50; client++) {
        decisions.note(decisionOf(address(client), { outcome: 'limited' }))
        decisions.note(decisionOf(address(client)))
      }
      clock.now += 1000
      if (second === 0) await expect.poll(() => spool.state().rows).toBeGreaterThan(0)
    }
    // One record of 100 rows fits, not two; no more than 60 seconds are kept apart.
    await expect.poll(() => metric('vedette_decisions_folded_total', 'without="second"')).toBeGreaterThan(0)
    await expect.poll(() => metric('vedette_decision_log_waiting_rows')).toBeLessThanOrEqual(60 * 100)
    expect(spool.state().rows).toBe(100)
    spool.start()
    await expect.poll(async () => total(await stored()), { timeout: 20_000 }).toBe(20_000)
    const rows = await finish()
    expect(total(rows)).toBe(20_000)
    expect(new Set(rows.map(({ timestamp }) => timestamp)).size).toBeGreaterThan(30)
    for (const outcome of ['allowed', 'limited'])
      expect(total(rows.filter((row) => row.outcome === outcome && row.counted === address(7)))).toBe(200)
    expect(await metric('vedette_decisions_folded_total', 'without="client"')).toBe(0)
  })
})
