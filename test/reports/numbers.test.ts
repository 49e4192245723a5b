import { buildSchema, parse, validate } from 'graphql'
import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'

import { raw } from '../../src/clickhouse/index.ts'
import { QUESTION_NAMES, questionOf, SEVERITIES, severitiesFrom } from '../../src/reports/build/index.ts'
import type { Report, ReportScope, Section } from '../../src/reports/types.ts'
import { testGraphql } from '../graphql/support.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { testBuilder } from './builder.ts'
import { at, CLOSED, feedHours, FIRST, LAST, MIDDLE, SCOPE } from './demo-hours.ts'

const database = testDatabase()
const api = testGraphql(database)
const ready = testBuilder(database)
let report: Report
type Row = Report['sections'][number]['tables'][number]['rows'][number]

beforeAll(async () => {
  const { clickhouse } = database
  const { builder, detection, redis } = ready()
  await feedHours(clickhouse, redis, detection)
  const { suspicious } = detection
  const { edges } = await suspicious
    .list({ lastSeen: SCOPE.period, first: 3 }, { services: null, comment: 'test' })
    .page()
  const [one, two, three] = edges.map(({ node }) => node.id) as [string, string, string]
  await suspicious.review([one, two], { status: 'CONFIRMED' }, { by: 'test' })
  await suspicious.review([three], { status: 'FALSE_POSITIVE' }, { by: 'test' })
  report = await builder.build(SCOPE)
})

const section = (id: string, of = report): Section => of.sections.find((section) => section.id === id)!
const figure = (id: string, label: string, of = report) =>
  section(id, of).figures.find((figure) => figure.label === label)!
const values = (id: string, of = report): [string, number | null, number | null][] =>
  section(id, of).figures.map(({ label, value, previous }) => [label, value, previous])

const ask = async (query: string) => {
  const { json } = await api.ask(query)
  expect(json.errors).toBeUndefined()
  return json.data
}
const one = async <Row extends object>(text: string): Promise<Row> =>
  (await database.clickhouse.query<Row>(raw(text))).rows[0]!

const iso = (date: Date): string => date.toISOString()
const range = (from: Date, to: Date): string => `{ from: "${iso(from)}", to: "${iso(to)}" }`
const compared = `timeRange: ${range(MIDDLE, LAST)}, compareTo: { custom: ${range(FIRST, MIDDLE)} }`
const between = (from: Date, to: Date, column = 'timestamp'): string =>
  `${column} >= '${iso(from).slice(0, 19)}' AND ${column} < '${iso(to).slice(0, 19)}'`

