import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { problem, requireScope } from '../../src/http/index.ts'
import { COLLECTOR, testServer } from './support.ts'

const test = testServer()

beforeAll(async () => {
  const { app } = test.server
  app.post('/v1/requests', { onRequest: requireScope('COLLECT') }, async () => ({ ok: true }))
  app.get('/items/:id', async () => ({ ok: true }))
  app.delete('/items/:id', async () => ({ ok: true }))
  app.get('/files/*', async () => ({ ok: true }))
  app.get('/fault', async () => {
    throw new Error('cannot reach redis://user:hunter2@10.0.0.5')
  })
  app.get('/slow', async (_request, reply) => {
    await once(reply.raw, 'close')
    throw new DOMException('This operation was aborted', 'AbortError')
  })
  app.get('/full', async () => {
    throw problem(503, {
      title: 'Spool full',
      detail: 'Send it again later.',
      extensions: { spoolBytes: 12 },
      headers: { 'retry-after': '7' },
    })
  })
  app.post('/large', async () => {
    throw problem(413, { detail: 'At most 10 MiB.' })
  })
  await test.start()
})
afterAll(() => test.server.stop())

/** Bytes as they are, for what `fetch` would not send. */
const raw = async (request: string): Promise<{ head: string; body: any }> => {
  const socket = connect(Number(new URL(test.url).port), '127.0.0.1')
  socket.write(request)
  const [head, body] = (await text(socket)).split('\r\n\r\n')
  return { head: head!, body: JSON.parse(body!) }
}

const key = { authorization: `Bearer ${COLLECTOR}` }

describe('every refusal is application/problem+json with type, title, status and detail', () => {
  it.each<[status: number, title: string, method: string, path: string, headers: Record<string, string>]>([
    [400, 'Bad Request', 'GET', '/items/%zz', {}],
    [401, 'Unauthorized', 'POST', '/v1/requests', {}],
    [401, 'Unauthorized', 'POST', '/v1/requests', { 'x-api-key': 'unknown' }],
    [403, 'Forbidden', 'POST', '/v1/requests', { 'x-api-key': 'vdt_reader0000000000000000000000' }],
    [404, 'Not Found', 'GET', '/nowhere', {}],
    [404, 'Not Found', 'POST', '/items', {}],
    [405, 'Method Not Allowed', 'GET', '/v1/requests', {}],
    [405, 'Method Not Allowed', 'POST', '/items/1', {}],
    [405, 'Method Not Allowed', 'PUT', '/files/a/b', {}],
    [405, 'Method Not Allowed', 'PROPFIND', '/items/1', {}],
    [413, 'Payload Too Large', 'POST', '/large', {}],
    [414, 'URI Too Long', 'GET', `/items/${'a'.repeat(600)}`, {}],
    [415, 'Unsupported Media Type', 'POST', '/v1/requests', { ...key, 'content-type': 'json' }],
    [500, 'Internal Server Error', 'GET', '/fault', {}],
    [503, 'Spool full', 'GET', '/full', {}],
  ])('%i %s: %s %s', async (status, title, method, path, headers) => {
    const body = method === 'POST' ? '{}' : undefined
    const response = await fetch(test.url + path, { method, headers, ...(body && { body }) })
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toBe('application/problem+json; charset=utf-8')
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(await response.json()).toMatchObject({
      type: 'about:blank',
      title,
      status,
      detail: expect.any(String),
      requestId: expect.stringMatching(/^[\da-f-]{36}$/),
    })
  })
})

it('names the methods that a path does take', async () => {
  const response = await fetch(`${test.url}/items/1`, { method: 'PUT' })
  expect(response.headers.get('allow')).toBe('DELETE, GET, HEAD')
})

it('keeps the query out of what it says and logs about a path', async () => {
  const response = await fetch(`${test.url}/nowhere?token=hunter3`)
  expect(await response.text()).not.toContain('hunter3')
  expect(test.logged()).not.toContain('hunter3')
})

it('carries what a route adds: further members and headers', async () => {
  const response = await fetch(`${test.url}/full`)
  expect(response.headers.get('retry-after')).toBe('7')
  expect(await response.json()).toMatchObject({ detail: 'Send it again later.', spoolBytes: 12 })
})

it('tells a stranger nothing of a fault, and the log all but the password', async () => {
  const response = await fetch(`${test.url}/fault`)
  const body: any = await response.json()
  expect(JSON.stringify(body)).not.toMatch(/redis|hunter2|10\.0\.0\.5|\.ts/)
  const line = test
    .logged()
    .split('\n')
    .find((line) => line.includes(body.requestId) && line.includes('"error"'))
  expect(line).toMatch(/errors\.test\.ts/)
  expect(line).toContain('redis://user:***@10.0.0.5')
  expect(test.logged()).not.toContain('hunter2')
})

it('takes a client that hangs up for no fault', async () => {
  const client = new AbortController()
  const asked = fetch(`${test.url}/slow`, { signal: client.signal })
  const before = test.logged().length
  setTimeout(() => client.abort(), 50)
  await expect(asked).rejects.toThrow('aborted')
  await expect.poll(() => test.logged().slice(before)).toContain('the client left')
  expect(test.logged().slice(before)).not.toMatch(/"level":"error"|fault of the service/)
})

it('answers broken HTTP with 400 and headers too long with 431', async () => {
  const broken = await raw('nonsense\r\n\r\n')
  expect(broken.head).toMatch(/^HTTP\/1\.1 400 Bad Request\r\ncontent-type: application\/problem\+json/)
  expect(broken.body).toMatchObject({ title: 'Bad Request', status: 400 })
  const long = await raw(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)
  expect(long.head).toMatch(/^HTTP\/1\.1 431 /)
  expect(long.body).toMatchObject({ title: 'Request Header Fields Too Large', status: 431 })
})

it('refuses a large upload before reading it, and hangs up on a client that does not stop', async () => {
  const socket = connect(Number(new URL(test.url).port), '127.0.0.1')
  socket.write('POST /v1/requests HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n')
  const flood = setInterval(() => socket.write('x'.repeat(1_000)), 20)
  const answer = await new Promise<string>((resolve) => socket.once('data', (data) => resolve(data.toString())))
  expect(answer).toMatch(/^HTTP\/1\.1 401 /)
  const startedAt = performance.now()
  await new Promise((resolve) => socket.once('error', resolve).once('close', resolve))
  clearInterval(flood)
  expect(performance.now() - startedAt).toBeLessThan(5_000)
})

it('still serves after all of this', async () => {
  const response = await fetch(`${test.url}/v1/requests`, { method: 'POST', headers: key, body: '{}' })
  expect(await response.json()).toEqual({ ok: true })
})
