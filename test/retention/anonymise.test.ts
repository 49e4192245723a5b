import { randomUUID } from 'node:crypto'

import { beforeEach, describe, expect, test } from 'vitest'

import { raw, sql } from '../../src/clickhouse/index.ts'
import { createAnonymiser, oldestOpenAt } from '../../src/retention/anonymise.ts'
import { type Anonymising, createRetention } from '../../src/retention/index.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'
import { insertDecisions } from '../support/decisions.ts'
import { insertLogs } from '../support/request-logs.ts'

const store = testDatabase()

const NOW = Date.parse('2026-11-24T12:00:00Z')
const OLD = new Date('2026-11-10T09:30:00Z')
const OLDER = new Date('2026-11-09T23:59:59Z')
const RECENT = new Date('2026-11-20T09:30:00Z')
const SECRET = 'a secret of thirty-two characters or more'

const TRUNCATE = { afterDays: 7, by: 'truncate', secret: SECRET } as const
const HASH = { afterDays: 7, by: 'hash', secret: SECRET } as const

const IPS = ['203.0.113.77', '203.0.113.77', '198.51.100.0', '2001:db8:1:2::3', 'fd12::1']
const stamp = (date: Date): string => date.toISOString().slice(0, 19).replace('T', ' ')

/** Rows of old days and a recent one, in both tables. */
const fill = async (...old: readonly Date[]): Promise<void> => {
  const rows = [...old, RECENT].flatMap((timestamp) =>
    IPS.map((ip, row) =>
      JSON.stringify([
        stamp(timestamp),
        stamp(new Date()),
        timestamp.getUTCDate(),
        row,
        ip.includes(':') ? ip : `::ffff:${ip}`,
        row === 0 ? '' : `user-${row}`,
        48.2,
        16.4,
        'allowed',
      ]),
    ),
  )
  await store.clickhouse.insert({
    table: 'request_logs',
    columns: ['timestamp', 'ingested_at', 'batch', 'row', 'ip', 'user_id', 'latitude', 'longitude', 'action'],
    rows: Buffer.from(rows.join('\n')),
    deduplicationToken: randomUUID(),
  })
  await insertDecisions(
    store.clickhouse,
    [OLD, RECENT].flatMap((timestamp) =>
      [
        { ip: '203.0.113.77' },
        { ip: '2001:db8:1:2::3', counted: '2001:db8:1:2::/64' },
        { ip: '203.0.113.77', counted: 'user:42' },
        { count: 9 },
      ].map((row, index) => ({
        timestamp,
        outcome: 'limited' as const,
        batch: timestamp.getUTCDate(),
        row: index,
        ...row,
      })),
    ),
  )
}

const refill = async (...old: readonly Date[]): Promise<void> => {
  await store.empty('request_logs', 'decisions')
  await fill(...old)
}

const day = (date: Date): string => date.toISOString().slice(0, 10)

interface Log {
  row: number
  ip: string
  user_id: string
  latitude: number | null
}

const logsOf = async (date: Date): Promise<Log[]> =>
  (
    await store.clickhouse.query<Log>(
      sql`SELECT row, replaceOne(toString(ip), '::ffff:', '') AS ip, user_id, round(latitude, 1) AS latitude FROM request_logs WHERE toDate(timestamp) = toDate(${day(date)}) ORDER BY batch, row`,
    )
  ).rows

const decisionsOf = async (date: Date): Promise<{ ip: string; counted: string; count: number }[]> =>
  (
    await store.clickhouse.query<{ ip: string; counted: string; count: number }>(
      sql`SELECT replaceOne(toString(ip), '::ffff:', '') AS ip, counted, count FROM decisions WHERE toDate(timestamp) = toDate(${day(date)}) ORDER BY batch, row`,
    )
  ).rows

