import { randomUUID } from 'node:crypto'

import * as fc from 'fast-check'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'

import { newLog, SCRIPT, slide, type SlidingRule } from '../../../src/ratelimit/limiter/sliding-window.ts'

interface Step {
  allowed: boolean
  remaining: number
  resetMs: number
  retryAfterMs: number
}

/** Requests of one key: pauses in ms between them. Bursts and long silences both. */
const traffic = fc.record({
  limit: fc.integer({ min: 1, max: 60 }),
  windowMs: fc.constantFrom(1_000, 8_000, 60_000),
  pauses: fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 200 }), fc.integer({ min: 200, max: 20_000 })), {
    minLength: 1,
    maxLength: 300,
  }),
})

const times = (pauses: readonly number[]): number[] => {
  let now = 1_700_000_000_000
  return pauses.map((pause) => (now += pause))
}

const run = (
  { limit, windowMs, pauses }: { limit: number; windowMs: number; pauses: readonly number[] },
  blockMs = 0,
) => {
  const log = newLog()
  return times(pauses).map((now) => ({ now, ...slide(log, { limit, windowMs, blockMs }, 1, now) }))
}

/** The most that passed within any (t - window, t]. */
const densest = (passed: readonly number[], windowMs: number): number =>
  Math.max(0, ...passed.map((end) => passed.filter((at) => at <= end && at > end - windowMs).length))

describe('in memory', () => {
  it('lets no window of the policy’s length pass more than limit + 1/8', () => {
    fc.assert(
      fc.property(traffic, (given) => {
        const passed = run(given).flatMap(({ allowed, now }) => (allowed ? [now] : []))
        expect(densest(passed, given.windowMs)).toBeLessThanOrEqual(given.limit + Math.floor(given.limit / 8))
      }),
      { numRuns: 300 },
    )
  })

  it('is exact below a limit of 16', () => {
    fc.assert(
      fc.property(traffic, (given) => {
        const exact = { ...given, limit: Math.min(given.limit, 15) }
        const passed = run(exact).flatMap(({ allowed, now }) => (allowed ? [now] : []))
        expect(densest(passed, exact.windowMs)).toBeLessThanOrEqual(exact.limit)
      }),
      { numRuns: 300 },
    )
  })

  it('denies nobody who has room in the window that ends now', () => {
    fc.assert(
      fc.property(traffic, (given) => {
        const passed: number[] = []
        for (const { now, allowed } of run(given)) {
          const within = passed.filter((at) => at > now - given.windowMs).length
          if (within < given.limit) expect(allowed).toBe(true)
          if (allowed) passed.push(now)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('passes again after the time that it names, and not a millisecond earlier', () => {
    fc.assert(
      fc.property(traffic, (given) => {
        const rule = { limit: given.limit, windowMs: given.windowMs, blockMs: 0 }
        const log = newLog()
        for (const now of times(given.pauses)) {
          const { allowed, retryAfterMs } = slide(log, rule, 1, now)
          if (allowed) continue
          expect(slide(structuredClone(log), rule, 1, now + retryAfterMs - 1).allowed).toBe(false)
          expect(slide(structuredClone(log), rule, 1, now + retryAfterMs).allowed).toBe(true)
        }
      }),
      { numRuns: 100 },
    )
  })

  it('keeps a key that went over its limit away for as long as the policy says', () => {
    const pauses = [0, 0, 0, 4_000, 5_999, 1]
    expect(run({ limit: 2, windowMs: 1_000, pauses }, 10_000).map(({ allowed }) => allowed)).toEqual([
      true,
      true,
      false,
      false,
      false,
      true,
    ])
  })
})

describe('in Redis', () => {
  let redis: Redis
  beforeAll(() => {
    redis = new Redis(inject('redisUrl'))
  })
  afterAll(() => redis.quit())

  const ask = async (
    key: string,
    { limit, windowMs, blockMs }: SlidingRule,
    points: number,
    now: number,
  ): Promise<Step> => {
    const [allowed, remaining, resetMs, retryAfterMs] = (await redis.eval(
      SCRIPT,
      1,
      key,
      limit,
      windowMs,
      points,
      blockMs,
      now,
    )) as [number, number, number, number]
    return { allowed: allowed === 1, remaining, resetMs, retryAfterMs }
  }

  it('says what memory says, at every step of any traffic', async () => {
    await fc.assert(
      fc.asyncProperty(
        traffic,
        fc.constantFrom(0, 0, 500, 30_000),
        fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 300, maxLength: 300 }),
        async ({ limit, windowMs, pauses }, blockMs, points) => {
          const key = `sliding:${randomUUID()}`
          const rule = { limit, windowMs, blockMs }
          const log = newLog()
          // The script is told the time, so what Redis itself would forget by now it must still be asked about at once.
          for (const [index, now] of times(pauses.slice(0, 60)).entries())
            expect(await ask(key, rule, points[index]!, now)).toEqual(slide(log, rule, points[index]!, now))
        },
      ),
      { numRuns: 40 },
    )
  })

  it('goes by the clock of Redis where it is told none, and leaves nothing behind after a window', async () => {
    const key = `sliding:${randomUUID()}`
    const answers = []
    for (let request = 0; request < 3; request++) answers.push(await redis.eval(SCRIPT, 1, key, 2, 60_000, 1, 0))
    expect(answers).toMatchObject([
      [1, 1, 60_000, 0],
      [1, 0, expect.any(Number), 0],
      [0, 0, expect.any(Number), expect.any(Number)],
    ])
    const left = await redis.pttl(key)
    expect(left).toBeGreaterThan(55_000)
    expect(left).toBeLessThanOrEqual(60_000)
  })
})
