import { createClient } from '@clickhouse/client'
import { afterAll, describe, expect, test } from 'vitest'

import { testDatabase } from '../support/clickhouse.ts'

// What an ordinary client sees of ClickHouse's HTTP interface, on the embedded engine's front as on a server.
const store = testDatabase({ migrated: false })

const connect = (more: object = {}) => {
  const client = createClient({ url: store.url, log: { level: 127 }, ...more })
  clients.push(client)
  return client
}
const clients: ReturnType<typeof createClient>[] = []
afterAll(() => Promise.all(clients.map((client) => client.close())))

const rowsOf = async (query: string, settings: Record<string, string | number> = {}, client = connect()) => {
  const result = await client.query({ query, format: 'JSONEachRow', clickhouse_settings: settings })
  return result.json()
}

const request = (path: string, init: RequestInit = {}, credentials = true): Promise<Response> => {
  const url = new URL(store.url)
  const headers = new Headers(init.headers)
  if (credentials) {
    headers.set('X-ClickHouse-User', decodeURIComponent(url.username))
    headers.set('X-ClickHouse-Key', decodeURIComponent(url.password))
  }
  return fetch(new URL(path, url.origin), { ...init, headers })
}

describe('a statement leaves nothing behind', () => {
  test('its settings do not outlive it', async () => {
    const query = "SELECT getSetting('max_threads') AS threads, getSetting('log_comment') AS comment"
    const client = connect({ max_open_connections: 1 })
    expect(await rowsOf(query, { max_threads: 1, log_comment: 'mine' }, client)).toMatchObject([{ threads: 1 }])
    const [after] = (await rowsOf(query, {}, client)) as [{ threads: number; comment: string }]
    expect(after.threads).toBeGreaterThan(1)
    expect(after.comment).not.toContain('mine')
  })

  test('an insert_deduplication_token does not make later inserts vanish', async () => {
    const client = connect()
    await client.command({
      query:
        'CREATE TABLE tokens (n UInt8) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 10',
    })
    const insert = (token: string) =>
      client.insert({
        table: 'tokens',
        values: [[1]],
        format: 'JSONCompactEachRow',
        clickhouse_settings: { insert_deduplication_token: token },
      })
    await insert('first')
    await insert('first')
    await insert('second')
    expect(await rowsOf('SELECT count() AS count FROM tokens')).toEqual([{ count: 2 }])
  })

  test('a query that failed half-way leaves no rows for the next one', async () => {
    const client = connect({ max_open_connections: 1 })
    await expect(
      rowsOf('SELECT throwIf(number = 300000) FROM numbers(400000)', { max_block_size: '10000' }, client),
    ).rejects.toThrow()
    expect(await rowsOf('SELECT 42 AS answer', {}, client)).toEqual([{ answer: 42 }])
  })

  test.each([["a'; DROP TABLE x; --"], [String.raw`\'; SELECT 1; --`], ['x\ny'], ['ü🚲'], ['\\']])(
    'a setting is a value, whatever is in it: %j',
    async (comment) => {
      const [row] = (await rowsOf("SELECT getSetting('log_comment') AS comment", { log_comment: comment })) as [
        { comment: string },
      ]
      // The front puts a mark of its own before it.
      expect(row.comment.endsWith(comment)).toBe(true)
    },
  )
})

