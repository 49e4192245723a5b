import { readdirSync, readFileSync } from 'node:fs'

import {
  buildSchema,
  type GraphQLNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  isSpecifiedScalarType,
} from 'graphql'
import { beforeAll, describe, expect, it } from 'vitest'

import { printSchema } from '../../src/graphql/index.ts'
import { SCOPES } from '../../src/http/index.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { insertDecisions } from '../support/decisions.ts'
import { insertLogs } from '../support/request-logs.ts'
import { makeRows } from '../analytics/naive.ts'
import { testGraphql } from './support.ts'

const database = testDatabase()
const api = testGraphql(database)
const file = (path: string): string => readFileSync(new URL(`../../schema/${path}`, import.meta.url), 'utf8')
const schema = buildSchema(printSchema())
const own = Object.values(schema.getTypeMap()).filter(
  (type) => !type.name.startsWith('__') && !isSpecifiedScalarType(type),
)

it('schema/schema.graphql is what the code makes; npm run schema writes it', () => {
  expect(file('schema.graphql')).toBe(printSchema())
})

it('describes everything that is public', () => {
  const missing = own.flatMap((type: GraphQLNamedType) => {
    const fields =
      isObjectType(type) || isInterfaceType(type) || isInputObjectType(type) ? Object.values(type.getFields()) : []
    const args =
      isObjectType(type) || isInterfaceType(type)
        ? Object.values(type.getFields()).flatMap((field) =>
            field.args.map((arg) => ({ name: `${field.name}(${arg.name})`, description: arg.description })),
          )
        : []
    const values = isEnumType(type) ? type.getValues() : []
    return [{ name: '', description: type.description }, ...fields, ...args, ...values]
      .filter(({ description }) => !description)
      .map(({ name }) => `${type.name}.${name}`)
  })
  expect(missing).toEqual([])
})