describe('every number of a report is that of GraphQL and of a query of its own for the same window', () => {
  it('requests, errors, percentile and addresses', async () => {
    const { requestAnalytics } = await ask(
      `{ requestAnalytics(${compared}) { totals { requests errors errorRate durationMsP95 uniqClientIps } previousTotals { requests errors errorRate durationMsP95 uniqClientIps } } }`,
    )
    const { totals, previousTotals } = requestAnalytics
    const told = (of: typeof totals) => [of.requests, of.errors, of.errorRate, of.durationMsP95, of.uniqClientIps]
    expect(
      section('request-volume')
        .figures.slice(0, 5)
        .map(({ value }) => value),
    ).toEqual(told(totals))
    expect(
      section('request-volume')
        .figures.slice(0, 5)
        .map(({ previous }) => previous),
    ).toEqual(told(previousTotals))
    const own = await one<{ now: number; then: number; errors: number; addresses: number }>(
      `SELECT toUInt32(countIf(${between(MIDDLE, LAST)})) AS now, toUInt32(countIf(${between(FIRST, MIDDLE)})) AS then, toUInt32(countIf(status_code >= 400 AND ${between(MIDDLE, LAST)})) AS errors, toUInt32(uniqExactIf(ip, ${between(MIDDLE, LAST)})) AS addresses FROM request_logs`,
    )
    expect(own.now).toBeGreaterThan(300)
    expect(figure('request-volume', 'Requests')).toMatchObject({ value: own.now, previous: own.then })
    expect(figure('request-volume', 'Errors').value).toBe(own.errors)
    expect(figure('request-volume', 'Client addresses').value).toBe(own.addresses)
  })

  it('requests by service and by the hour', async () => {
    const { services, hours } = await ask(`{
      services: requestAnalytics(groupBy: [SERVICE], ${compared}) { rows { service requests errors durationMsP95 uniqClientIps previous { requests } } }
      hours: requestAnalytics(bucket: { granularity: HOUR }, ${compared}) { rows { bucketStart requests previous { requests } } }
    }`)
    expect(section('request-volume').tables[0]!.rows).toEqual(
      services.rows.map((row: any) => ({
        service: row.service,
        requests: row.requests,
        previous: row.previous.requests,
        errors: row.errors,
        errorRate: row.requests > 0 ? row.errors / row.requests : null,
        p95: row.durationMsP95,
        addresses: row.uniqClientIps,
      })),
    )
    const [chart] = section('request-volume').charts
    expect(chart!.categories.map((start) => (start as Date).toISOString())).toEqual(
      hours.rows.map(({ bucketStart }: any) => bucketStart),
    )
    expect(chart!.series[0]!.values).toEqual(hours.rows.map(({ requests }: any) => requests))
    expect(figure('request-volume', 'Requests in the busiest hour').value).toBe(
      Math.max(...hours.rows.map(({ requests }: any) => requests)),
    )
  })

  it('countries, with those that are new', async () => {
    const { requestAnalytics } = await ask(
      `{ requestAnalytics(groupBy: [CLIENT_COUNTRY], ${compared}) { rows { clientCountry requests errors previous { requests } } } }`,
    )
    const rows = section('geography').tables[0]!.rows
    expect(
      rows.map(({ country, requests, errors, previous }) => [
        country === 'Unknown' ? null : country,
        requests,
        errors,
        previous,
      ]),
    ).toEqual(
      requestAnalytics.rows.map((row: any) => [
        row.clientCountry || null,
        row.requests,
        row.errors,
        row.previous.requests,
      ]),
    )
    expect(rows.filter(({ isNew }) => isNew === 'new').map(({ country }) => country)).toEqual(['BR'])
    expect(figure('geography', 'New countries').value).toBe(1)
  })

  it('server errors by route', async () => {
    const { requestAnalytics } = await ask(
      `{ requestAnalytics(groupBy: [SERVICE, ROUTE], limit: 1000, ${compared}) { rows { service route requests serverErrorRate } } }`,
    )
    const failing = requestAnalytics.rows
      .filter(({ serverErrorRate }: any) => serverErrorRate > 0)
      .map((row: any) => [row.service, row.route || '(no route named)', Math.round(row.requests * row.serverErrorRate)])
    const rows = section('errors').tables[0]!.rows.filter(({ errors }) => (errors as number) > 0)
    expect(new Set(rows.map((row) => [row['service'], row['route'], row['errors']].join(' ')))).toEqual(
      new Set(failing.map((row: unknown[]) => row.join(' '))),
    )
    expect(failing).toContainEqual(['shop', '/basket/:id', 5])
    expect(rows.find(({ route }) => route === '/basket/:id')).toMatchObject({ previous: 0, isNew: 'new' })
    const own = await one<{ now: number; then: number }>(
      `SELECT toUInt32(countIf(${between(MIDDLE, LAST)})) AS now, toUInt32(countIf(${between(FIRST, MIDDLE)})) AS then FROM request_logs WHERE status_code >= 500`,
    )
    expect(figure('errors', 'Server errors (5xx)')).toMatchObject({ value: own.now, previous: own.then })
  })

  it('suspicious addresses by severity, in campaigns and alone', async () => {
    const data = await ask(`{
      now: suspiciousIps(where: { lastSeen: ${range(MIDDLE, LAST)} }, first: 1000) { totalCount nodes { ip score severity detectorIds requests isBlocked review { status } } }
      before: suspiciousIps(where: { lastSeen: ${range(FIRST, MIDDLE)} }) { totalCount }
      campaigns(timeRange: ${range(MIDDLE, LAST)}) { nodes { summary ips requests } }
    }`)
    expect(data.now.totalCount).toBeGreaterThan(6)
    expect(figure('suspicious-addresses', 'Flagged addresses')).toMatchObject({
      value: data.now.totalCount,
      previous: data.before.totalCount,
    })
    for (const [label, severity] of [
      ['Critical', 'CRITICAL'],
      ['High', 'HIGH'],
      ['Medium', 'MEDIUM'],
      ['Low', 'LOW'],
    ])
      expect(figure('suspicious-addresses', label!).value).toBe(
        data.now.nodes.filter((node: any) => node.severity === severity).length,
      )
    const [campaigns, alone] = section('suspicious-addresses').tables.map(({ rows }) => rows) as [Row[], Row[]]
    // Of addresses flagged in these hours some were seen only before, by detectors that look back; who has no other is no news.
    const listed = new Set(data.now.nodes.map(({ ip }: any) => ip))
    const told = data.campaigns.nodes.filter(({ ips }: any) => ips.some((ip: string) => listed.has(ip)))
    expect(campaigns.length).toBeGreaterThan(0)
    expect(new Set(campaigns.map((row) => JSON.stringify([row['campaign'], row['members'], row['requests']])))).toEqual(
      new Set(told.map((node: any) => JSON.stringify([node.summary, node.ips, node.requests]))),
    )
    const grouped = new Set(data.campaigns.nodes.flatMap(({ ips }: any) => ips))
    expect(
      alone.map((row) => [
        row['address'],
        row['score'],
        row['severity'],
        row['detectors'],
        row['requests'],
        row['status'],
      ]),
    ).toEqual(
      data.now.nodes
        .filter(({ ip }: any) => !grouped.has(ip))
        .map((node: any) => [node.ip, node.score, node.severity, node.detectorIds, node.requests, node.review.status]),
    )
    const own = await one<{ addresses: number }>(
      `SELECT toUInt32(uniqExact(address)) AS addresses FROM findings WHERE mode != 'REPORT_ONLY' AND ${between(MIDDLE, LAST, 'hour')} AND last_seen >= '${iso(MIDDLE).slice(0, 19)}'`,
    )
    expect(data.now.totalCount).toBe(own.addresses)
  })

  it('findings and precision by detector', async () => {
    const names = new Map<string, any>()
    await expect
      .poll(async () => {
        const { detectors } = await ask(
          `{ detectors { name detections(timeRange: ${range(MIDDLE, LAST)}) confirmed falsePositives precision precisionInterval { low high } } }`,
        )
        for (const detector of detectors) names.set(detector.name, detector)
        return detectors.reduce((sum: number, { confirmed }: any) => sum + confirmed, 0)
      })
      .toBeGreaterThan(0)
    const { rows } = section('anomaly-detection').tables[0]!
    expect(rows.length).toBeGreaterThan(5)
    for (const row of rows) {
      const told = names.get(row['detector'] as string)
      expect([
        row['detector'],
        row['findings'],
        row['confirmed'],
        row['falsePositives'],
        row['precision'],
        row['low'],
        row['high'],
      ]).toEqual([
        told.name,
        told.detections,
        told.confirmed,
        told.falsePositives,
        told.precision,
        told.precisionInterval?.low ?? null,
        told.precisionInterval?.high ?? null,
      ])
      expect(row['note']).toBe(
        (row['confirmed'] as number) + (row['falsePositives'] as number) > 0 ? 'few verdicts' : 'no verdicts',
      )
    }
    const own = await one<{ now: number; then: number }>(
      `SELECT toUInt32(countIf(${between(MIDDLE, LAST, 'hour')})) AS now, toUInt32(countIf(${between(FIRST, MIDDLE, 'hour')})) AS then FROM findings`,
    )
    expect(figure('anomaly-detection', 'Findings')).toMatchObject({ value: own.now, previous: own.then })
    expect(figure('anomaly-detection', 'Precision (few verdicts)').value).toBe(2 / 3)
    expect(figure('anomaly-detection', 'Share of flagged addresses reviewed').value).toBeGreaterThan(0)
  })

  it('rate limits and what the block list kept out', async () => {
    const { rateLimitEffectiveness } = await ask(
      `{ rateLimitEffectiveness(timeRange: ${range(MIDDLE, LAST)}) { totals { evaluated limited limitedRate shadowLimited uniqLimitedClients repeatOffenders passedAfterLimit limitedConfirmedAbusive limitedFalsePositive blocked } } }`,
    )
    const { blocked, ...totals } = rateLimitEffectiveness.totals
    expect(section('rate-limits').figures.map(({ value }) => value)).toEqual(Object.values(totals))
    expect(totals).toMatchObject({ evaluated: 110, limited: 9, repeatOffenders: 1, passedAfterLimit: 1 })
    expect(section('rate-limits').charts[0]!.series[0]!.values).toEqual([9, 0])
    expect(figure('blocks', 'Requests denied by the block list').value).toBe(blocked)
    expect(blocked).toBe(5)
  })

  it('hours that were closed and those that were not', async () => {
    expect(values('pipeline')).toEqual([
      ['Hours closed', 1, 1],
      ['Closed again for late rows', 0, 0],
      ['Failed', 0, 0],
      ['Not closed', 1, null],
      [
        'Rows received in these hours',
        ...(await Promise.all(
          [
            [MIDDLE, CLOSED],
            [FIRST, MIDDLE],
          ].map(
            async ([from, to]) =>
              (
                await one<{ rows: number }>(
                  `SELECT toUInt32(count()) AS rows FROM request_logs WHERE ${between(from!, to!)}`,
                )
              ).rows,
          ),
        )),
      ],
    ])
    expect(report.headline).toMatch(
      /^\d+ addresses? of \w+ severity, requests (?:up|down) [\d.]+ %, 1 hour not closed$/,
    )
  })
})