describe('errors', () => {
  test.each([
    ['SELECT * FROM nowhere', 60, 'UNKNOWN_TABLE', 404],
    ['SELECT nothing', 47, 'UNKNOWN_IDENTIFIER', 404],
    ['1 + 1', 62, 'SYNTAX_ERROR', 400],
    ['selec 1', 62, 'SYNTAX_ERROR', 400],
    ['SELECT 1 FORMAT Nonsense', 73, 'UNKNOWN_FORMAT', 404],
    ['SELECT {x:UInt8}', 456, 'UNKNOWN_QUERY_PARAMETER', 400],
    ['SELECT throwIf(1)', 395, 'FUNCTION_THROW_IF_VALUE_IS_NON_ZERO', 500],
    ['CREATE TABLE x (n UInt8) ENGINE = Nonsense', 56, 'UNKNOWN_STORAGE', 404],
  ])('%s is %i %s', async (query, code, type, status) => {
    const response = await request('/', { method: 'POST', body: query })
    const text = await response.text()
    expect(text).toMatch(new RegExp(`^Code: ${code}\\. DB::Exception: .*\\(${type}\\) \\(version [^)]*`, 's'))
    expect(response.headers.get('x-clickhouse-exception-code')).toBe(String(code))
    expect(response.status).toBe(status)
    await expect(connect().command({ query })).rejects.toMatchObject({ code: String(code), type })
  })

  test('an unknown setting and an unknown database are named', async () => {
    await expect(rowsOf('SELECT 1', { no_such_setting: 1 })).rejects.toMatchObject({ type: 'UNKNOWN_SETTING' })
    const lost = connect({ url: new URL('/no_such_database', store.url).href })
    await expect(rowsOf('SELECT 1', {}, lost)).rejects.toMatchObject({ type: 'UNKNOWN_DATABASE' })
  })

  // Of a packed answer the client may see the cut before it has unpacked the reason.
  test.each([
    ['plain', false, /boom/],
    ['packed', true, /boom|aborted/],
  ])(
    'one half-way through a streamed result (%s) is an error to the client, not a short result',
    async (_how, packed, reason) => {
      const client = connect({ compression: { response: packed } })
      const result = await client.query({
        query: "SELECT number, throwIf(number = 900000, 'boom') FROM numbers(1000000)",
        format: 'JSONEachRow',
        clickhouse_settings: { max_block_size: '10000', max_threads: 1, http_write_exception_in_output_format: 0 },
      })
      let rows = 0
      const read = async (): Promise<void> => {
        for await (const block of result.stream()) rows += block.length
      }
      await expect(read()).rejects.toThrow(reason)
      expect(rows).toBeLessThan(1_000_000)
    },
  )

  test('a client that knows no exception blocks sees the answer cut off', async () => {
    const response = await request('/?max_block_size=10000&max_threads=1&http_write_exception_in_output_format=0', {
      method: 'POST',
      body: 'SELECT throwIf(number = 900000) FROM numbers(1000000) FORMAT JSONEachRow',
    })
    expect(response.status).toBe(200)
    await expect(response.text()).rejects.toThrow()
  })
})

describe('credentials', () => {
  test.each([
    ['a wrong password', { password: 'wrong' }],
    ['an unknown user', { username: 'nobody' }],
    ['neither', { username: '', password: '' }],
  ])('%s is refused with 516', async (_what, wrong) => {
    const url = new URL(store.url)
    const client = connect({ url: url.origin, username: url.username, password: url.password, ...wrong })
    await expect(client.command({ query: 'SELECT 1' })).rejects.toMatchObject({
      code: '516',
      type: 'AUTHENTICATION_FAILED',
    })
  })

  test('a refused insert is answered too, though its rows are not wanted', async () => {
    const response = await request(
      '/?query=INSERT%20INTO%20x%20FORMAT%20JSONEachRow',
      { method: 'POST', body: '{"a":1}\n'.repeat(1_000_000) },
      false,
    )
    expect(response.status).toBe(403)
  })

  test('Basic, the headers and the URL are all understood', async () => {
    const { username, password } = new URL(store.url)
    const basic = `Basic ${Buffer.from(`${username}:${decodeURIComponent(password)}`).toString('base64')}`
    const byBasic = await request('/?query=SELECT%207', { headers: { Authorization: basic } }, false)
    expect(await byBasic.text()).toBe('7\n')
    const byHeaders = await request('/?query=SELECT%207')
    expect(await byHeaders.text()).toBe('7\n')
    const byUrl = await request(`/?query=SELECT%207&user=${username}&password=${password}`, {}, false)
    expect(await byUrl.text()).toBe('7\n')
  })

  test('/ping needs none and tells nothing', async () => {
    const response = await request('/ping', {}, false)
    expect(await response.text()).toBe('Ok.\n')
  })
})

