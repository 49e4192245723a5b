import { beforeAll, describe, expect, it } from 'vitest'

import {
  type Analytics,
  createAnalytics,
  encodeLogId,
  LOG_FIELDS,
  LOG_ORDERS,
  type RequestFilter,
  type RequestLog,
} from '../../src/analytics/index.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { insertLogs, type LogRow, random } from '../support/request-logs.ts'

const database = testDatabase()
const asker = { services: null, comment: 'test' }
const fields = new Set(LOG_FIELDS)
const timeRange = { from: new Date('2026-05-01'), to: new Date('2026-06-01') }
let analytics: Analytics

const next = random(11)
/** Thousands of rows in one millisecond, from few addresses, in two batches with equal row numbers; others around them. */
const crowd: LogRow[] = Array.from({ length: 3_000 }, (_, index) => ({
  timestamp: new Date('2026-05-10T10:00:00.123Z'),
  ip: index % 3 === 0 ? `2001:db8::${index % 5}` : `10.0.0.${index % 7}`,
  batch: index % 2 === 0 ? 5 : 2 ** 40,
  row: Math.floor(index / 2),
  path: `/crowd/${index}`,
  durationMs: index % 4 === 0 ? null : index % 10,
}))
const spread: LogRow[] = Array.from({ length: 600 }, (_, row) => ({
  timestamp: new Date(Date.parse('2026-05-01') + Math.floor(next() * 31 * 86_400_000)),
  ip: `10.1.0.${Math.floor(next() * 250)}`,
  batch: 9,
  row,
  path: `/spread/${row}`,
  service: row % 2 === 0 ? 'shop' : 'blog',
  durationMs: Math.fround(next() * 1_000),
}))
const paths = [...crowd, ...spread].map(({ path }) => path!)

beforeAll(async () => {
  await insertLogs(database.clickhouse, crowd)
  await insertLogs(database.clickhouse, spread)
  await insertLogs(database.clickhouse, [
    { timestamp: new Date('2026-05-31T23:59:59.999Z'), ip: '10.0.0.1', batch: 10, path: '/last' },
  ])
  await insertLogs(database.clickhouse, [{ timestamp: timeRange.to, ip: '10.0.0.1', batch: 11, path: '/outside' }])
  paths.push('/last')
  analytics = createAnalytics({ clickhouse: database.clickhouse })
})

const page = (input: object) => analytics.requestLogs({ timeRange, fields, ...input }, asker).page()

/** All pages one after another, forwards or backwards. */
const collect = async (
  orderBy: (typeof LOG_ORDERS)[number],
  direction: 'forwards' | 'backwards',
  size: number,
): Promise<RequestLog[]> => {
  const nodes: RequestLog[] = []
  let cursor: string | undefined
  for (;;) {
    const isFirst = cursor === undefined
    const found = await page(
      direction === 'forwards' ? { orderBy, first: size, after: cursor } : { orderBy, last: size, before: cursor },
    )
    const shown = found.edges.map(({ node }) => node)
    if (direction === 'forwards') nodes.push(...shown)
    else nodes.unshift(...shown)
    const more = direction === 'forwards' ? found.hasNextPage : found.hasPreviousPage
    expect(direction === 'forwards' ? found.hasPreviousPage : found.hasNextPage).toBe(!isFirst)
    if (!more) return nodes
    expect(shown).toHaveLength(size)
    cursor = (direction === 'forwards' ? found.edges.at(-1) : found.edges[0])!.cursor
  }
}

describe.each(LOG_ORDERS)('pages of %s', (orderBy) => {
  it('bring every row exactly once, forwards and backwards, and in the same order', async () => {
    const forwards = await collect(orderBy, 'forwards', 271)
    expect(forwards.map(({ path }) => path).toSorted()).toEqual(paths.toSorted())
    const backwards = await collect(orderBy, 'backwards', 503)
    expect(backwards.map(({ path }) => path)).toEqual(forwards.map(({ path }) => path))
    const keys = forwards.map((log) =>
      orderBy === 'DURATION_DESC'
        ? -(log.durationMs ?? -1)
        : log.timestamp.getTime() * (orderBy === 'TIMESTAMP_ASC' ? 1 : -1),
    )
    expect(keys).toEqual(keys.toSorted((a, b) => a - b))
  })
})

