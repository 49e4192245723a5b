import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

import { Registry } from 'prom-client'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'

import { createLimiter, type Rule } from '../../src/ratelimit/index.ts'
import { createRedis, type Redis } from '../../src/redis/index.ts'
import { capturedLog } from '../support/log.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

const servers: RedisServer[] = []
let redis: Redis

const nodes = () => servers.map(({ port }) => `127.0.0.1:${port}`)

beforeAll(async () => {
  for (let node = 0; node < 3; node++)
    servers.push(await startRedis('--cluster-enabled', 'yes', '--cluster-node-timeout', '2000'))
  await promisify(execFile)('redis-cli', ['--cluster', 'create', ...nodes(), '--cluster-yes'])
  redis = createRedis(
    servers.map(({ url }) => url),
    { log: capturedLog().log },
  )
  await redis.start()
  // The nodes agree among themselves some time after they were told.
  await vi.waitFor(() => redis.set('probe', '1', 1_000), { timeout: 20_000 })
})

afterAll(async () => {
  await redis?.stop()
  await Promise.all(servers.map((server) => server.stop()))
})

it('keeps keys on every node of a cluster', async () => {
  const keys = Array.from({ length: 100 }, (_, index) => `key${index}`)
  await Promise.all(keys.map((key) => redis.set(key, key, 60_000)))
  expect(await Promise.all(keys.map((key) => redis.get(key)))).toEqual(keys)
  const counts = await Promise.all(
    servers.map(async ({ port }) =>
      Number((await promisify(execFile)('redis-cli', ['-p', String(port), 'dbsize'])).stdout),
    ),
  )
  for (const count of counts) expect(count).toBeGreaterThan(10)
})

it('carries messages and leases through a cluster', async () => {
  const heard: unknown[] = []
  redis.subscribe('news', (message) => heard.push(message))
  await expect
    .poll(async () => {
      await redis.publish('news', 'hello')
      return heard
    })
    .toContain('hello')
  const lease = await redis.acquire('job', { ttlMs: 300 })
  expect(await redis.acquire('job')).toBeUndefined()
  await lease!.release()
  expect((await redis.acquire('job'))?.held()).toBe(true)
})

it.each(['FIXED_WINDOW', 'SLIDING_WINDOW'] as const)(
  'counts limits on every node of a cluster: %s',
  async (algorithm) => {
    const limiter = createLimiter({ redis, log: capturedLog().log, registry: new Registry() })
    const rule: Rule = { id: 'cluster', limit: 2, windowSeconds: 60, algorithm, blockSeconds: 0 }
    await expect.poll(async () => (await limiter.consume({ ...rule, id: 'probe' }, 'probe')).degraded).toBe(false)
    const keys = Array.from({ length: 30 }, (_, index) => `203.0.113.${index}`)
    for (const passes of [true, true, false])
      for (const key of keys)
        expect(await limiter.consume(rule, key)).toMatchObject({ allowed: passes, degraded: false })
  },
)