describe('formats and encodings', () => {
  test('the default format, FORMAT in the text, and the headers that name it', async () => {
    const query = encodeURIComponent("SELECT 1 AS a, 'x' AS b")
    const plain = await request(`/?query=${query}`)
    expect(await plain.text()).toBe('1\tx\n')
    expect(plain.headers.get('x-clickhouse-format')).toBe('TabSeparated')
    const asked = await request(`/?query=${query}&default_format=JSONCompactEachRow&query_id=mine-1`)
    expect(await asked.text()).toBe('[1, "x"]\n')
    expect(asked.headers.get('x-clickhouse-query-id')).toBe('mine-1')
    const named = await request('/', {
      method: 'POST',
      body: 'SELECT 1 AS a FORMAT JSONEachRow SETTINGS max_threads = 1',
    })
    expect(await named.text()).toBe('{"a":1}\n')
  })

  test('formats with a beginning and an end stay one document, however large', async () => {
    const result = await connect().query({ query: 'SELECT number FROM numbers(200000)', format: 'JSON' })
    const { data, rows } = await result.json<{ number: number }>()
    expect([data.length, rows]).toEqual([200_000, 200_000])
    const csv = await connect().query({ query: 'SELECT number FROM numbers(200000)', format: 'CSVWithNames' })
    expect((await csv.text()).split('\n').filter((line) => line === '"number"')).toHaveLength(1)
  })

  test('64-bit numbers are quoted or not as the setting says', async () => {
    const query = 'SELECT toUInt64(9007199254740993) AS n FORMAT JSONEachRow'
    const by = async (quote: 0 | 1) =>
      (await request(`/?output_format_json_quote_64bit_integers=${quote}`, { method: 'POST', body: query })).text()
    expect(await by(0)).toBe('{"n":9007199254740993}\n')
    expect(await by(1)).toBe('{"n":"9007199254740993"}\n')
  })

  test.each([['gzip'], ['br'], ['zstd']] as const)('%s both ways', async (codec) => {
    const client = connect({ compression: { request: { codec }, response: { codec } } })
    const table = `packed_${codec}`
    await client.command({ query: `CREATE TABLE ${table} (n UInt32, s String) ENGINE = MergeTree ORDER BY n` })
    const values = Array.from({ length: 5000 }, (_, n) => [n, `row ${n} ü`])
    await client.insert({ table, values, format: 'JSONCompactEachRow' })
    const query = `SELECT n, s FROM ${table} ORDER BY n`
    const result = await client.query({ query, format: 'JSONCompactEachRow' })
    expect(result.response_headers['content-encoding']).toBe(codec)
    expect(await result.json()).toEqual(values)
    await expect(client.command({ query: 'SELECT * FROM nowhere' })).rejects.toMatchObject({ code: '60' })
  })

  test('what was inserted is counted in the summary', async () => {
    const client = connect()
    await client.command({ query: 'CREATE TABLE counted (n UInt32) ENGINE = MergeTree ORDER BY n' })
    const { summary } = await client.insert({ table: 'counted', values: [[1], [2], [3]], format: 'JSONCompactEachRow' })
    expect(summary).toMatchObject({ written_rows: '3' })
  })

  test('what comes by GET changes nothing', async () => {
    const response = await request(`/?query=${encodeURIComponent('CREATE TABLE by_get (n UInt8) ENGINE = Memory')}`)
    expect(await response.text()).toMatch(/READONLY/)
  })
})

const running = async (mark: string): Promise<number> => {
  const query = `SELECT count() AS count FROM system.processes WHERE query LIKE '%${mark}%' AND query NOT LIKE '%system.processes%'`
  const [row] = (await rowsOf(query)) as [{ count: number }]
  return row.count
}

describe('hanging up', () => {
  const HEAVY = 'SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1'

  test.each([
    ['a query', `SELECT 'heavy-1', * FROM (${HEAVY})`, 'heavy-1'],
    ['one with its whole result at once', `SELECT 'heavy-2', * FROM (${HEAVY}) FORMAT JSON`, 'heavy-2'],
  ])('stops %s in the engine within a second', async (_what, query, mark) => {
    const abort = new AbortController()
    const failed = expect(
      connect().exec({
        query,
        abort_signal: abort.signal,
        clickhouse_settings: { cancel_http_readonly_queries_on_client_close: 1 },
      }),
    ).rejects.toThrow()
    await expect.poll(() => running(mark)).toBe(1)
    abort.abort()
    await failed
    await expect.poll(() => running(mark), { timeout: 1000, interval: 50 }).toBe(0)
  })

  test('stops a streamed result of which the client has read enough', async () => {
    const result = await connect().query({
      query: "SELECT 'heavy-4', number FROM numbers(100000000000)",
      format: 'JSONEachRow',
      clickhouse_settings: { cancel_http_readonly_queries_on_client_close: 1 },
    })
    result.stream().once('data', () => result.close())
    await expect.poll(() => running('heavy-4'), { timeout: 1000, interval: 50 }).toBe(0)
  })
})

test('many readers and writers at once get their own answers', async () => {
  const client = connect({ max_open_connections: 50 })
  await client.command({ query: 'CREATE TABLE crowd (n UInt32) ENGINE = MergeTree ORDER BY n' })
  const reads = Array.from({ length: 60 }, async (_, n) => {
    const result = await client.query({
      query: 'SELECT {n:UInt32} AS n, sum(number) AS s FROM numbers({n:UInt32})',
      format: 'JSONEachRow',
      query_params: { n },
    })
    expect(await result.json()).toEqual([{ n, s: (n * Math.max(0, n - 1)) / 2 }])
  })
  const writes = Array.from({ length: 20 }, (_, n) =>
    client.insert({ table: 'crowd', values: [[n]], format: 'JSONCompactEachRow' }),
  )
  const failures = Array.from({ length: 20 }, () => expect(rowsOf('SELECT * FROM nowhere')).rejects.toThrow())
  await Promise.all([...reads, ...writes, ...failures])
  expect(await rowsOf('SELECT count() AS c, uniqExact(n) AS u FROM crowd')).toEqual([{ c: 20, u: 20 }])
})