it('a cursor goes on from its row also after newer rows came in', async () => {
  const first = await page({ first: 10 })
  await insertLogs(database.clickhouse, [
    { timestamp: new Date('2026-05-31T23:59:59.999Z'), ip: '10.0.0.2', batch: 12, path: '/newer', service: 'later' },
  ])
  const second = await page({ first: 10, after: first.edges.at(-1)!.cursor })
  const back = await page({ last: 10, before: second.edges[0]!.cursor })
  expect(back.edges.map(({ node }) => node.path)).toEqual(first.edges.map(({ node }) => node.path))
  paths.push('/newer')
})

it('the newest page reads an hour, and only an idle store is searched further back', async () => {
  const query = analytics.requestLogs(
    { timeRange: { from: timeRange.from, to: new Date('2026-05-10T10:30:00Z') }, fields, first: 100 },
    asker,
  )
  await query.page()
  expect(query.spent.statements).toHaveLength(1)
  const old = analytics.requestLogs(
    { timeRange: { from: new Date('2020-01-01'), to: new Date('2026-05-01') }, fields, first: 100 },
    asker,
  )
  expect((await old.page()).edges).toEqual([])
  expect(old.spent.statements.length).toBeLessThan(8)
})

it('counts exactly, and by estimate where that is cheap the same', async () => {
  const query = analytics.requestLogs({ timeRange, fields, where: { path: { startsWith: '/crowd/' } } }, asker)
  expect(await query.count('EXACT')).toBe(3_000)
  expect(await query.count('ESTIMATE')).toBe(3_000)
})

it('shows a row whole, IPv4 as IPv4 and absent values as null', async () => {
  const at = new Date('2026-07-01T10:00:00.001Z')
  await insertLogs(database.clickhouse, [
    {
      timestamp: at,
      ip: '192.0.2.7',
      batch: 20,
      row: 4,
      service: 's',
      host: 'h',
      method: 'PUT',
      path: '/ä?',
      route: '/r',
      query: 'q=1',
      protocol: 'HTTP/2',
      status: 418,
      durationMs: 12.3,
      requestBytes: 1,
      responseBytes: 2,
      country: 'DE',
      city: 'Köln',
      asn: 64_500,
      asOrganization: 'Org',
      userId: 'u',
      userAgent: 'a"b',
      referer: 'r',
      traceId: 't',
      action: 'challenged',
      policyId: 'p',
      attributes: { a: 1, b: 'x', c: true },
    },
    { timestamp: at, ip: '2001:db8::1', batch: 20, row: 5 },
  ])
  const { edges } = await page({ timeRange: { from: at, to: new Date('2026-07-02') }, orderBy: 'TIMESTAMP_ASC' })
  const [bare, full] = edges.map(({ node }) => node).toSorted((a, b) => b.position.row - a.position.row)
  expect(full).toMatchObject({
    timestamp: at,
    service: 's',
    host: 'h',
    method: 'PUT',
    path: '/ä?',
    route: '/r',
    query: 'q=1',
    protocol: 'HTTP/2',
    statusCode: 418,
    durationMs: 12.3,
    requestBytes: 1,
    responseBytes: 2,
    clientIp: '192.0.2.7',
    clientCountry: 'DE',
    clientCity: 'Köln',
    clientAsn: 64_500,
    clientAsOrganization: 'Org',
    userId: 'u',
    userAgent: 'a"b',
    referer: 'r',
    traceId: 't',
    action: 'CHALLENGED',
    policyId: 'p',
    attributes: { a: 1, b: 'x', c: true },
  })
  expect(bare).toMatchObject({
    clientIp: '2001:db8::1',
    host: null,
    route: null,
    durationMs: null,
    requestBytes: null,
    clientAsn: null,
    clientCountry: null,
    userAgent: null,
    policyId: null,
    attributes: null,
    action: 'ALLOWED',
  })
  expect(Math.abs(full!.ingestedAt.getTime() - Date.now())).toBeLessThan(60_000)
})

it('finds a row again by its id, reading next to nothing', async () => {
  const { edges } = await page({ first: 1, where: { path: { eq: '/crowd/1234' } } })
  const { node } = edges[0]!
  const id = encodeLogId(node.position)
  expect(await analytics.requestLog(id, fields, asker)).toEqual(node)
  expect(await analytics.requestLog(encodeLogId({ ...node.position, row: 999_999 }), fields, asker)).toBeUndefined()
  for (const wrong of ['', 'x', id.slice(1), `${id}A`, id.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))])
    expect(await analytics.requestLog(wrong, fields, asker)).toBeUndefined()
})

