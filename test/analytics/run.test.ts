import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { createAnalytics, LIMITS, LOG_FIELDS } from '../../src/analytics/index.ts'
import { createRunner } from '../../src/analytics/run.ts'
import { createClickHouse, sql } from '../../src/clickhouse/index.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'

const database = testDatabase()
const asker = { services: null, comment: 'test' }
const timeRange = { from: new Date('2026-05-01'), to: new Date('2026-05-03') }
const ROWS = 2_500_000

beforeAll(() =>
  database.clickhouse.command(
    sql`INSERT INTO request_logs (timestamp, ingested_at, batch, row, service, path, status_code, ip) SELECT toDateTime64('2026-05-01 00:00:00', 3, 'UTC') + number * 0.05, now(), 1, number, 'shop', concat('/', toString(number % 10)), 200, toIPv6(concat('10.0.', toString(number % 200), '.1')) FROM numbers(${ROWS})`,
  ),
)

it('estimates the number of rows from a sixteenth of them where there are millions', async () => {
  const analytics = createAnalytics({ clickhouse: database.clickhouse })
  const query = analytics.requestLogs({ timeRange, fields: new Set(LOG_FIELDS), where: { path: { eq: '/3' } } }, asker)
  const estimate = await query.count('ESTIMATE')
  const estimated = query.spent.bytesRead
  // Each address has one path only here and lies in one place each hour, which is the worst for a sample of blocks.
  expect(Math.abs(estimate - ROWS / 10)).toBeLessThan(ROWS / 40)
  expect(await query.count('EXACT')).toBe(ROWS / 10)
  // The numbers of rows, 8 bytes each, are counted as read but made on the way.
  expect(estimated - 8 * ROWS).toBeLessThan((query.spent.bytesRead - estimated) / 8)
})

it('says what a question would read, by the index alone', async () => {
  const analytics = createAnalytics({ clickhouse: database.clickhouse })
  const hour = { from: new Date('2026-05-01T10:00:00Z'), to: new Date('2026-05-01T11:00:00Z') }
  const { allowed, reasons, rowsToRead } = await analytics.estimate({ timeRange: hour }, asker)
  expect({ allowed, reasons }).toEqual({ allowed: true, reasons: [] })
  // An hour holds 72,000; the index knows blocks of 8,192 rows, in a few parts.
  expect(rowsToRead).toBeGreaterThanOrEqual(72_000)
  expect(rowsToRead).toBeLessThan(250_000)
})

const runner = (limits: object) =>
  createRunner(database.clickhouse, () => crypto.randomUUID(), { ...LIMITS, ...limits })(asker)

describe('a statement that goes too far', () => {
  it('is refused for the rows it reads', async () => {
    const run = runner({ maxRowsToRead: 1_000 })
    await expect(run(sql`SELECT uniqExact(path) FROM request_logs`)).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
      message: expect.stringMatching(/more than 1000 rows.*shorter timeRange/),
    })
  })

  it('is refused for its memory', async () => {
    const run = runner({ maxMemoryBytes: 5_000_000 })
    await expect(run(sql`SELECT uniqExact(row, path) FROM request_logs`)).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
    })
  })

  it('is stopped at its time', async () => {
    const run = runner({ maxExecutionSeconds: 1 })
    const started = performance.now()
    await expect(run(sql`SELECT count() FROM request_logs WHERE sleep(1) = 0 AND path != ''`)).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringContaining('within 1 s'),
    })
    expect(performance.now() - started).toBeLessThan(10_000)
  })

  it('is cancelled when the asker leaves', async () => {
    const controller = new AbortController()
    const run = createRunner(database.clickhouse, () => crypto.randomUUID())({ ...asker, signal: controller.signal })
    const answer = run(sql`SELECT count() FROM request_logs WHERE sleep(1) = 0 AND path != ''`)
    controller.abort()
    await expect(answer).rejects.toMatchObject({ code: 'CANCELLED' })
  })
})

describe('a store that is away', () => {
  const server = createServer((_request, response) => response.destroy())
  let url: string
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    url = `http://u:p@127.0.0.1:${(server.address() as AddressInfo).port}/db`
  })
  afterAll(() => server.close())

  it('is UNAVAILABLE, without words of the driver', async () => {
    const clickhouse = await createClickHouse({ url, dataDir: '', log: silent })
    const analytics = createAnalytics({ clickhouse })
    await expect(
      analytics.requestAnalytics({ timeRange, selection: { rows: [{ field: 'requests' }] } }, asker),
    ).rejects.toMatchObject({ code: 'UNAVAILABLE', message: 'the store does not answer; try again in a few seconds' })
    await clickhouse.close()
  })
})
