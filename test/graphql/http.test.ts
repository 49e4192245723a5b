import { getIntrospectionQuery } from 'graphql'
import { beforeAll, describe, expect, it } from 'vitest'

import { sql } from '../../src/clickhouse/index.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { insertLogs } from '../support/request-logs.ts'
import { testGraphql } from './support.ts'

const database = testDatabase()
const api = testGraphql(database)
const json = { 'content-type': 'application/json', accept: 'application/json' }
const QUERY = '{ viewer { timezone } }'
const inUrl = (query: string) => `/graphql?query=${encodeURIComponent(query)}`
let key: string

beforeAll(async () => {
  key = await api.key(['ADMIN'])
  await insertLogs(database.clickhouse, [{ timestamp: new Date(Date.now() - 5_000), ip: '10.0.0.1' }])
})

const post = (body: unknown, headers: Record<string, string> = {}) =>
  api.send('/graphql', {
    method: 'POST',
    headers: { ...json, authorization: `Bearer ${key}`, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })

describe('who may ask', () => {
  it('nobody without a key, with a challenge and no answer', async () => {
    for (const answer of [
      await api.send('/graphql', { method: 'POST', headers: json, body: JSON.stringify({ query: QUERY }) }),
      await api.send(inUrl(QUERY), { headers: json }),
      await post({ query: QUERY }, { authorization: 'Bearer wrong' }),
    ]) {
      expect(answer.status).toBe(401)
      expect(answer.type).toContain('application/problem+json')
      expect(answer.headers.get('www-authenticate')).toContain('Bearer')
      expect(answer.json).not.toHaveProperty('data')
    }
  })

  it.each(['Bearer', 'Token', 'Basic', 'X-Api-Key'])('one with a key by %s, by GET and by POST', async (scheme) => {
    const value = scheme === 'Basic' ? Buffer.from(`anyone:${key}`).toString('base64') : key
    const headers: Record<string, string> =
      scheme === 'X-Api-Key' ? { 'x-api-key': key } : { authorization: `${scheme} ${value}` }
    const byGet = await api.send(inUrl(QUERY), { headers: { ...headers, accept: 'application/json' } })
    const byPost = await api.send('/graphql', {
      method: 'POST',
      headers: { ...json, ...headers },
      body: JSON.stringify({ query: QUERY }),
    })
    for (const answer of [byGet, byPost])
      expect([answer.status, answer.json]).toEqual([200, { data: { viewer: { timezone: 'UTC' } } }])
  })
})

describe('what other sites can do', () => {
  it('nothing by CORS: no origin is let in', async () => {
    const answer = await post({ query: QUERY }, { origin: 'https://evil.example' })
    expect([...answer.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
    const preflight = await api.send('/graphql', {
      method: 'OPTIONS',
      headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' },
    })
    expect(preflight.status).toBe(405)
    expect([...preflight.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
  })

  it.each(['application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'text/plain', ''])(
    'nothing by a form of type %j',
    async (type) => {
      const answer = await post(`query=${encodeURIComponent('mutation { revokeApiKey(id: "x") { secret } }')}`, {
        'content-type': type,
      })
      expect(answer.status).toBe(415)
      expect(answer.type).toContain('application/problem+json')
    },
  )

  it('nothing by a link: GET changes nothing', async () => {
    const before = api.keys.list().length
    const answer = await api.send(inUrl('mutation { createApiKey(name: "x", scopes: [ADMIN]) { secret } }'), {
      headers: { authorization: `Bearer ${key}`, accept: 'application/json' },
    })
    expect(answer.status).toBe(405)
    expect(api.keys.list()).toHaveLength(before)
  })
})

const refused = async (query: string, variables?: object) => {
  for (const accept of ['application/json', 'application/graphql-response+json']) {
    const answer = await post({ query, variables }, { accept })
    expect([answer.status, answer.json.errors[0].extensions.code]).toEqual([422, 'QUERY_TOO_EXPENSIVE'])
    expect(answer.json).not.toHaveProperty('data')
  }
}

const many = (count: number, field: string) =>
  Array.from({ length: count }, (_, index) => `a${index}: ${field}`).join(' ')

describe('what is too large is refused before it runs, with 422 and without data', () => {
  const panel =
    'requestAnalytics(timeRange: { last: "1h" }, groupBy: [PATH]) { rows { path } totals { requests } others { requests } }'
  it('a price above the limit', () => refused(`{ ${many(8, panel)} }`))
  it('a price that fragments hide', () =>
    refused(
      `{ ...a } fragment a on Query { ${many(4, panel)} ... on Query { ...b } } fragment b on Query { ${many(4, panel).replaceAll(/a(\d):/g, 'b$1:')} }`,
    ))
  it('a price that comes by variables', () =>
    refused(
      `query ($n: Int!, $yes: Boolean!) { ${many(25, 'requestLogs(timeRange: { last: "1h" }, first: $n) @include(if: $yes) { nodes { path } }')} }`,
      { n: 1_000, yes: true },
    ))
  it('more aliases than a hundred', () => refused(`{ viewer { ${many(101, 'timezone')} } }`))
  it('selections deeper than twelve', () => refused(`{ ${'viewer { '.repeat(13)} timezone ${'} '.repeat(13)} }`))
  it('what is skipped costs nothing', async () => {
    const query = `query ($no: Boolean!) { ${many(20, `requestAnalytics(timeRange: { last: "1h" }) @include(if: $no) { rows { requests } totals { requests } }`)} viewer { timezone } }`
    expect((await post({ query, variables: { no: false } })).json).toEqual({ data: { viewer: { timezone: 'UTC' } } })
  })
  it('the price of the operation that runs counts, not of the first in the document', async () => {
    const query = `query Cheap { viewer { timezone } } query Dear { ${many(8, panel)} }`
    expect((await post({ query, operationName: 'Cheap' })).status).toBe(200)
    expect((await post({ query, operationName: 'Dear' })).status).toBe(422)
  })
  it('documents of more than 2,000 tokens, at parsing', async () => {
    const answer = await post(
      { query: `{ viewer { ${'timezone '.repeat(2_001)} } }` },
      { accept: 'application/graphql-response+json' },
    )
    expect(answer.status).toBe(400)
    expect(answer.json.errors[0].message).toContain('2000 tokens')
  })
  it('fragments that double the work each time are measured at once', async () => {
    const fragments = Array.from(
      { length: 100 },
      (_, index) => `fragment f${index} on Viewer { ...f${index + 1} ...f${index + 1} }`,
    ).join(' ')
    const started = performance.now()
    const answer = await post({ query: `{ viewer { ...f0 } } ${fragments} fragment f100 on Viewer { timezone }` })
    expect(answer.json).toEqual({ data: { viewer: { timezone: 'UTC' } } })
    expect(performance.now() - started).toBeLessThan(5_000)
  })
  it('bodies above 1 MiB', async () => {
    expect((await post({ query: QUERY, variables: { x: 'x'.repeat(1_048_576) } })).status).toBe(413)
  })
  it('batches', async () => {
    expect((await post([{ query: QUERY }, { query: QUERY }])).status).toBe(400)
  })
  it('introspection passes, and introspection without an end does not', async () => {
    expect((await post({ query: getIntrospectionQuery() })).status).toBe(200)
    const endless = `{ __schema { types { ${'fields { type { '.repeat(6)} name ${'} } '.repeat(6)} } } }`
    const answer = await post({ query: endless }, { accept: 'application/graphql-response+json' })
    expect(answer.status).toBe(400)
    expect(answer.json).not.toHaveProperty('data')
  })
})

describe('errors', () => {
  it('name the argument, what was given and what is allowed, with a stable code and a real status', async () => {
    const answer = await post({
      query: '{ requestAnalytics(timeRange: { last: "1h" }, limit: 0) { rows { requests } } }',
    })
    expect(answer.status).toBe(400)
    expect(answer.json).toMatchObject({
      data: null,
      errors: [
        {
          message: 'limit is 0; allowed is a whole number from 1 to 10000',
          path: ['requestAnalytics'],
          extensions: { code: 'INVALID_ARGUMENT', argument: 'limit' },
        },
      ],
    })
  })

  it('leave the rest of an answer standing with 200', async () => {
    const answer = await post(
      { query: `{ node(id: "log_x") { id } viewer { timezone } bad: node(id: "key_x") { id } }` },
      { authorization: `Bearer ${await api.key(['LOGS_READ'])}` },
    )
    expect(answer.status).toBe(200)
    expect(answer.json.data).toEqual({ node: null, viewer: { timezone: 'UTC' }, bad: null })
    expect(answer.json.errors[0].extensions.code).toBe('FORBIDDEN')
  })

  it('never show SQL or names of the store', async () => {
    await database.clickhouse.command(sql`RENAME TABLE request_logs TO hidden`)
    try {
      const answer = await post({ query: '{ requestLogs(timeRange: { last: "1h" }) { nodes { path } } }' })
      expect(answer.status).toBe(500)
      expect(answer.json.errors[0]).toMatchObject({ extensions: { code: 'INTERNAL' } })
      expect(answer.text).not.toMatch(/request_logs|SELECT|ClickHouse|DB::/i)
      expect(api.logged()).toContain('a resolver failed')
    } finally {
      await database.clickhouse.command(sql`RENAME TABLE hidden TO request_logs`)
    }
  })

  it.each([
    ['DateTime', 'from: "2026-02-30"', /DateTime cannot be "2026-02-30"; allowed is RFC 3339/],
    ['DateTime', 'from: "2026-03-29T10:00:00"', /DateTime cannot be "2026-03-29T10:00:00"/],
    ['Interval', 'last: "soon"', /Interval cannot be "soon"; allowed is a length such as '30s'/],
  ])('say what a %s may be: %s', async (_scalar, range, message) => {
    const answer = await post(
      { query: `{ requestLogs(timeRange: { ${range} }) { nodes { path } } }` },
      { accept: 'application/graphql-response+json' },
    )
    expect(answer.status).toBe(400)
    expect(answer.json.errors[0].message).toMatch(message)
  })

  it.each([
    [
      'CIDR',
      '{ clientIp: { in: ["10.0.0.0/40"] } }',
      /CIDR cannot be "10.0.0.0\/40"; allowed is an address or a prefix/,
    ],
    ['IPAddress', '{ clientIp: { eq: "localhost" } }', /IPAddress cannot be "localhost"/],
    ['SafeInt', '{ statusCode: { eq: 9007199254740993 } }', /SafeInt cannot be .*2\^53 - 1/],
    ['SafeInt', '{ statusCode: { eq: "200" } }', /SafeInt cannot be "200"/],
  ])('say what a %s may be in a filter: %s', async (_scalar, where, message) => {
    const answer = await post(
      { query: `{ requestLogs(timeRange: { last: "1h" }, where: ${where}) { nodes { path } } }` },
      { accept: 'application/graphql-response+json' },
    )
    expect(answer.status).toBe(400)
    expect(answer.json.errors[0].message).toMatch(message)
  })
})

it.each([
  ['"2026-03-29T10:00:00Z"', '2026-03-29T10:00:00.000Z'],
  ['"2026-03-29t12:00:00.123456+02:00"', '2026-03-29T10:00:00.123Z'],
  ['"2026-03-29"', '2026-03-29T00:00:00.000Z'],
  ['1774778400', '2026-03-29T10:00:00.000Z'],
  ['1774778400000', '2026-03-29T10:00:00.000Z'],
  ['"1774778400000"', '2026-03-29T10:00:00.000Z'],
])('takes %s for the instant %s', async (literal, instant) => {
  const answer = await post({ query: `{ requestAnalytics(timeRange: { from: ${literal} }) { meta { from } } }` })
  expect(answer.json.data.requestAnalytics.meta.from).toBe(instant)
})

describe('GraphiQL', () => {
  it('is one page for browsers without a key, and loads nothing from elsewhere', async () => {
    const page = await api.send('/graphql', { headers: { accept: 'text/html,application/xhtml+xml' } })
    expect([page.status, page.type]).toEqual([200, 'text/html; charset=utf-8'])
    expect(page.text).not.toMatch(/<(?:script|link|img)[^>]+(?:src|href)="?https?:/)
    expect(page.headers.get('content-security-policy')).toMatch(/default-src 'none'.*connect-src 'self'/)
    expect(page.text).toContain('sessionStorage')
    expect(page.text).toContain('YOUR-API-KEY')
    expect(page.text).toContain('query TopAddresses')
    const again = await api.send('/graphql', {
      headers: { accept: 'text/html', 'if-none-match': page.headers.get('etag')! },
    })
    expect([again.status, again.text]).toEqual([304, ''])
  })
})

const running = async (): Promise<number> => {
  const result = await database.clickhouse.query<{ count: string }>(
    sql`SELECT count() AS count FROM system.processes WHERE query LIKE '%uniqCombined(path)%' AND query NOT LIKE '%system.processes%'`,
  )
  return Number(result.rows[0]!.count)
}

it('a client that hangs up cancels its statement in the store', async () => {
  const slow = { matches: '(a|b|ab)*c'.repeat(3) }
  const rows = Array.from({ length: 100_000 }, (_, row) => ({
    timestamp: new Date(Date.now() - 3_600_000),
    ip: '10.0.0.1',
    batch: 3,
    row,
    path: `/${'ab'.repeat(200)}`,
  }))
  for (let batch = 0; batch < 4; batch++)
    await insertLogs(
      database.clickhouse,
      rows.map((row) => ({ ...row, batch: 4 + batch })),
    )
  const controller = new AbortController()
  const query = `{ requestAnalytics(timeRange: { last: "24h" }, where: { or: [${Array.from({ length: 40 }, (_, index) => `{ path: { matches: "${slow.matches}${index}" } }`).join()}] }) { totals { requests uniqPaths } } }`
  const answer = fetch(`${api.url}/graphql`, {
    method: 'POST',
    signal: controller.signal,
    headers: { ...json, authorization: `Bearer ${key}` },
    body: JSON.stringify({ query }),
  })
  await expect.poll(running, { timeout: 10_000, interval: 20 }).toBe(1)
  controller.abort()
  await expect(answer).rejects.toThrow(/abort/i)
  await expect.poll(running, { timeout: 5_000, interval: 20 }).toBe(0)
})
