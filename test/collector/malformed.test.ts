import { connect } from 'node:net'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

import { afterEach, describe, expect, test } from 'vitest'

import { testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'

const service = testApp(testDatabase())
const { post, request } = service

const row = { ip: '8.8.8.8', method: 'GET', path: '/a', status: 200 }
const good = JSON.stringify(row)
const ndjson = { 'content-type': 'application/x-ndjson' }
const longer = (bytes: number): string => 'x'.repeat(bytes)

// Whatever came before: the next one is served.
afterEach(async () => {
  expect((await post(row)).status).toBe(202)
  expect((await request('/healthz')).status).toBe(200)
})

interface Case {
  body: string | Uint8Array
  headers?: Record<string, string>
  status: number
  says: RegExp
}

const expectAnswer = async ({ body, headers = {}, status, says }: Case): Promise<void> => {
  const answer = await post(body, { headers })
  expect({ status: answer.status, text: JSON.stringify(answer.body) }).toEqual({
    status,
    text: expect.stringMatching(says),
  })
  if (status >= 400) {
    expect(answer.headers.get('content-type')).toMatch('application/problem+json')
    expect(answer.body).toMatchObject({ status, title: expect.any(String), detail: expect.any(String) })
  }
}

/** Cut at each position, JSON is none, and the answer says where it ends. */
const cuts = Array.from({ length: good.length - 1 }, (_, position) => good.slice(0, position + 1))
test(`one object cut at each of its ${cuts.length} positions is not JSON`, async () => {
  for (const body of cuts) await expectAnswer({ body, status: 400, says: /the body is not JSON: .*/ })
})

test('a large array that is broken near its end leaves none of its rows behind', async () => {
  const rows = Array.from({ length: 5000 }, (_, n) => JSON.stringify({ ...row, path: `/${n}` }))
  rows[4990] = `{"ip": "8.8.8.8", "method": GET}`
  const body = `[${rows.join(',')}]`
  const before = service.app.spool.state().rows
  const position = body.indexOf('GET}')
  await expectAnswer({ body, status: 400, says: new RegExp(`Unexpected token .* at character ${position}`) })
  expect(service.app.spool.state().rows).toBeLessThanOrEqual(before)
})

const notJson: Record<string, Case> = {
  'an empty body': { body: '', status: 400, says: /the body is empty/ },
  'white space': { body: ' \n\t ', status: 400, says: /the body is empty/ },
  'a NUL': { body: '\0', status: 400, says: /not JSON/ },
  text: { body: 'hello', status: 400, says: /not JSON/ },
  'two objects in a row': { body: `${good}${good}`, status: 400, says: /not JSON.*at character \d+/ },
  'an object and a comma': { body: `${good},`, status: 400, says: /not JSON/ },
  'an array with a comma at its end': { body: `[${good},]`, status: 400, says: /not JSON/ },
  'an array with a comma at its beginning': { body: `[,${good}]`, status: 400, says: /not JSON/ },
  'an array that does not end': { body: `[${good}`, status: 400, says: /not JSON/ },
  'an array that ends twice': { body: `[${good}]]`, status: 400, says: /not JSON/ },
  'a large array that ends twice': {
    body: `[${Array.from({ length: 900 }, () => good).join(',')}]]`,
    status: 400,
    says: /not JSON/,
  },
  'a large array with an empty place': {
    body: `[${longer(70_000).replaceAll('x', ' ')},${good}]`,
    status: 400,
    says: /not JSON/,
  },
  'single quotes': { body: "{'ip':'8.8.8.8'}", status: 400, says: /not JSON/ },
  'a comment': { body: `/* a */${good}`, status: 400, says: /not JSON/ },
  NaN: { body: '{"ip":"8.8.8.8","status":NaN}', status: 400, says: /not JSON/ },
  'a number with a leading zero': { body: '{"status":0200}', status: 400, says: /not JSON/ },
  'a raw line break in a string': { body: '{"path":"a\nb"}', status: 400, says: /not JSON/ },
  'a bad escape': { body: '{"path":"\\x41"}', status: 400, says: /not JSON/ },
  'half a unicode escape': { body: '{"path":"\\u12"}', status: 400, says: /not JSON/ },
  'UTF-16': { body: Buffer.from(good, 'utf16le'), status: 400, says: /not JSON/ },
  'NDJSON without one whole line': {
    body: '{"a"\n[}\n',
    headers: ndjson,
    status: 400,
    says: /no line of the body is JSON/,
  },
  'blank NDJSON': { body: '\n\n \n', headers: ndjson, status: 400, says: /the body is empty/ },
}
describe('a body that is not JSON is refused with the place of the error:', () => {
  test.each(Object.entries(notJson))('%s', (_name, given) => expectAnswer(given))
})

const broken = (fields: Record<string, unknown>): string => JSON.stringify({ ...row, ...fields })
const without = (field: keyof typeof row): string => JSON.stringify({ ...row, [field]: undefined })
const faults: Record<string, [body: string, field: string, says: RegExp]> = {
  'no ip': [without('ip'), 'ip', /ip is missing/],
  'ip null': [broken({ ip: null }), 'ip', /ip is null/],
  'ip as a number': [broken({ ip: 134_744_072 }), 'ip', /ip is 134744072; allowed is an IPv4/],
  'ip with a port': [broken({ ip: '8.8.8.8:80' }), 'ip', /without port/],
  'ip with a zone': [broken({ ip: 'fe80::1%eth0' }), 'ip', /or zone/],
  'ip with leading zeros': [broken({ ip: '08.8.8.8' }), 'ip', /allowed is/],
  'ip with white space': [broken({ ip: ' 8.8.8.8' }), 'ip', /allowed is/],
  'ip of 10,000 characters': [broken({ ip: '1'.repeat(10_000) }), 'ip', /^.{0,220}$/],
  'an object as ip': [broken({ ip: { v4: '8.8.8.8' } }), 'ip', /ip is an object/],
  'no method': [without('method'), 'method', /method is missing/],
  'an empty method': [broken({ method: '' }), 'method', /method is empty/],
  'an overlong method': [broken({ method: longer(65) }), 'method', /65 characters; allowed are 64/],
  'no path': [without('path'), 'path', /path is missing/],
  'path as a number': [broken({ path: 7 }), 'path', /path is 7; allowed is a string/],
  'an overlong path': [broken({ path: `/${longer(65_536)}` }), 'path', /65537 characters; allowed are 65536/],
  'no status': [without('status'), 'status', /status is missing/],
  'status 0': [broken({ status: 0 }), 'status', /from 100 to 599/],
  'status 600': [broken({ status: 600 }), 'status', /from 100 to 599/],
  'status 200.5': [broken({ status: 200.5 }), 'status', /from 100 to 599/],
  'status as a word': [broken({ status: 'OK' }), 'status', /status is "OK"/],
  'status as true': [broken({ status: true }), 'status', /status is true/],
  'status 1e400': ['{"ip":"8.8.8.8","method":"GET","path":"/","status":1e400}', 'status', /status is Infinity/],
  'a timestamp before 1990': [
    broken({ timestamp: '1989-12-31T23:59:59Z' }),
    'timestamp',
    /from 1990 to one hour ahead/,
  ],
  'a timestamp in the year 9999': [broken({ timestamp: '9999-01-01T00:00:00Z' }), 'timestamp', /one hour ahead/],
  'a timestamp of no day': [broken({ timestamp: '2026-02-30T00:00:00Z' }), 'timestamp', /allowed is RFC 3339/],
  'a timestamp without a zone': [broken({ timestamp: '2026-01-01T00:00:00' }), 'timestamp', /allowed is RFC 3339/],
  'a timestamp in words': [broken({ timestamp: 'yesterday' }), 'timestamp', /timestamp is "yesterday"/],
  'a negative timestamp': [broken({ timestamp: -1 }), 'timestamp', /allowed/],
  'a timestamp of 1e300': [broken({ timestamp: 1e300 }), 'timestamp', /allowed/],
  'an array as timestamp': [broken({ timestamp: [] }), 'timestamp', /an array/],
  'a negative duration': [broken({ durationMs: -1 }), 'durationMs', /durationMs is -1; allowed is a number from 0/],
  'a duration as text': [broken({ durationMs: '12' }), 'durationMs', /durationMs is "12"/],
  'responseBytes past 2^53': [broken({ responseBytes: 1e16 }), 'responseBytes', /from 0 to 9007199254740991/],
  'service as a number': [broken({ service: 1 }), 'service', /service is 1; allowed is a string/],
  'an overlong service': [broken({ service: longer(1025) }), 'service', /1025 characters/],
  'userAgent as an array': [broken({ userAgent: ['a'] }), 'userAgent', /an array/],
  'an unknown action': [broken({ action: 'dropped' }), 'action', /allowed is allowed, rate_limited, blocked/],
  'attributes as text': [broken({ attributes: 'a=1' }), 'attributes', /flat object/],
  'nested attributes': [
    broken({ attributes: { a: { b: 1 } } }),
    'attributes.a',
    /allowed is a string, number or boolean/,
  ],
  'too many attributes': [
    broken({ attributes: Object.fromEntries(Array.from({ length: 129 }, (_, n) => [`a${n}`, n])) }),
    'attributes',
    /129 entries; allowed are 128/,
  ],
  'overlong attributes': [broken({ attributes: { a: longer(70_000) } }), 'attributes', /allowed are 65536/],
  'an array in the array': [`[[${good}]]`, '', /the row is an array/],
  null: ['null', '', /the row is null/],
  'a string': ['"row"', '', /the row is "row"/],
  nothing: ['{}', 'ip', /ip is missing/],
}
describe('a row that is refused is named by its field, what was given and what is allowed:', () => {
  test.each(Object.entries(faults))('%s', async (_name, [body, field, says]) => {
    const answer = await post(body)
    expect(answer.status).toBe(422)
    expect(answer.body.errors).toEqual([{ index: 0, field, message: expect.stringMatching(says) }])
  })
})

const taken: Record<string, string> = {
  'a NUL in the path': broken({ path: '/a\0b' }),
  'a lone surrogate': '{"ip":"8.8.8.8","method":"GET","path":"/\\ud800","status":200,"userAgent":"\\udfff"}',
  'duplicate keys (the last one counts)': '{"status":1,"ip":"8.8.8.8","method":"GET","path":"/","status":200}',
  __proto__: '{"__proto__":{"status":500},"ip":"8.8.8.8","method":"GET","path":"/","status":200}',
  'constructor and toString': broken({ constructor: 1, toString: 'x' }),
  'an unknown field nested 1,000 deep': `{"ip":"8.8.8.8","method":"GET","path":"/","status":200,"deep":${'['.repeat(1000)}${']'.repeat(1000)}}`,
  'a byte order mark': `\ufeff${good}`,
  'invalid UTF-8': Buffer.from(good.replace('/a', '/\u00ff'), 'latin1').toString('latin1'),
  'the longest path': broken({ path: `/${longer(65_535)}` }),
}
test.each(Object.entries(taken))('%s is taken, and the batch that holds it stored', async (_name, body) => {
  expect(await post(body, { query: '?wait=stored' })).toMatchObject({
    status: 202,
    body: { accepted: 1, stored: true },
  })
})

test('nesting so deep that no parser follows is refused, not a crash', async () => {
  const body = `{"ip":"8.8.8.8","method":"GET","path":"/","status":200,"deep":${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}}`
  expect([400, 422]).toContain((await post(body)).status)
})

const refused: Record<string, Case> = {
  'an unknown type': {
    body: good,
    headers: { 'content-type': 'application/xml' },
    status: 415,
    says: /Content-Type is .*application\/xml.*; allowed is application\/json/,
  },
  'an unknown encoding': {
    body: good,
    headers: { 'content-encoding': 'lzma' },
    status: 415,
    says: /allowed is gzip, deflate, br, zstd/,
  },
  'two encodings': { body: good, headers: { 'content-encoding': 'gzip, br' }, status: 415, says: /allowed is gzip/ },
  'gzip that is none': { body: good, headers: { 'content-encoding': 'gzip' }, status: 400, says: /not gzip/ },
  'gzip that ends early': {
    body: gzipSync(good).subarray(0, 20),
    headers: { 'content-encoding': 'gzip' },
    status: 400,
    says: /not gzip/,
  },
  'gzip with a wrong checksum': {
    body: Buffer.concat([gzipSync(good).subarray(0, -8), Buffer.alloc(8)]),
    headers: { 'content-encoding': 'gzip' },
    status: 400,
    says: /not gzip/,
  },
  'brotli that is none': { body: good, headers: { 'content-encoding': 'br' }, status: 400, says: /not br/ },
  'zstd that is none': { body: good, headers: { 'content-encoding': 'zstd' }, status: 400, says: /not zstd/ },
  'deflate that is none': { body: good, headers: { 'content-encoding': 'deflate' }, status: 400, says: /not deflate/ },
  'an encoded empty body': {
    body: gzipSync(''),
    headers: { 'content-encoding': 'gzip' },
    status: 400,
    says: /the body is empty/,
  },
  'an empty array': { body: '[]', status: 422, says: /no rows/ },
  'an overlong Idempotency-Key': {
    body: good,
    headers: { 'idempotency-key': longer(256) },
    status: 400,
    says: /256 characters; allowed are 1 to 255/,
  },
  'an import header of another form': {
    body: good,
    headers: { 'vedette-import': 'yes' },
    status: 400,
    says: /PREFIX_BYTES-SHA256:FROM-TO/,
  },
}
describe('a request that is refused as a whole says why:', () => {
  test.each(Object.entries(refused))('%s', (_name, given) => expectAnswer(given))
})

test('wait takes only stored', async () => {
  expect((await post(row, { query: '?wait=yes' })).body).toMatchObject({
    status: 400,
    detail: 'wait is "yes"; allowed is stored, or nothing.',
  })
})

const memory = (): number => process.memoryUsage().rss

describe('size is limited while it flows:', () => {
  const zeros = Buffer.alloc(640 * 2 ** 20)

  test.each([
    ['gzip', () => gzipSync(zeros, { level: 1 })],
    ['br', () => brotliCompressSync(zeros, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })],
  ])('a %s bomb of 640 MiB is refused and never unpacked', async (encoding, pack) => {
    const bomb = pack()
    const before = memory()
    await expectAnswer({ body: bomb, headers: { 'content-encoding': encoding }, status: 413, says: /64 MiB unpacked/ })
    expect(memory() - before).toBeLessThan(320 * 2 ** 20)
  })

  test('a body that says it is too large is refused before it is sent', async () => {
    const socket = connect(Number(new URL(service.url).port), '127.0.0.1')
    socket.write(
      `POST /v1/requests HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${service.key}\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n`,
    )
    const answer = await new Promise<string>((resolve) => socket.once('data', (data) => resolve(String(data))))
    socket.destroy()
    expect(answer).toMatch(/^HTTP\/1.1 413 /)
  })

  test('a body without a length that grows too large is refused', async () => {
    let left = 40
    const body = new ReadableStream({
      pull: (controller) => (left-- > 0 ? controller.enqueue(Buffer.alloc(2 ** 20, ' ')) : controller.close()),
    })
    const answer = request('/v1/requests', {
      method: 'POST',
      body,
      duplex: 'half',
      headers: { 'content-type': 'application/json' },
    } as RequestInit)
    // The client may still be sending when the connection is cut: then it sees that instead of the answer.
    await answer.then(
      (response) => expect(response.status).toBe(413),
      (error: Error) => expect(error.message).toBe('fetch failed'),
    )
  })

  test('a client that hangs up in the middle of its body leaves nothing behind', async () => {
    const before = service.app.spool.state().rows
    const socket = connect(Number(new URL(service.url).port), '127.0.0.1')
    socket.write(
      `POST /v1/requests HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${service.key}\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n[${good},`,
    )
    await new Promise((resolve) => socket.once('ready', resolve))
    socket.destroy()
    await expect
      .poll(
        async () => (await (await request('/metrics')).text()).match(/vedette_collector_bytes_in_flight (\d+)/)?.[1],
      )
      .toBe('0')
    expect(service.app.spool.state().rows).toBeLessThanOrEqual(before)
  })
})