describe('scopes', () => {
  /** A query for each root field, with what it needs. */
  const ROOTS: Record<string, { query: string; scope: string | null }> = {
    viewer: { query: '{ viewer { timezone } }', scope: null },
    requestAnalytics: {
      query: '{ requestAnalytics(timeRange: { last: "1h" }) { rows { requests } } }',
      scope: 'ANALYTICS_READ',
    },
    dimensionValues: {
      query: '{ dimensionValues(dimension: PATH, timeRange: { last: "1h" }) { value } }',
      scope: 'ANALYTICS_READ',
    },
    estimate: { query: '{ estimate(timeRange: { last: "1h" }) { allowed } }', scope: 'ANALYTICS_READ' },
    requestLogs: { query: '{ requestLogs(timeRange: { last: "1h" }) { nodes { path } } }', scope: 'LOGS_READ' },
    rateLimitPolicies: { query: '{ rateLimitPolicies { id } }', scope: 'SECURITY_READ' },
    saveRateLimitPolicy: {
      query: 'mutation { saveRateLimitPolicy(input: {}) { userErrors { code } } }',
      scope: 'SECURITY_WRITE',
    },
    deleteRateLimitPolicy: {
      query: 'mutation { deleteRateLimitPolicy(id: "pol_none") { userErrors { code } } }',
      scope: 'SECURITY_WRITE',
    },
    rateLimitEffectiveness: {
      query: '{ rateLimitEffectiveness(timeRange: { last: "1h" }) { totals { evaluated } } }',
      scope: 'SECURITY_READ',
    },
    backtestRateLimit: {
      query: '{ backtestRateLimit(policy: { limit: 5, windowSeconds: 60 }, timeRange: { last: "1h" }) { evaluated } }',
      scope: 'SECURITY_READ',
    },
    blockList: { query: '{ blockList { totalCount } }', scope: 'SECURITY_READ' },
    addBlockListEntry: {
      query: 'mutation { addBlockListEntry(input: { cidr: "10.0.0.1", reason: "" }) { userErrors { code } } }',
      scope: 'SECURITY_WRITE',
    },
    removeBlockListEntry: {
      query: 'mutation { removeBlockListEntry(id: "blk_none") { userErrors { code } } }',
      scope: 'SECURITY_WRITE',
    },
    detectors: { query: '{ detectors { id } }', scope: 'SECURITY_READ' },
    detectorExceptions: { query: '{ detectorExceptions { id } }', scope: 'SECURITY_READ' },
    backtestDetector: {
      query: '{ backtestDetector(id: "not_found_probing", timeRange: { last: "1d" }) { windows } }',
      scope: 'SECURITY_READ',
    },
    setDetector: { query: 'mutation { setDetector(id: "none") { userErrors { code } } }', scope: 'SECURITY_WRITE' },
    addDetectorException: {
      query: 'mutation { addDetectorException(input: { note: "" }) { userErrors { code } } }',
      scope: 'SECURITY_WRITE',
    },
    removeDetectorException: {
      query: 'mutation { removeDetectorException(id: "exc_none") { userErrors { code } } }',
      scope: 'SECURITY_WRITE',
    },
    suspiciousIps: { query: '{ suspiciousIps { totalCount nodes { id } } }', scope: 'SECURITY_READ' },
    campaigns: { query: '{ campaigns(timeRange: { last: "1d" }) { nodes { id } } }', scope: 'SECURITY_READ' },
    ipReport: {
      query: '{ ipReport(ip: "192.0.2.1", timeRange: { last: "1d" }) { metrics { requests } } }',
      scope: 'SECURITY_READ',
    },
    reviewSuspiciousIps: {
      query: 'mutation { reviewSuspiciousIps(input: { ids: [], status: OPEN }) { userErrors { code } } }',
      scope: 'SECURITY_WRITE',
    },
    node: { query: '{ node(id: "log_x") { id } }', scope: 'LOGS_READ' },
    jobs: { query: '{ jobs { name } }', scope: 'ADMIN' },
    jobRuns: { query: '{ jobRuns { totalCount } }', scope: 'ADMIN' },
    runJob: { query: 'mutation { runJob(job: "none") { userErrors { code } } }', scope: 'ADMIN' },
    securityReports: {
      query: '{ securityReports(first: 2) { nodes { id kind periodFrom url } } }',
      scope: 'REPORTS_READ',
    },
    reportSubscriptions: { query: '{ reportSubscriptions { totalCount } }', scope: 'REPORTS_READ' },
    saveReportSubscription: {
      query: 'mutation { saveReportSubscription(input: { name: "" }) { userErrors { code } } }',
      scope: 'REPORTS_WRITE',
    },
    deleteReportSubscription: {
      query: 'mutation { deleteReportSubscription(id: "sub_none") { userErrors { code } } }',
      scope: 'REPORTS_WRITE',
    },
    sendTestReport: {
      query: 'mutation { sendTestReport(id: "sub_none", recipient: "a@example.com") { userErrors { code } } }',
      scope: 'REPORTS_WRITE',
    },
    apiKeys: { query: '{ apiKeys { nodes { id } } }', scope: 'ADMIN' },
    createApiKey: { query: 'mutation { createApiKey(name: "", scopes: []) { userErrors { code } } }', scope: 'ADMIN' },
    revokeApiKey: { query: 'mutation { revokeApiKey(id: "key_none") { userErrors { code } } }', scope: 'ADMIN' },
  }

  it('are known here for every root field', () => {
    const roots = [schema.getQueryType(), schema.getMutationType()].flatMap((type) => Object.keys(type!.getFields()))
    expect(Object.keys(ROOTS).toSorted()).toEqual(roots.toSorted())
  })

  it.each(Object.entries(ROOTS))('%s is for its scope and ADMIN, and for no other', async (_name, { query, scope }) => {
    for (const held of SCOPES) {
      const answer = await api.ask(query, { secret: await api.key([held]) })
      if (scope === null || held === scope || held === 'ADMIN')
        expect([held, answer.status, answer.json.errors]).toEqual([held, 200, undefined])
      else {
        expect([held, answer.status]).toEqual([held, 403])
        expect(answer.json.errors[0]).toMatchObject({
          message: expect.stringContaining(`scope ${scope}`),
          extensions: { code: 'FORBIDDEN', scope },
        })
      }
    }
  })

  it('hide the statements from all but ADMIN, and the rest of meta from none', async () => {
    const query = '{ requestAnalytics(timeRange: { last: "1h" }) { rows { requests } meta { rowsRead sql } } }'
    const reader = await api.ask(query, { secret: await api.key(['ANALYTICS_READ']) })
    expect(reader.json.data.requestAnalytics.meta).toEqual({ rowsRead: expect.any(Number), sql: null })
    expect(reader.json.errors[0].extensions).toMatchObject({ code: 'FORBIDDEN', scope: 'ADMIN' })
    const admin = await api.ask(query)
    expect(admin.json.data.requestAnalytics.meta.sql).toMatch(/^SELECT count\(\)/)
  })
})

const at = (value: unknown, path: string): unknown =>
  path.split('.').reduce((inner, key) => (inner as Record<string, unknown>)[key], value)

