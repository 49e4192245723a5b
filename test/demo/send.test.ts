import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import { afterEach, expect, test } from 'vitest'

import { encodeNdjson, generateDay, send, SendError, type DemoEvent } from '../../src/demo/index.ts'
import { sql } from '../../src/clickhouse/index.ts'
import { testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'

const database = testDatabase()
const service = testApp(database)

const events = generateDay({ seed: 9, day: new Date('2026-11-18T00:00:00Z'), requests: 6_000 }).events()

interface Post {
  headers: IncomingHttpHeaders
  rows: DemoEvent[]
}

let server: Server | undefined
afterEach(async () => {
  server?.closeAllConnections()
  await new Promise((closed) => (server ? server.close(closed) : closed(undefined)))
  server = undefined
})

/** A collector that has its troubles: `answer` says how it answers each POST. */
const troubled = async (answer: (post: Post, turn: number, response: ServerResponse) => void): Promise<string> => {
  let turn = 0
  server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const lines = Buffer.concat(chunks).toString().trimEnd().split('\n')
      answer({ headers: request.headers, rows: lines.map((line) => JSON.parse(line) as DemoEvent) }, turn++, response)
    })
  })
  await new Promise<void>((listening) => server!.listen(0, '127.0.0.1', listening))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const take = (response: ServerResponse, rows: number): void => {
  response.writeHead(202, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ batchId: '1', accepted: rows, rejected: 0, errors: [] }))
}

test('the collector takes every event, and the same day sent again adds nothing', async () => {
  const { url, key } = service
  const progress: number[] = []
  const result = await send({ url, key, events, onProgress: (sent) => progress.push(sent) })
  expect(result).toMatchObject({ accepted: events.length, rejected: 0, errors: [], stored: true })
  expect(progress.at(-1)).toBe(events.length)

  const again = await send({ url, key, events })
  expect(again.accepted).toBe(events.length)
  const { rows } = await database.clickhouse.query(
    sql`SELECT count() AS requests, uniqExact(ip) AS addresses, countIf(status_code >= 400) AS errors FROM request_logs`,
  )
  expect(rows.map((row) => Object.values(row).map(Number))).toEqual([
    [events.length, new Set(events.map(({ ip }) => ip)).size, events.filter(({ status }) => status >= 400).length],
  ])
})

test('POSTs that are turned away or cut off are sent again with the same key and bytes', async () => {
  const keys = new Map<string, string>()
  const taken: DemoEvent[] = []
  const url = await troubled(({ headers, rows }, turn, response) => {
    const key = String(headers['idempotency-key'])
    const body = encodeNdjson(rows)
    expect(keys.get(key) ?? body).toBe(body)
    keys.set(key, body)
    if (turn === 0) return void response.writeHead(503, { 'retry-after': '0' }).end()
    if (turn === 1) return void response.writeHead(429, { 'retry-after': '0' }).end()
    if (turn === 2) return void response.destroy()
    taken.push(...rows)
    take(response, rows.length)
  })
  const result = await send({ url, key: 'k', events: events.slice(0, 1_000), rowsPerPost: 250 })
  expect(result.accepted).toBe(1_000)
  expect(result.retries).toBeGreaterThanOrEqual(3)
  expect(taken.map((event) => JSON.stringify(event)).sort()).toEqual(
    events
      .slice(0, 1_000)
      .map((event) => JSON.stringify(event))
      .sort(),
  )
})

test('a refusal ends it at once, in the words of the collector', async () => {
  const url = await troubled((_post, _turn, response) => void response.writeHead(401).end('{"title":"Unauthorized"}'))
  const failing = send({ url, key: 'wrong', events: events.slice(0, 5_000) })
  await expect(failing).rejects.toThrow(SendError)
  await expect(failing).rejects.toThrow(/refused rows \d+ to \d+: 401 .*Unauthorized/)
})

test('it gives up after its attempts, and stops when told', async () => {
  const url = await troubled(
    (_post, _turn, response) => void response.writeHead(503, { 'retry-after': '0' }).end('full'),
  )
  await expect(send({ url, key: 'k', events: events.slice(0, 10), attempts: 3 })).rejects.toThrow(
    `the collector at ${url} did not take rows after 3 attempts: 503 full`,
  )
  const stop = new AbortController()
  const sending = send({ url, key: 'k', events, signal: stop.signal })
  stop.abort()
  await expect(sending).rejects.toThrow(/abort/i)
})

test('rows that were refused are told by their place in the day', async () => {
  const url = await troubled(({ rows }, _turn, response) => {
    response.writeHead(202, { 'content-type': 'application/json' })
    const errors = [{ index: 3, field: 'ip', message: 'ip is missing' }]
    response.end(JSON.stringify({ batchId: '1', accepted: rows.length - 1, rejected: 1, errors }))
  })
  const result = await send({ url, key: 'k', events: events.slice(0, 300), rowsPerPost: 100, concurrency: 1 })
  expect(result.rejected).toBe(3)
  expect(result.errors.map(({ index }) => index)).toEqual([3, 103, 203])
})