it('counts to the second where a zone is half an hour off, and for some services alone', async () => {
  const [from, middle, to] = [at(9.5), at(10.5), at(11.5)]
  const scope: ReportScope = {
    ...SCOPE,
    period: { from: middle, to },
    previous: { from, to: middle },
    timezone: 'Asia/Kolkata',
    services: ['shop'],
  }
  const half = await ready().builder.build(scope)
  const { requestAnalytics } = await ask(
    `{ requestAnalytics(timeRange: ${range(middle, to)}, compareTo: { custom: ${range(from, middle)} }, where: { service: { in: ["shop"] } }) { totals { requests errors durationMsP95 } previousTotals { requests } } }`,
  )
  expect(figure('request-volume', 'Requests', half)).toMatchObject({
    value: requestAnalytics.totals.requests,
    previous: requestAnalytics.previousTotals.requests,
  })
  expect(requestAnalytics.totals.requests).toBeGreaterThan(20)
  expect(figure('request-volume', '95 % of answers within', half).value).toBe(requestAnalytics.totals.durationMsP95)
  expect(section('request-volume', half).charts[0]!.series[0]!.values).toEqual([requestAnalytics.totals.requests])
  expect(section('request-volume', half).tables[0]!.rows.map(({ service }) => service)).toEqual(['shop'])
})

it('leads each number to a question that GraphQL understands', () => {
  const schema = buildSchema(readFileSync(new URL('../../schema/schema.graphql', import.meta.url), 'utf8'))
  const scopes: ReportScope[] = [SCOPE, { ...SCOPE, services: ['shop', '"a\\"'] }]
  for (const scope of scopes)
    for (const least of SEVERITIES)
      for (const name of QUESTION_NAMES)
        expect(validate(schema, parse(questionOf(name, scope, severitiesFrom(least))))).toEqual([])
  const asked = report.sections.flatMap(({ figures, tables }) =>
    [...figures, ...tables].map(({ link }) => /\/look\/(\w+)/.exec(link)?.[1]),
  )
  expect(new Set(asked)).toEqual(new Set(QUESTION_NAMES))
})

it('is the same report, in all but the time of its making, when it is built again', async () => {
  const { generatedAt: _, ...again } = await ready().builder.build(SCOPE)
  const { generatedAt: __, ...first } = report
  expect(again).toEqual(first)
  expect(report.id).toMatch(/^rep_[\w-]{16}$/)
})
