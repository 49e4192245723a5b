import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'

import { expect, onTestFinished, test } from 'vitest'

import { sql } from '../../src/clickhouse/index.ts'
import type { Drop } from '../../src/middleware/index.ts'
import { testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { freePort } from '../support/free-port.ts'
import { createGate } from '../support/gate.ts'
import { countOf, freshService, get, listen, serve, vedetteFor } from './support.ts'

const database = testDatabase()
const app = testApp(database)

const answer = (_request: IncomingMessage, response: ServerResponse): void => {
  response.end('ok')
}

/** A service that is asked for one path after the other. */
const visit = async (url: string, from: number, to: number): Promise<void> => {
  for (let index = from; index < to; index++) expect((await get(`${url}/${index}`)).status).toBe(200)
}

/** A collector that answers as it is told, and remembers what it was sent. */
const collector = async (reply: (body: string, response: ServerResponse) => void) => {
  const posts: { key: string | undefined; body: string; at: number }[] = []
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      posts.push({ key: request.headers['idempotency-key'] as string | undefined, body, at: performance.now() })
      reply(body, response)
    })
  })
  return { url: await listen(server), posts }
}

const linesOf = (body: string): string[] => body.split('\n').filter(Boolean)
const took = (body: string, response: ServerResponse): void => {
  response.writeHead(202, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ accepted: linesOf(body).length, rejected: 0, errors: [] }))
}

/** Milliseconds of 200 requests one after the other, sorted. */
const timed = async (base: string): Promise<number[]> => {
  const times: number[] = []
  for (let index = 0; index < 200; index++) {
    const start = performance.now()
    await get(`${base}/${index}`)
    times.push(performance.now() - start)
  }
  return times.toSorted((a, b) => a - b)
}

test('a batch is sent again with the same bytes and the same Idempotency-Key until it is taken', async () => {
  let refusals = 3
  const { url, posts } = await collector((body, response) => {
    if (refusals-- > 0) response.writeHead(503).end()
    else took(body, response)
  })
  const { vedette } = vedetteFor({ url, key: 'k', service: 'shop' })
  const own = await serve(vedette.http(answer))
  await visit(own, 0, 5)
  expect(await vedette.flush()).toBe(true)
  expect(posts).toHaveLength(4)
  expect(new Set(posts.map(({ key, body }) => `${key} ${body}`)).size).toBe(1)
  expect(linesOf(posts[0]!.body)).toHaveLength(5)
  expect(vedette.stats()).toMatchObject({ sent: 5, retried: 3, queued: 0, dropped: 0 })
  await visit(own, 5, 6)
  await vedette.flush()
  expect(posts[4]!.key).not.toBe(posts[0]!.key)
})

test('what Retry-After asks for is waited for', async () => {
  let isFull = true
  const { url, posts } = await collector((body, response) => {
    if (isFull) response.writeHead(429, { 'retry-after': '1' }).end()
    else took(body, response)
    isFull = false
  })
  const { vedette } = vedetteFor({ url, key: 'k', service: 'shop', batch: { maxDelayMs: 10 } })
  await visit(await serve(vedette.http(answer)), 0, 1)
  await expect.poll(() => vedette.stats().sent).toBe(1)
  expect(posts[1]!.at - posts[0]!.at).toBeGreaterThan(990)
})

test('rows wait for others until the batch is full or maxDelayMs is over', async () => {
  const { url, posts } = await collector(took)
  const { vedette } = vedetteFor({ url, key: 'k', service: 'shop', batch: { maxRows: 10, maxDelayMs: 300 } })
  const own = await serve(vedette.http(answer))
  await visit(own, 0, 25)
  const last = performance.now()
  await expect.poll(() => vedette.stats().sent).toBe(25)
  const rows = posts.map(({ body }) => linesOf(body).length)
  expect(Math.max(...rows)).toBeLessThanOrEqual(10)
  expect(posts.at(-1)!.at - last).toBeLessThan(2000)
})

