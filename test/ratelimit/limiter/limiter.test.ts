import { randomUUID } from 'node:crypto'

import { Redis as Connection } from 'ioredis'
import { Registry } from 'prom-client'
import { afterEach, describe, expect, inject, it } from 'vitest'

import { createLimiter, type Limiter, type Rule, type Verdict } from '../../../src/ratelimit/index.ts'
import { createRedis } from '../../../src/redis/index.ts'
import { capturedLog } from '../../support/log.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

interface Started {
  limiter: Limiter
  registry: Registry
  log: () => string
}

/** A limiter as one process has it. */
const start = async (urls: readonly string[], prefix = 'vedette:'): Promise<Started> => {
  const { log, text } = capturedLog()
  const redis = createRedis(urls, { log })
  const registry = new Registry()
  const limiter = createLimiter({ redis, log, registry, prefix })
  closers.push(() => redis.stop())
  await redis.start()
  if (urls.length > 0) {
    const probe: Rule = { ...RULE, id: `probe-${randomUUID()}` }
    await expect.poll(async () => (await limiter.consume(probe, randomUUID())).degraded).toBe(false)
  }
  return { limiter, registry, log: text }
}

const RULE: Rule = { id: 'test', limit: 5, windowSeconds: 60, algorithm: 'FIXED_WINDOW', blockSeconds: 0 }
const newRule = (change: Partial<Rule> = {}): Rule => ({ ...RULE, id: `test-${randomUUID()}`, ...change })

const consume = async (limiter: Limiter, rule: Rule, times: number, key = 'key'): Promise<Verdict[]> => {
  const verdicts: Verdict[] = []
  for (let time = 0; time < times; time++) verdicts.push(await limiter.consume(rule, key))
  return verdicts
}
const passed = (verdicts: readonly Verdict[]): number => verdicts.filter(({ allowed }) => allowed).length

describe.each([
  { where: 'in Redis', urls: () => [inject('redisUrl')] },
  { where: 'in memory', urls: () => [] },
])('$where', ({ urls }) => {
  describe.each(['FIXED_WINDOW', 'SLIDING_WINDOW'] as const)('%s', (algorithm) => {
    it('passes as many as the limit says, tells what is left, and until when to wait', async () => {
      const { limiter } = await start(urls())
      const verdicts = await consume(limiter, newRule({ algorithm }), 7)
      expect(verdicts.map(({ allowed }) => allowed)).toEqual([true, true, true, true, true, false, false])
      expect(verdicts.map(({ remaining }) => remaining)).toEqual([4, 3, 2, 1, 0, 0, 0])
      for (const { allowed, resetMs, retryAfterMs, limit, degraded } of verdicts) {
        expect({ limit, degraded }).toEqual({ limit: 5, degraded: false })
        expect(resetMs).toBeGreaterThan(50_000)
        expect(resetMs).toBeLessThanOrEqual(60_000)
        expect(retryAfterMs).toBe(allowed ? 0 : resetMs)
      }
    })

    it('counts each key, and each rule, by itself', async () => {
      const { limiter } = await start(urls())
      const [one, other] = [newRule({ algorithm }), newRule({ algorithm })]
      expect(passed(await consume(limiter, one, 6, 'a'))).toBe(5)
      expect(passed(await consume(limiter, one, 6, 'b'))).toBe(5)
      expect(passed(await consume(limiter, other, 6, 'a'))).toBe(5)
    })

    it('passes again when the window is over', async () => {
      const { limiter } = await start(urls())
      const rule = newRule({ algorithm, windowSeconds: 1 })
      expect(passed(await consume(limiter, rule, 6))).toBe(5)
      await expect.poll(async () => (await limiter.consume(rule, 'key')).allowed, { interval: 20 }).toBe(true)
    })

    it('keeps who went over away for as long as the policy says', async () => {
      const { limiter } = await start(urls())
      const [, over] = await consume(limiter, newRule({ algorithm, limit: 1, windowSeconds: 1, blockSeconds: 300 }), 2)
      expect(over).toMatchObject({ allowed: false })
      expect(over!.retryAfterMs).toBeGreaterThan(290_000)
    })

    it('says so at once, without asking the store, who is over the limit already', async () => {
      const { limiter } = await start(urls())
      const rule = newRule({ algorithm })
      await consume(limiter, rule, 6)
      expect(limiter.consume(rule, 'key')).toMatchObject({ allowed: false, remaining: 0 })
    })

    it('costs as many points as it is told', async () => {
      const { limiter } = await start(urls())
      const rule = newRule({ algorithm, limit: 10 })
      expect(await limiter.consume(rule, 'key', 7)).toMatchObject({ allowed: true, remaining: 3 })
      expect(await limiter.consume(rule, 'key', 4)).toMatchObject({ allowed: false })
    })
  })
})

it('lets FIXED_WINDOW pass up to twice the limit across two windows, and never more', async () => {
  const { limiter } = await start([inject('redisUrl')])
  const redis = new Connection(inject('redisUrl'))
  closers.push(() => redis.quit())
  const rule = newRule({ limit: 20, windowSeconds: 1 })
  await limiter.consume(rule, 'key')
  const key = (await redis.keys(`*${rule.id}*`))[0]!
  // Late in the first window, then as soon as the second begins.
  await expect.poll(() => redis.pttl(key), { interval: 5 }).toBeLessThan(200)
  const late = passed(await consume(limiter, rule, 30))
  await expect.poll(() => redis.exists(key), { interval: 1 }).toBe(0)
  await expect.poll(async () => (await limiter.consume(rule, 'key')).allowed, { interval: 1 }).toBe(true)
  const early = passed(await consume(limiter, rule, 30))
  expect({ late, early }).toEqual({ late: 19, early: 19 })
})