/** All steps, or as many as come before it is cut off. */
const run = async (anonymising: Anonymising, most = Number.POSITIVE_INFINITY): Promise<string[]> => {
  const steps = createAnonymiser(store.clickhouse, anonymising).steps(NOW)
  const names: string[] = []
  while (names.length < most) {
    const step = await steps.next()
    if (step.done) break
    names.push(step.value)
  }
  return names
}

/** All that there is, in an order. */
const all = async (): Promise<unknown> =>
  (
    await store.clickhouse.query(
      raw(`SELECT
        (SELECT arraySort(groupArray((toString(timestamp), batch, row, toString(ip), user_id, latitude, longitude))) FROM request_logs) AS logs,
        (SELECT arraySort(groupArray((toString(timestamp), batch, row, toString(ip), counted, count))) FROM decisions) AS decided,
        (SELECT groupArray(name) FROM system.tables WHERE database = currentDatabase() AND endsWith(name, '_aside')) AS aside`),
    )
  ).rows

beforeEach(async () => {
  await store.clickhouse.command(raw('DROP TABLE IF EXISTS request_logs_aside SYNC'))
  await store.clickhouse.command(raw('DROP TABLE IF EXISTS decisions_aside SYNC'))
  await refill(OLDER, OLD)
})

const TRUNCATED = [
  { row: 0, ip: '203.0.113.0', user_id: '', latitude: null },
  { row: 1, ip: '203.0.113.0', user_id: '', latitude: null },
  { row: 2, ip: '198.51.100.0', user_id: '', latitude: null },
  { row: 3, ip: '2001:db8:1::', user_id: '', latitude: null },
  { row: 4, ip: 'fd12::', user_id: '', latitude: null },
]

describe('truncating', () => {
  test('cuts addresses, empties users and drops coordinates of old days, and leaves recent ones alone', async () => {
    const before = await logsOf(RECENT)
    await run(TRUNCATE)
    expect(await logsOf(OLD)).toEqual(TRUNCATED)
    expect(await logsOf(OLDER)).toEqual(TRUNCATED)
    expect(await logsOf(RECENT)).toEqual(before)
    expect(before[0]).toMatchObject({ ip: '203.0.113.77', latitude: 48.2 })
    expect(await decisionsOf(OLD)).toEqual([
      { ip: '203.0.113.0', counted: '203.0.113.0/24', count: 1 },
      { ip: '2001:db8:1::', counted: '2001:db8:1::/48', count: 1 },
      { ip: '203.0.113.0', counted: '', count: 1 },
      { ip: '::', counted: '', count: 9 },
    ])
    expect((await decisionsOf(RECENT))[2]).toMatchObject({ counted: 'user:42' })
    // Nothing is left to do.
    expect(await run(TRUNCATE)).toEqual([])
  })
})

describe('hashing', () => {
  test('keeps the same address and user the same, tells them from true ones, and depends on the secret', async () => {
    await run(HASH)
    const rows = await logsOf(OLD)
    for (const { ip } of rows) expect(ip).toMatch(/^3fff:[0-9a-f]{1,2}:|^3fff::/)
    expect(rows[0]!.ip).toBe(rows[1]!.ip)
    expect(new Set(rows.map(({ ip }) => ip)).size).toBe(4)
    expect(rows[0]!.user_id).toBe('')
    expect(rows[1]!.user_id).toMatch(/^anon:[0-9a-f]{24}$/)
    expect(await logsOf(OLDER)).toEqual(rows)
    const [v4, v6, user, nobody] = await decisionsOf(OLD)
    expect(v4).toEqual({ ip: rows[0]!.ip, counted: rows[0]!.ip, count: 1 })
    expect(v6!.counted).toMatch(/^3fff:/)
    expect(user!.counted).toMatch(/^user:anon:[0-9a-f]{24}$/)
    expect(nobody).toEqual({ ip: '::', counted: '', count: 9 })
    expect(await run(HASH)).toEqual([])

    await refill(OLD)
    await run({ ...HASH, secret: `${SECRET}!` })
    expect((await logsOf(OLD))[0]!.ip).not.toBe(rows[0]!.ip)
  })
})