it('refuses cursors that were changed, cut or made for another order', async () => {
  const { cursor } = (await page({ first: 1 })).edges[0]!
  const middle = Math.floor(cursor.length / 2)
  const changed = cursor.slice(0, middle) + (cursor[middle] === 'A' ? 'B' : 'A') + cursor.slice(middle + 1)
  for (const after of ['', 'nonsense', cursor.slice(0, -1), `${cursor}=`, ` ${cursor}`, changed, '💥'])
    expect(() => analytics.requestLogs({ timeRange, fields, after }, asker)).toThrow(
      /after is .*; allowed is a cursor from an earlier answer/,
    )
  expect(() => analytics.requestLogs({ timeRange, fields, orderBy: 'DURATION_DESC', after: cursor }, asker)).toThrow(
    /cursor of order TIMESTAMP_DESC, but orderBy is DURATION_DESC/,
  )
})

it.each([
  [{ first: 0 }, 'first is 0; allowed is a whole number from 1 to 1000'],
  [{ first: 1_001 }, 'first is 1001'],
  [{ last: -1 }, 'last is -1'],
  [{ first: 1, last: 1 }, 'first and last are both given'],
  [{ first: 1, before: 'x' }, 'before goes with last'],
  [{ last: 1, after: 'x' }, 'after goes with first'],
])('refuses %j', (input, message) => {
  expect(() => analytics.requestLogs({ timeRange, fields, ...input }, asker)).toThrow(message)
})

it('a key that is bound to services sees nothing of others, whatever it asks', async () => {
  const bound = { services: ['blog'], comment: 'test' }
  const where: RequestFilter = { or: [{ service: { eq: 'shop' } }, { service: { eq: 'blog' } }] }
  const { edges } = await analytics.requestLogs({ timeRange, fields, where, first: 1_000 }, bound).page()
  expect(edges).toHaveLength(300)
  expect(new Set(edges.map(({ node }) => node.service))).toEqual(new Set(['blog']))
  expect(await analytics.requestLogs({ timeRange, fields }, bound).count('EXACT')).toBe(300)
  const values = await analytics.dimensionValues({ dimension: 'SERVICE', timeRange }, bound)
  expect(values).toEqual([{ value: 'blog', label: 'blog', requests: 300 }])
  const answer = await analytics.requestAnalytics(
    {
      timeRange,
      groupBy: ['SERVICE'],
      compareTo: {},
      selection: { rows: [{ field: 'requests' }], totals: [{ field: 'requests' }], others: [{ field: 'requests' }] },
    },
    bound,
  )
  expect(answer).toMatchObject({
    rows: [{ dimensions: { service: 'blog' } }],
    totals: { requests: 300 },
    others: null,
    totalGroups: 1,
  })
  const series = await analytics.requestAnalytics(
    { timeRange, bucket: { granularity: 'DAY' }, selection: { rows: [{ field: 'requests' }] } },
    bound,
  )
  expect(series.rows.reduce((sum, { values }) => sum + Number(values['requests']), 0)).toBe(300)
  const [foreign] = (await page({ first: 1, where: { path: { eq: '/crowd/1' } } })).edges
  expect(await analytics.requestLog(encodeLogId(foreign!.node.position), fields, bound)).toBeUndefined()
  const newest = spread.filter(({ service }) => service === 'blog').map(({ timestamp }) => timestamp.getTime())
  expect((await analytics.freshness(bound)).ingestedThrough!.getTime()).toBe(Math.max(...newest))
  expect((await analytics.freshness({ ...bound, services: ['none'] })).ingestedThrough).toBeNull()
  expect((await analytics.listLogs({ offset: 0, limit: 1, fields }, bound)).count).toBe(300)
  expect(await analytics.requestLogs({ timeRange, fields }, { ...bound, services: [] }).count('EXACT')).toBe(0)
})

it('lists by number what pages by cursor bring', async () => {
  const whole = { from: new Date('2020-01-01'), to: new Date('2030-01-01') }
  const { edges } = await page({ timeRange: whole, first: 1_000 })
  const wanted = edges.map(({ node }) => node.path)
  const listed: string[] = []
  for (let offset = 0; offset < 1_000; offset += 83) {
    const { rows } = await analytics.listLogs({ offset, limit: 83, fields }, asker)
    listed.push(...rows.map(({ path }) => path))
  }
  expect(listed.slice(0, 1_000)).toEqual(wanted)
  const { count, rows } = await analytics.listLogs({ offset: 10_000, limit: 83, fields }, asker)
  expect(rows).toEqual([])
  expect(count).toBe(await analytics.requestLogs({ timeRange: whole, fields }, asker).count('EXACT'))
})
