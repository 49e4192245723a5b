import { beforeAll, describe, expect, it } from 'vitest'

import { testDatabase } from '../support/clickhouse.ts'
import { insertLogs } from '../support/request-logs.ts'
import { testGraphql } from './support.ts'

const database = testDatabase()
const api = testGraphql(database)
const RANGE = 'timeRange: { from: "2026-05-01", to: "2026-05-02" }'

const AGENTS = [
  '=HYPERLINK("http://evil")',
  '+1+cmd|x',
  '-2+3',
  '@SUM(A1)',
  '\tx',
  '-',
  '+33 6 12',
  '-1.5',
  'plain',
  'a,b',
  'say "hi"',
  'two\nlines',
  ' edge ',
  'ü💥',
  '',
]

beforeAll(async () => {
  await insertLogs(
    database.clickhouse,
    AGENTS.map((userAgent, row) => ({
      timestamp: new Date(Date.parse('2026-05-01') + row),
      ip: '10.0.0.1',
      row,
      path: `/${row}`,
      userAgent,
      durationMs: row === 0 ? null : row / 2,
      status: 200,
    })),
  )
  await insertLogs(database.clickhouse, [
    { timestamp: new Date('2026-06-01'), ip: '10.0.0.1', batch: 2, attributes: { plan: 'a,b', n: 1 } },
  ])
})

/** CSV as RFC 4180 has it. */
const parse = (csv: string): string[][] => {
  const rows: string[][] = [[]]
  for (const [, comma, quoted, plain, end] of csv.matchAll(/(,)|"((?:[^"]|"")*)"|([^",\r\n]+)|(\r\n)/g)) {
    if (end) rows.push([])
    const row = rows.at(-1)!
    if (row.length === 0) row.push('')
    if (comma) row.push('')
    else if (!end) row[row.length - 1] = quoted === undefined ? plain! : quoted.replaceAll('""', '"')
  }
  return rows
}

const typeFor = async (query: string, accept: string) => (await api.ask(query, { headers: { accept } })).type

describe('CSV', () => {
  const logs = `{ requestLogs(${RANGE}, orderBy: TIMESTAMP_ASC) { nodes { path userAgent durationMs host statusCode } } }`

  it('is the list in the answer, by RFC 4180, without a line end after the last row', async () => {
    const answer = await api.ask(logs, { format: 'csv' })
    expect([answer.status, answer.type]).toEqual([200, 'text/csv; charset=utf-8; header=present'])
    const rows = parse(answer.text)
    expect(rows[0]).toEqual(['path', 'userAgent', 'durationMs', 'host', 'statusCode'])
    expect(rows).toHaveLength(AGENTS.length + 1)
    expect(rows[1]).toEqual(['/0', `'${AGENTS[0]}`, '', '', '200'])
    expect(rows[3]).toEqual(['/2', "'-2+3", '1', '', '200'])
    expect(answer.text.endsWith('200')).toBe(true)
  })

  it('makes formulas harmless, and leaves numbers, signs and everything else as they are', async () => {
    const rows = parse((await api.ask(logs, { format: 'csv' })).text)
    const formulas = new Set([AGENTS[0], AGENTS[1], AGENTS[2], AGENTS[3], AGENTS[4]])
    expect(rows.slice(1).map((row) => row[1])).toEqual(AGENTS.map((text) => (formulas.has(text) ? `'${text}` : text)))
  })

  it('names what is in objects with dots, follows aliases, and takes JSON as one cell', async () => {
    const nested = await api.ask(
      `{ requestAnalytics(${RANGE}, groupBy: [SERVICE], compareTo: {}) { totals { requests } rows { service now: requests previous { requests errors } ... on RequestMetrics { errorRate } } } }`,
      { format: 'csv' },
    )
    expect(nested.text).toBe('service,now,previous.requests,previous.errors,errorRate\r\nshop,15,0,0,0')
    const attributes = await api.ask(
      '{ requestLogs(timeRange: { from: "2026-06-01", to: "2026-06-02" }) { nodes { path attributes } } }',
      { format: 'csv' },
    )
    expect(parse(attributes.text)).toEqual([
      ['path', 'attributes'],
      ['/', '{"plan":"a,b","n":1}'],
    ])
  })

  it('has its header also without rows', async () => {
    const answer = await api.ask(
      '{ requestLogs(timeRange: { from: "2020-01-01", to: "2020-01-02" }) { edges { cursor node { path } } } }',
      { format: 'csv' },
    )
    expect([answer.status, answer.text]).toEqual([200, 'cursor,node.path'])
  })

  it('is one row where the answer holds no list', async () => {
    const answer = await api.ask(`{ requestAnalytics(${RANGE}) { totals { requests errors } } viewer { timezone } }`, {
      format: 'csv',
    })
    expect(answer.text).toBe(
      'requestAnalytics.totals.requests,requestAnalytics.totals.errors,viewer.timezone\r\n15,0,UTC',
    )
  })

  it('is asked for by Accept, too, and by its weight', async () => {
    expect(await typeFor(logs, 'text/csv')).toContain('text/csv')
    expect(await typeFor(logs, 'application/json;q=0.5, text/csv')).toContain('text/csv')
    expect(await typeFor(logs, 'text/csv;q=0.5, application/json')).toContain('application/json')
    expect(await typeFor(logs, '*/*')).toContain('json')
  })

  it('never is half a table: an error is a problem with its status', async () => {
    for (const [query, status, message] of [
      ['{ requestLogs(timeRange: { last: "1h" }, first: 0) { nodes { path } } }', 400, 'first is 0'],
      [`{ requestAnalytics(${RANGE}) { rows { requests } meta { sql } } }`, 403, 'scope ADMIN'],
      ['{ nothing }', 400, 'Cannot query field'],
      ['{', 400, 'Syntax Error'],
      [
        `{ ${Array.from({ length: 26 }, (_, index) => `a${index}: requestAnalytics(${RANGE}) { rows { requests } }`).join(' ')} }`,
        422,
        'points',
      ],
    ] as const) {
      const answer = await api.ask(query, { format: 'csv', secret: await api.key(['ANALYTICS_READ', 'LOGS_READ']) })
      expect([answer.status, answer.type]).toEqual([status, 'application/problem+json; charset=utf-8'])
      expect(answer.json).toMatchObject({ status, detail: expect.stringContaining(message) })
    }
  })

  it('says which formats there are', async () => {
    const answer = await api.ask(logs, { format: 'xlsx' })
    expect([answer.status, answer.json.detail]).toEqual([400, 'format is "xlsx"; allowed is csv, ndjson, json.'])
  })
})