// Truncated, what is done is not told from what never was longer, which makes it the harder one.
test('cut off after any step, the next run ends as an undisturbed one', { timeout: 60_000 }, async () => {
  await refill(OLD)
  const { length } = await run(TRUNCATE)
  expect(length).toBe(8)
  const undisturbed = await all()
  expect(undisturbed).toMatchObject([{ aside: [] }])
  // All four of the first table, and one between the tables.
  for (let most = 1; most <= 5; most++) {
    await refill(OLD)
    await run(TRUNCATE, most)
    await run(TRUNCATE)
    expect(await all(), `cut off after step ${most}`).toEqual(undisturbed)
  }
})

test('cut off within a step, so that rows are in both places or half of them back, loses and doubles none', async () => {
  await run(TRUNCATE)
  const undisturbed = await all()
  await refill(OLDER, OLD)
  // Room aside and one day in it, which is in its place as well.
  await run(TRUNCATE, 2)
  await store.clickhouse.command(raw("ALTER TABLE request_logs ATTACH PARTITION ID '20261109' FROM request_logs_aside"))
  expect(await logsOf(OLDER)).toHaveLength(IPS.length)
  await run(TRUNCATE)
  expect(await all()).toEqual(undisturbed)

  await refill(OLDER, OLD)
  await run(TRUNCATE, 3)
  await store.clickhouse.command(
    raw(
      "ALTER TABLE request_logs DELETE WHERE toDate(timestamp) = '2026-11-09' AND row % 2 = 0 SETTINGS mutations_sync = 2",
    ),
  )
  await run(TRUNCATE)
  expect(await all()).toEqual(undisturbed)
})

test('late rows of an old day are done by the next run of the same process', async () => {
  const anonymiser = createAnonymiser(store.clickhouse, TRUNCATE)
  const through = async () => {
    const names = []
    for await (const name of anonymiser.steps(NOW)) names.push(name)
    return names
  }
  await through()
  expect(await through()).toEqual([])
  await insertLogs(store.clickhouse, [{ timestamp: OLD, ip: '203.0.113.99', batch: 99 }])
  expect(await through()).toContain('request_logs: 20261110 aside')
  expect((await logsOf(OLD)).map(({ ip }) => ip)).toContain('203.0.113.0')
  expect(await logsOf(OLD)).toHaveLength(6)
})

test('summaries by address of old days go, those of recent days and findings stay', async () => {
  for (const [table, hour] of [
    ['address_hours_by_run', OLD],
    ['address_hours_by_run', RECENT],
    ['findings_by_run', OLD],
  ] as const)
    await store.clickhouse.command(
      raw(`INSERT INTO ${table} (hour, run_id, address) VALUES ('${day(hour)} 09:00:00', 1, '::ffff:203.0.113.77')`),
    )
  await run(TRUNCATE)
  const { rows } = await store.clickhouse.query(raw('SELECT hour FROM address_hours_by_run'))
  expect(rows).toEqual([{ hour: `${day(RECENT)} 09:00:00` }])
  expect((await store.clickhouse.query(raw('SELECT hour FROM findings_by_run'))).rows).toHaveLength(1)
})

test('hours are closed to further runs before their rows are changed', () => {
  for (let hour = 0; hour < 48; hour++) {
    const now = NOW + hour * 3_600_000
    const open = oldestOpenAt(now, 7).getTime()
    expect(open).toBeLessThanOrEqual(now - 7 * 86_400_000)
    expect(open % 86_400_000).toBe(0)
    expect(oldestOpenAt(now - 2 * 3_600_000, 7).getTime()).toBeLessThanOrEqual(open)
  }
  const retention = createRetention({ clickhouse: store.clickhouse, log: silent })
  expect(retention.oldestOpen()).toEqual(new Date(0))
})
