import { afterEach, expect, it } from 'vitest'

import { createRedis, type Redis, RedisError } from '../../src/redis/index.ts'
import { capturedLog } from '../support/log.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

const DEADLINE_MS = 200
const closers: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

const start = async (): Promise<{ server: RedisServer; redis: Redis; text: () => string }> => {
  const server = await startRedis()
  const { log, text } = capturedLog()
  const redis = createRedis([server.url.replace('//', '//default:hunter2hunter2@')], { log, deadlineMs: DEADLINE_MS })
  closers.push(server.stop, redis.stop)
  await redis.start()
  return { server, redis, text }
}

const failure = async (work: Promise<unknown>): Promise<{ kind: string; ms: number }> => {
  const startedAt = performance.now()
  const error = await work.then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(error).toBeInstanceOf(RedisError)
  return { kind: (error as RedisError).kind, ms: performance.now() - startedAt }
}

it('starts without Redis, fails each call at once, and works when Redis comes', async () => {
  const { server, redis: first } = await start()
  await first.stop()
  await server.kill()
  const redis = createRedis([server.url], { log: capturedLog().log, deadlineMs: DEADLINE_MS })
  closers.push(redis.stop)
  await redis.start()
  expect(await failure(redis.get('a'))).toMatchObject({ kind: 'unavailable' })
  const heard: unknown[] = []
  redis.subscribe('news', (message) => heard.push(message))
  await server.restart()
  await expect
    .poll(
      () =>
        redis.ping().then(
          () => 'ok',
          () => 'away',
        ),
      { timeout: 10_000 },
    )
    .toBe('ok')
  await expect
    .poll(
      async () => {
        await redis.publish('news', 1)
        return heard.length
      },
      { timeout: 10_000 },
    )
    .toBeGreaterThan(0)
})

it('fails within the deadline while Redis is frozen, and recovers, subscriptions included', async () => {
  const { server, redis } = await start()
  const heard: unknown[] = []
  redis.subscribe('news', (message) => heard.push(message))
  await redis.set('kept', 'yes', 60_000)
  server.freeze()
  for (const call of [
    () => redis.get('kept'),
    () => redis.setIfAbsent('x', '1', 1000),
    () => redis.publish('news', 1),
    () => redis.acquire('l'),
  ]) {
    const { kind, ms } = await failure(call())
    expect(['timeout', 'unavailable']).toContain(kind)
    // The connection itself is given up after 2 s.
    expect(ms).toBeLessThan(1_000)
  }
  // Long enough for the connection to be given up: calls then fail at once instead of waiting.
  await expect
    .poll(() => failure(redis.get('kept')), { timeout: 10_000, interval: 100 })
    .toMatchObject({ kind: 'unavailable' })
  server.thaw()
  await expect.poll(() => redis.get('kept').catch(() => 'away'), { timeout: 10_000 }).toBe('yes')
  await expect
    .poll(
      async () => {
        await redis.publish('news', 2).catch(() => {})
        return heard
      },
      { timeout: 10_000 },
    )
    .toContain(2)
})

it('leaves no lease behind that was asked for in vain', async () => {
  const { server, redis } = await start()
  server.freeze()
  expect(await failure(redis.acquire('vain', { ttlMs: 60_000 }))).toMatchObject({ kind: 'timeout' })
  server.thaw()
  await expect
    .poll(
      () =>
        redis.acquire('vain', { ttlMs: 60_000 }).then(
          (lease) => lease?.held(),
          () => 'away',
        ),
      { timeout: 10_000 },
    )
    .toBe(true)
})

it('tells the holder of a lease in time when Redis dies', async () => {
  const { server, redis } = await start()
  const askedAt = performance.now()
  const lease = await redis.acquire('job', { ttlMs: 600 })
  await server.kill()
  const lostAfter = await new Promise<number>((resolve) =>
    lease!.signal.addEventListener('abort', () => resolve(performance.now() - askedAt)),
  )
  expect(lostAfter).toBeLessThan(2_000)
  expect(lease!.held()).toBe(false)
})

it('recovers after Redis was killed', async () => {
  const { server, redis } = await start()
  await server.kill()
  await expect.poll(() => failure(redis.ping())).toMatchObject({ kind: 'unavailable' })
  await server.restart()
  await expect.poll(() => redis.setIfAbsent('again', '1', 60_000).catch(() => 'away'), { timeout: 10_000 }).toBe(true)
})

it('tells an answer that refuses from no answer', async () => {
  const server = await startRedis('--maxmemory', '1', '--maxmemory-policy', 'noeviction')
  const redis = createRedis([server.url], { log: capturedLog().log })
  closers.push(server.stop, redis.stop)
  await redis.start()
  expect(await failure(redis.set('a', 'b', 1_000))).toMatchObject({ kind: 'refused' })
})

it('logs one line when Redis goes and one when it is back, and never its password', async () => {
  const { server, redis, text } = await start()
  await server.kill()
  await expect.poll(() => text(), { timeout: 10_000 }).toContain('Redis is away')
  await server.restart()
  await expect
    .poll(
      () =>
        redis.ping().then(
          () => 'ok',
          () => 'away',
        ),
      { timeout: 10_000 },
    )
    .toBe('ok')
  await expect.poll(() => text().match(/Redis is back/g)?.length, { timeout: 10_000 }).toBe(2)
  expect(text().match(/Redis is away/g)).toHaveLength(2)
  expect(text()).not.toContain('hunter2')
})