test('Vedette away for long: the service goes on, memory stays bounded, and what had no room is counted and told', async () => {
  const name = freshService()
  const gate = await createGate(app.url)
  onTestFinished(() => gate.close())
  await gate.close()
  const drops: Drop[] = []
  const { vedette, warned } = vedetteFor({
    url: gate.url,
    key: app.key,
    service: name,
    batch: { maxRows: 50, maxDelayMs: 10 },
    buffer: { maxRows: 300 },
    onDrop: (drop) => drops.push(drop),
  })
  const url = await serve(vedette.http(answer))
  await visit(url, 0, 500)
  expect(vedette.stats()).toMatchObject({ queued: 300, dropped: 200, sent: 0 })
  await expect.poll(() => drops.reduce((sum, { rows }) => sum + rows, 0)).toBe(200)
  expect(drops[0]!.reason).toMatch(/buffer is full; see buffer\.maxRows/)
  expect(warned.join('\n')).toMatch(/Vedette does not take request logs \(.*ECONNREFUSED/)
  await gate.open()
  expect(await vedette.flush()).toBe(true)
  // The oldest are kept: what was dropped is the newest.
  await expect.poll(() => countOf(database.clickhouse, name)).toEqual({ rows: 300, paths: 300 })
  const { rows } = await database.clickhouse.query<{ path: string }>(
    sql`SELECT path FROM request_logs WHERE service = ${name} AND toUInt32(substring(path, 2)) >= 300`,
  )
  expect(rows).toEqual([])
})

test('the buffer is bounded by bytes as well', async () => {
  const { vedette } = vedetteFor({
    url: `http://127.0.0.1:${await freePort()}`,
    key: 'k',
    service: 'shop',
    buffer: { maxBytes: 2 ** 21 },
  })
  const url = await serve(vedette.http(answer))
  const long = 'x'.repeat(12_000)
  for (let index = 0; index < 400; index++) await get(`${url}/${index}?${long}`)
  const { queued, queuedBytes, dropped } = vedette.stats()
  expect(queued + dropped).toBe(400)
  expect(dropped).toBeGreaterThan(0)
  // A batch of 1 MiB may be begun just below the bound.
  expect(queuedBytes).toBeLessThanOrEqual(3 * 2 ** 20)
})

test('a refused key: the rows are dropped with a warning that says what to do, and nothing is sent again', async () => {
  const { vedette, warned } = vedetteFor({ url: app.url, key: 'not-a-key', service: freshService() })
  await visit(await serve(vedette.http(answer)), 0, 3)
  expect(await vedette.flush()).toBe(true)
  expect(vedette.stats()).toMatchObject({ dropped: 3, sent: 0, retried: 0, queued: 0 })
  await expect
    .poll(() => warned.join('\n'))
    .toMatch(/3 request logs dropped: Vedette refused them with 401.*vedette keys create/)
})

test('a row that Vedette refuses is counted by itself; the others of its batch are stored', async () => {
  const name = freshService()
  const { vedette, warned } = vedetteFor<IncomingMessage>({
    url: app.url,
    key: app.key,
    service: name,
    attributes: ({ url }) => (url === '/1' ? ({ nested: { no: true } } as never) : undefined),
  })
  await visit(await serve(vedette.http(answer)), 0, 3)
  expect(await vedette.flush()).toBe(true)
  expect(vedette.stats()).toMatchObject({ sent: 2, rejected: 1, dropped: 0 })
  expect(warned.join('\n')).toMatch(/refused 1 of 3 rows: attributes\.nested/)
  await expect.poll(() => countOf(database.clickhouse, name)).toEqual({ rows: 2, paths: 2 })
})

test('compressed batches are stored like others', async () => {
  const name = freshService()
  const { vedette } = vedetteFor({ url: app.url, key: app.key, service: name, gzip: true })
  await visit(await serve(vedette.http(answer)), 0, 100)
  expect(await vedette.flush()).toBe(true)
  await expect.poll(() => countOf(database.clickhouse, name)).toEqual({ rows: 100, paths: 100 })
})

test('a Vedette that accepts connections and never answers does not slow the service', async () => {
  const silent = createServer(() => {})
  const { vedette } = vedetteFor({
    url: await listen(silent),
    key: 'k',
    service: 'shop',
    batch: { maxRows: 10, maxDelayMs: 10 },
    buffer: { maxRows: 100 },
  })
  const url = await serve(vedette.http(answer))
  const bare = await serve(answer)
  await timed(bare)
  const without = await timed(bare)
  const beside = await timed(url)
  expect(beside[100]!).toBeLessThan(without[100]! * 3 + 5)
  const { queued, dropped } = vedette.stats()
  expect(queued + dropped).toBe(200)
})

test('close sends what is left, and what Vedette has not taken by the deadline is dropped and counted', async () => {
  const name = freshService()
  const good = vedetteFor({ url: app.url, key: app.key, service: name }).vedette
  await visit(await serve(good.http(answer)), 0, 10)
  await good.close()
  expect(good.stats()).toMatchObject({ sent: 10, queued: 0, dropped: 0 })
  await expect.poll(() => countOf(database.clickhouse, name)).toEqual({ rows: 10, paths: 10 })

  const { vedette: lost, warned } = vedetteFor({ url: `http://127.0.0.1:${await freePort()}`, key: 'k', service: name })
  const url = await serve(lost.http(answer))
  await visit(url, 0, 10)
  const start = performance.now()
  await lost.close({ deadlineMs: 300 })
  expect(performance.now() - start).toBeLessThan(2000)
  expect(lost.stats()).toMatchObject({ sent: 0, queued: 0, dropped: 10 })
  expect(warned.join('\n')).toMatch(/10 request logs dropped: vedette\.close\(\) waited 300 ms/)
  // The server may still answer; its rows are counted.
  await visit(url, 10, 11)
  expect(lost.stats()).toMatchObject({ queued: 0, dropped: 11 })
})

test('close finds a Vedette that comes back within the deadline', async () => {
  const name = freshService()
  const gate = await createGate(app.url)
  onTestFinished(() => gate.close())
  await gate.close()
  const { vedette } = vedetteFor({ url: gate.url, key: app.key, service: name, batch: { maxDelayMs: 10 } })
  await visit(await serve(vedette.http(answer)), 0, 10)
  await expect.poll(() => vedette.stats().retried).toBeGreaterThan(1)
  const closed = vedette.close({ deadlineMs: 10_000 })
  await gate.open()
  await closed
  expect(vedette.stats()).toMatchObject({ sent: 10, dropped: 0 })
})

test('rows under way do not keep a process alive that has nothing else to do', async () => {
  const silent = createServer(() => {})
  const url = await listen(silent)
  const script = `
    import { createServer, get } from 'node:http'
    import { createVedette } from ${JSON.stringify(new URL('../../src/middleware/index.ts', import.meta.url).href)}
    const vedette = createVedette({ url: ${JSON.stringify(url)}, key: 'k', service: 's', batch: { maxDelayMs: 1 } })
    const server = createServer(vedette.http((request, response) => response.end()))
    server.listen(0, '127.0.0.1', () => get({ port: server.address().port, agent: false }, (response) => response.resume().on('end', () => server.close())))
  `
  const start = performance.now()
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: 'inherit' })
  const [code] = (await once(child, 'exit')) as [number]
  expect(code).toBe(0)
  expect(performance.now() - start).toBeLessThan(20_000)
})