it('NDJSON is the same rows, one object a line, with texts as they are', async () => {
  const answer = await api.ask(
    `{ requestLogs(${RANGE}, orderBy: TIMESTAMP_ASC) { nodes { path userAgent durationMs } } }`,
    { format: 'ndjson' },
  )
  expect(answer.type).toBe('application/x-ndjson; charset=utf-8')
  const rows = answer.text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)
  expect(rows).toEqual(
    AGENTS.map((agent, row) => ({ path: `/${row}`, userAgent: agent || null, durationMs: row === 0 ? null : row / 2 })),
  )
})

it('table and columns hold the rows as lists, with what each column is', async () => {
  const answer = await api.ask(
    `{ requestAnalytics(${RANGE}, groupBy: [SERVICE, STATUS_CODE], bucket: { granularity: DAY }, compareTo: {}, metrics: [REQUESTS, DURATION_MS_MAX]) { columns { name kind type unit } table } }`,
  )
  const { columns, table } = answer.json.data.requestAnalytics
  expect(columns.map(({ name, kind, type, unit }: Record<string, string>) => [name, kind, type, unit])).toEqual([
    ['bucketStart', 'BUCKET', 'DateTime', null],
    ['service', 'DIMENSION', 'String', null],
    ['statusCode', 'DIMENSION', 'Int', null],
    ['requests', 'METRIC', 'SafeInt', 'requests'],
    ['previous.requests', 'COMPARISON', 'SafeInt', 'requests'],
    ['change.requests', 'COMPARISON', 'Float', 'ratio'],
    ['durationMsMax', 'METRIC', 'Float', 'ms'],
    ['previous.durationMsMax', 'COMPARISON', 'Float', 'ms'],
    ['change.durationMsMax', 'COMPARISON', 'Float', 'ratio'],
  ])
  expect(table).toEqual([['2026-05-01T00:00:00.000Z', 'shop', 200, 15, 0, null, 7, null, null]])
})

it('a number beyond 2^53 is an error, never rounded', async () => {
  await insertLogs(database.clickhouse, [
    { timestamp: new Date('2026-07-01'), ip: '10.0.0.1', batch: 3, requestBytes: '9007199254740993' },
  ])
  const answer = await api.ask(
    '{ requestLogs(timeRange: { from: "2026-07-01", to: "2026-07-02" }) { nodes { path requestBytes } } }',
  )
  expect(answer.json.data.requestLogs.nodes).toEqual([{ path: '/', requestBytes: null }])
  expect(answer.json.errors[0].message).toMatch(/9007199254740993 is more than 2\^53 - 1/)
})
