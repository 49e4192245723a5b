import { once } from 'node:events'
import { createServer, type IncomingMessage, request as httpRequest } from 'node:http'
import {
  connect,
  createServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'

import express from 'express'
import { expect, onTestFinished, test } from 'vitest'

import { testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { freshService, get, serve, storedOf, type Stored, vedetteFor } from './support.ts'

const database = testDatabase()
const app = testApp(database)

const fails = (): never => {
  throw new Error('hook')
}

/** The rows of a service, once there are so many. */
const rowsOf = async (service: string, rows: number): Promise<Stored[]> => {
  await expect.poll(() => storedOf(database.clickhouse, service).then((found) => found.length)).toBe(rows)
  return await storedOf(database.clickhouse, service)
}

test('a client that leaves before the answer is a row with status 499', async () => {
  const service = freshService()
  const { vedette } = vedetteFor({ url: app.url, key: app.key, service })
  const reached = Promise.withResolvers<void>()
  const url = await serve(vedette.http(() => reached.resolve()))
  const request = httpRequest(`${url}/slow`, { agent: false })
  request.on('error', () => {})
  request.end()
  await reached.promise
  expect(vedette.stats().queued).toBe(0)
  request.destroy()
  await expect.poll(() => vedette.stats().queued).toBe(1)
  await vedette.flush()
  const [row] = await rowsOf(service, 1)
  expect(row).toMatchObject({ path: '/slow', status_code: 499, response_bytes: 0, attributes: '' })
})

test('a client that leaves in the middle of an answer is a row with the status that was sent, marked as incomplete', async () => {
  const service = freshService()
  const { vedette } = vedetteFor({ url: app.url, key: app.key, service })
  const url = await serve(
    vedette.http((_request, response) => {
      response.writeHead(200, { 'content-length': 1_000_000 })
      response.write('x'.repeat(1000))
    }),
  )
  const request = httpRequest(`${url}/large`, { agent: false })
  request.end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.on('error', () => {})
  await once(response, 'data')
  response.destroy()
  await expect.poll(() => vedette.stats().queued).toBe(1)
  await vedette.flush()
  const [row] = await rowsOf(service, 1)
  expect(row).toMatchObject({ status_code: 200, response_bytes: 1000, attributes: '{"incomplete":true}' })
})

test('a streamed answer is one row, made when its last byte is out', async () => {
  const service = freshService()
  const { vedette } = vedetteFor({ url: app.url, key: app.key, service })
  const source = new Readable({ read: () => {} })
  const url = await serve(
    vedette.http((_request, response) => {
      response.writeHead(200, { 'content-length': 300_000 })
      source.pipe(response)
    }),
  )
  const answer = get(`${url}/stream`)
  source.push(Buffer.alloc(100_000))
  source.push(Buffer.alloc(100_000))
  await expect.poll(() => source.readableLength).toBe(0)
  expect(vedette.stats().queued).toBe(0)
  source.push(Buffer.alloc(100_000))
  source.push(null)
  await answer
  await expect.poll(() => vedette.stats().queued).toBe(1)
  await vedette.flush()
  expect((await rowsOf(service, 1))[0]).toMatchObject({ status_code: 200, response_bytes: 300_000 })
})

test("an error of the service's handler stays the service's, and its answer is logged", async () => {
  const service = freshService()
  const { vedette } = vedetteFor({ url: app.url, key: app.key, service })
  const server = express()
  server.use(vedette.express())
  server.get('/throws', () => {
    throw new Error('mine')
  })
  server.get('/rejects', async () => {
    throw new Error('mine too')
  })
  const seen: string[] = []
  const onError: express.ErrorRequestHandler = (error: Error, _request, response, _next) => {
    seen.push(error.message)
    response.status(500).end()
  }
  server.use(onError)
  const url = await serve(server)
  expect((await get(`${url}/throws`)).status).toBe(500)
  expect((await get(`${url}/rejects`)).status).toBe(500)
  expect(seen).toEqual(['mine', 'mine too'])
  await vedette.flush()
  const rows = await rowsOf(service, 2)
  expect(rows.map(({ path, status_code }) => [path, status_code])).toEqual([
    ['/throws', 500],
    ['/rejects', 500],
  ])
})

test('hooks that throw or give nonsense cost the row what they would have given, and the request nothing', async () => {
  const service = freshService()
  const { vedette, warned } = vedetteFor({
    url: app.url,
    key: app.key,
    service,
    clientAddress: () => 'nonsense',
    user: fails,
    route: fails,
    attributes: fails,
    skip: fails,
    onDrop: fails,
  })
  const url = await serve(vedette.http((_request, response) => response.end('ok')))
  expect(await get(`${url}/`)).toMatchObject({ status: 200, body: 'ok' })
  await vedette.flush()
  const [row] = await rowsOf(service, 1)
  expect(row).toMatchObject({ ip: '::ffff:127.0.0.1', path: '/', user_id: '', route: '', attributes: '' })
  expect(vedette.stats().faults).toBe(4)
  expect(warned.toSorted()).toEqual(
    ['attributes', 'route', 'skip', 'user'].map((name) => `vedette: the hook ${name} threw: hook`),
  )
})

test('a middleware that stands in the way twice logs a request once', async () => {
  const service = freshService()
  const { vedette } = vedetteFor({ url: app.url, key: app.key, service })
  const server = express()
  server.use(vedette.express())
  server.use(vedette.express())
  server.get('/', (_request, response) => {
    response.end()
  })
  await get(await serve(vedette.http(server)))
  await vedette.flush()
  expect(vedette.stats().sent).toBe(1)
})

test('hostile requests become rows too: bytes of any kind in headers, paths up to the longest, methods of WebDAV', async () => {
  const service = freshService()
  const { vedette } = vedetteFor({ url: app.url, key: app.key, service })
  const server = createServer(
    { maxHeaderSize: 200_000 },
    vedette.http((_request, response) => response.end()),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const bytes = Array.from({ length: 256 }, (_, byte) => byte)
    .filter((byte) => byte >= 0x20 && byte !== 0x7f)
    .map((byte) => String.fromCharCode(byte))
    .join('')
  await get(`${url}/any`, { method: 'PROPFIND', headers: { 'user-agent': bytes, traceparent: 'nonsense' } })
  await get(`${url}/${'a'.repeat(100_000)}`, { headers: { host: 'h'.repeat(2000) } })
  await get(`${url}/%00%ff"\\'<script>`.replace('"', '%22'))
  expect(await vedette.flush()).toBe(true)
  expect(vedette.stats()).toMatchObject({ sent: 3, rejected: 0, dropped: 0, faults: 0 })
  const rows = await rowsOf(service, 3)
  expect(rows[0]).toMatchObject({ method: 'PROPFIND', user_agent: bytes.trim(), trace_id: '' })
  expect(rows[1]!.path).toHaveLength(65_536)
  expect(rows[1]!.host).toHaveLength(1024)
})

test('HTTP/2 is logged as well, without the bytes of answers that share a connection', async () => {
  const service = freshService()
  const { vedette } = vedetteFor({ url: app.url, key: app.key, service })
  const server = createHttp2Server(
    vedette.http((_request, response) => {
      response.end('ok')
    }) as unknown as (request: Http2ServerRequest, response: Http2ServerResponse) => void,
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  onTestFinished(() => client.close())
  const streams = ['/a', '/b'].map((path) => client.request({ ':path': path, 'user-agent': 'two' }))
  await Promise.all(streams.map((stream) => once(stream.resume(), 'close')))
  await expect.poll(() => vedette.stats().queued).toBe(2)
  await vedette.flush()
  expect(vedette.stats()).toMatchObject({ sent: 2, faults: 0 })
  const rows = await rowsOf(service, 2)
  expect(new Set(rows.map(({ path }) => path))).toEqual(new Set(['/a', '/b']))
  for (const row of rows)
    expect(row).toMatchObject({ protocol: 'HTTP/2.0', status_code: 200, user_agent: 'two', response_bytes: null })
})