describe('example operations', () => {
  const folder = new URL('../../schema/examples/', import.meta.url)
  const names = readdirSync(folder)

  beforeAll(async () => {
    const now = Date.now()
    await insertLogs(database.clickhouse, makeRows(2_000, new Date(now - 20 * 3_600_000), new Date(now - 60_000), 9))
    const failed = Array.from({ length: 30 }, (_, row) => ({
      timestamp: new Date(now - 3_600_000 - row),
      ip: '203.0.113.9',
      batch: 8,
      row,
      path: '/wp-login.php',
      status: 401,
    }))
    await insertLogs(database.clickhouse, failed)
    const minutes = (ago: number) => new Date(now - ago * 60_000)
    await insertDecisions(database.clickhouse, [
      { timestamp: minutes(60), outcome: 'limited', ip: '203.0.113.9', count: 25 },
      { timestamp: minutes(60), outcome: 'allowed', row: 1, count: 2_000 },
    ])
  })

  it.each(names.filter((name) => name.endsWith('.graphql')))('%s answers with rows', async (name) => {
    const answer = await api.ask(file(`examples/${name}`), { format: 'csv' })
    expect(answer.status).toBe(200)
    const lines = answer.text.split('\r\n')
    expect(lines.length).toBeGreaterThan(1)
    const whole = await api.ask(file(`examples/${name}`))
    expect(whole.json.errors).toBeUndefined()
  })

  interface Recipe {
    request: {
      url: string
      method: string
      headers?: Record<string, string>
      search?: Record<string, string>
      body?: { query: string; variables?: Record<string, string | null> }
    }
    infinity?: {
      root_selector: string
      columns?: { selector: string; type: string }[]
      pagination_cursor_path?: string
    }
  }
  const recipe = (name: string) => JSON.parse(file(`examples/${name}`)) as Recipe

  /** As the tool sends it: Grafana fills in its own variables first, and sends times in ms. */
  const send = async ({ request }: Recipe, more: Record<string, string | null> = {}) => {
    const now = Date.now()
    const grafana: Record<string, string> = {
      '${__from}': String(now - 86_400_000),
      '${__to}': String(now),
      '${__interval}': '1h',
    }
    const variables = Object.fromEntries(
      Object.entries({ ...request.body?.variables, ...more }).map(([key, value]) => [key, grafana[value!] ?? value]),
    )
    const basic = `Basic ${Buffer.from(`any:${await api.key(['ANALYTICS_READ', 'LOGS_READ'])}`).toString('base64')}`
    const search = request.search ? `?${new URLSearchParams(request.search)}` : ''
    return api.send(request.url + search, {
      method: request.method,
      headers: { ...request.headers, authorization: basic },
      ...(request.body ? { body: JSON.stringify({ ...request.body, variables }) } : {}),
    })
  }

  it('Grafana gets a time series with the columns it names', async () => {
    const example = recipe('grafana-infinity.json')
    const answer = await send(example)
    const rows = at(answer.json, example.infinity!.root_selector) as Record<string, unknown>[]
    expect(rows.length).toBeGreaterThan(24)
    for (const { selector, type } of example.infinity!.columns!) {
      const known = rows.map((row) => row[selector]).filter((value) => value !== null)
      expect(known.length).toBeGreaterThan(0)
      for (const value of known) {
        if (type === 'timestamp') expect(value).toMatch(/^\d{4}-\d\d-\d\dT\d\d:00:00\.000Z$/)
        else expect(typeof value).toBe(type)
      }
    }
  })

  it('Grafana follows the pages until the cursor is null', async () => {
    const example = recipe('grafana-infinity-pages.json')
    const rows: unknown[] = []
    let pages = 0
    for (let cursor: string | null = null; pages === 0 || cursor !== null; pages++) {
      const answer = await send(example, { cursor })
      rows.push(...(at(answer.json, example.infinity!.root_selector) as unknown[]))
      cursor = at(answer.json, example.infinity!.pagination_cursor_path!) as string | null
    }
    expect([rows.length, pages]).toEqual([2_030, 5])
  })

  it.each([
    ['power-bi.json', 'bucketStart,service,statusClass,requests,responseBytes,durationMsP95'],
    ['excel.json', 'timestamp,service,method,path,statusCode,durationMs,clientIp,clientCountry,userAgent'],
  ])('%s gets CSV by GET with Basic', async (name, header) => {
    const answer = await send(recipe(name))
    expect([answer.status, answer.type]).toEqual([200, 'text/csv; charset=utf-8; header=present'])
    expect(answer.text.split('\r\n')[0]).toBe(header)
    expect(answer.text.split('\r\n').length).toBeGreaterThan(10)
  })

  it('metabase-curl.json gets NDJSON', async () => {
    const answer = await send(recipe('metabase-curl.json'))
    expect(answer.type).toBe('application/x-ndjson; charset=utf-8')
    const rows = answer.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(Object.keys(rows[0]!)).toEqual(['clientCountry', 'userAgentFamily', 'requests', 'errors', 'uniqClientIps'])
    expect(rows.reduce((sum, row) => sum + Number(row['requests']), 0)).toBe(2_030)
  })

  it('are each run here', () => {
    const run = [
      'excel.json',
      'grafana-infinity-pages.json',
      'grafana-infinity.json',
      'metabase-curl.json',
      'power-bi.json',
    ]
    expect(names.filter((name) => !name.endsWith('.graphql')).toSorted()).toEqual(run)
  })
})
