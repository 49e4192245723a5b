import { Registry } from 'prom-client'
import { afterEach, expect, inject, it } from 'vitest'

import type { Principal } from '../../src/http/index.ts'
import { createGuards, createLimiter, type Guards } from '../../src/ratelimit/index.ts'
import { createRedis } from '../../src/redis/index.ts'
import { principal } from '../http/support.ts'
import { silent } from '../support/clickhouse.ts'

const undo: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step()
})

/** As a process has them. */
const process = async (redisUrl?: string): Promise<Guards> => {
  const redis = createRedis(redisUrl ? [redisUrl] : [], { log: silent })
  undo.push(() => redis.stop())
  const limiter = createLimiter({ redis, log: silent, registry: new Registry() })
  await redis.start()
  return createGuards(limiter)
}

let made = 0
/** A key that no other test has counted. */
const key = (limits: Partial<Principal>): Principal => ({
  ...principal('COLLECT'),
  keyId: `key_${Date.now()}_${made++}`,
  ...limits,
})

/** How many of so many POSTs pass, a thousand at a time and by the processes in turn. */
const passed = async (guards: readonly Guards[], who: Principal, posts: number): Promise<number> => {
  let allowed = 0
  for (let sent = 0; sent < posts; sent += 1_000) {
    const counted = Array.from({ length: Math.min(1_000, posts - sent) }, async (_, n) =>
      guards[n % guards.length]!.countPost(who),
    )
    for (const verdict of await Promise.all(counted)) if (verdict.allowed) allowed++
  }
  return allowed
}

it.each([1, 10, 999, 2_000, 50_000])('of many POSTs at once just postsPerMinute = %d pass', async (postsPerMinute) => {
  const guards = await process()
  const who = key({ postsPerMinute })
  expect(await passed([guards], who, 3_000)).toBe(Math.min(3_000, postsPerMinute))
  expect(await passed([guards], who, 60_000)).toBe(Math.max(0, postsPerMinute - 3_000))
  const over = await guards.countPost(who)
  expect(over).toMatchObject({ allowed: false, limit: postsPerMinute, remaining: 0 })
  expect(over.retryAfterMs).toBeGreaterThan(0)
  expect(over.retryAfterMs).toBeLessThanOrEqual(60_000)
  expect(await passed([guards], key({ postsPerMinute }), 1)).toBe(1)
})

it.each([
  [500, 0],
  [50_000, 100],
])(
  'processes on one Redis share one count: of %d POSTs a minute never more pass, and at most %d fewer',
  async (postsPerMinute, fewer) => {
    const both = [await process(inject('redisUrl')), await process(inject('redisUrl'))]
    const who = key({ postsPerMinute })
    const sum = (await passed(both, who, postsPerMinute)) + (await passed(both, who, postsPerMinute))
    expect(sum).toBeLessThanOrEqual(postsPerMinute)
    expect(sum).toBeGreaterThanOrEqual(postsPerMinute - fewer)
  },
)

it('most POSTs of an ordinary key are answered from memory, without waiting', async () => {
  const guards = await process(inject('redisUrl'))
  const who = key({ postsPerMinute: 300_000 })
  let waited = 0
  for (let n = 0; n < 3_000; n++) {
    const counted = guards.countPost(who)
    if (!(counted instanceof Promise)) continue
    waited++
    await counted
  }
  expect(waited).toBe(10)
})

it('points are spent by their number, and are one sum over processes', async () => {
  const [one, other] = [await process(inject('redisUrl')), await process(inject('redisUrl'))]
  const who = key({ pointsPerHour: 100 })
  expect(await one.spendPoints(who, 60)).toMatchObject({ allowed: true, limit: 100, remaining: 40 })
  expect(await other.spendPoints(who, 40)).toMatchObject({ allowed: true, remaining: 0 })
  const over = await one.spendPoints(who, 1)
  expect(over).toMatchObject({ allowed: false, remaining: 0 })
  expect(over.retryAfterMs).toBeGreaterThan(3_590_000)
})