it.each(['FIXED_WINDOW', 'SLIDING_WINDOW'] as const)(
  'shares one count among processes: of 10,000 requests at random over two of them, %s passes exactly the limit',
  async (algorithm) => {
    const [one, other] = [await start([inject('redisUrl')]), await start([inject('redisUrl')])]
    const rule = newRule({ algorithm, limit: 1_000, windowSeconds: 3_600 })
    const verdicts: Verdict[] = []
    await Promise.all(
      Array.from({ length: 50 }, async () => {
        for (let request = 0; request < 200; request++)
          verdicts.push(await (Math.random() < 0.5 ? one : other).limiter.consume(rule, 'key'))
      }),
    )
    // Redis may keep somebody waiting on a busy machine; he was perhaps counted, and then decided on from memory.
    const late = verdicts.filter(({ degraded }) => degraded).length
    const shared = passed(verdicts.filter(({ degraded }) => !degraded))
    expect(shared).toBeLessThanOrEqual(1_000)
    expect(shared + late).toBeGreaterThanOrEqual(1_000)
    expect(late).toBeLessThan(500)
  },
)

const withRedis = async (): Promise<Started & { redis: RedisServer }> => {
  const redis = await startRedis()
  closers.push(() => redis.stop())
  return { ...(await start([redis.url])), redis }
}

describe('when Redis does not do its work', () => {
  /** Generous for a busy machine; the deadline is 50 ms, and it is one for each quarter of a second that waits for it. */
  const BOUND_MS = 250

  const timed = async (limiter: Limiter, rule: Rule, key: string): Promise<Verdict> => {
    const startedAt = performance.now()
    const verdict = await limiter.consume(rule, key)
    expect(performance.now() - startedAt).toBeLessThan(BOUND_MS)
    return verdict
  }

  it.each([
    ['frozen', (redis: RedisServer) => redis.freeze()],
    ['killed', (redis: RedisServer) => redis.kill()],
  ] as const)('%s: decisions go on within the deadline from memory, marked so', async (_how, fail) => {
    const { limiter, redis, log, registry } = await withRedis()
    const rule = newRule()
    expect(await limiter.consume(rule, 'key')).toMatchObject({ allowed: true, degraded: false })
    await fail(redis)
    const verdicts: Verdict[] = []
    for (let time = 0; time < 50; time++) verdicts.push(await timed(limiter, rule, 'key'))
    expect(verdicts.every(({ degraded }) => degraded)).toBe(true)
    // What memory counts it counts from nothing, and then as exactly as Redis.
    expect(passed(verdicts)).toBe(5)
    expect(log()).toContain('limits are counted by this process alone until Redis answers again')
    expect(await registry.metrics()).toMatch(/vedette_limiter_degraded_total 5\d/)
  })

  it('frozen: of many at once, all wait for one deadline together, and later ones not at all', async () => {
    const { limiter, redis } = await withRedis()
    redis.freeze()
    const rule = newRule({ limit: 1_000_000 })
    const startedAt = performance.now()
    const verdicts = await Promise.all(
      Array.from({ length: 500 }, async (_, index) => limiter.consume(rule, `key${index}`)),
    )
    expect(performance.now() - startedAt).toBeLessThan(BOUND_MS)
    expect(verdicts.every(({ degraded, allowed }) => degraded && allowed)).toBe(true)
  })

  it.each([
    ['thawed', (redis: RedisServer) => redis.freeze(), (redis: RedisServer) => redis.thaw()],
    ['restarted', (redis: RedisServer) => redis.kill(), (redis: RedisServer) => redis.restart()],
  ] as const)('%s: counts are shared again', async (_how, fail, mend) => {
    const { limiter, redis, log } = await withRedis()
    const other = await start([redis.url])
    await fail(redis)
    await expect.poll(async () => (await limiter.consume(newRule(), 'key')).degraded).toBe(true)
    await mend(redis)
    await expect.poll(async () => (await limiter.consume(newRule(), 'key')).degraded).toBe(false)
    await expect.poll(async () => (await other.limiter.consume(newRule(), 'key')).degraded).toBe(false)
    const rule = newRule()
    const verdicts = [...(await consume(limiter, rule, 3)), ...(await consume(other.limiter, rule, 3))]
    expect(passed(verdicts)).toBe(5)
    expect(log()).toContain('limits are counted in Redis again')
  })

  it('never takes a store’s error for a limit', async () => {
    const redis = await startRedis('--maxmemory', '1mb', '--maxmemory-policy', 'noeviction')
    closers.push(() => redis.stop())
    const { log } = capturedLog()
    const remote = createRedis([redis.url], { log })
    closers.push(() => remote.stop())
    const limiter = createLimiter({ redis: remote, log, registry: new Registry() })
    await remote.start()
    // Redis starts with more than this in use, so it refuses every write.
    expect(await limiter.consume(newRule(), 'key')).toMatchObject({ allowed: true, degraded: true })
  })
})
