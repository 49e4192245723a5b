import { randomUUID } from 'node:crypto'

import { afterEach, describe, expect, inject, it } from 'vitest'

import { createRedis, type Redis } from '../../src/redis/index.ts'
import { capturedLog } from '../support/log.ts'

const open: Redis[] = []

afterEach(async () => {
  await Promise.all(open.splice(0).map((redis) => redis.stop()))
})
/** Nothing of another run, nor of another test. */
const newPrefix = () => `${randomUUID()}:`

describe.each([{ where: 'Redis' }, { where: 'the stand-in' }])('$where', ({ where }) => {
  const start = async (): Promise<Redis> => {
    const redis = createRedis(where === 'Redis' ? [inject('redisUrl')] : [], {
      log: capturedLog().log,
      prefix: newPrefix(),
    })
    open.push(redis)
    await redis.start()
    return redis
  }

  it('says whether other processes see the same', async () => {
    expect((await start()).shared).toBe(where === 'Redis')
  })

  it('keeps a value until its time is over', async () => {
    const redis = await start()
    await redis.set('a', 'one', 60_000)
    await redis.set('b', 'two', 30)
    expect(await redis.get('a')).toBe('one')
    await expect.poll(() => redis.get('b')).toBeUndefined()
    expect(await redis.get('a')).toBe('one')
    await redis.delete('a')
    expect(await redis.get('a')).toBeUndefined()
  })

  it('lets exactly one of many set what is absent, and once more after its time', async () => {
    const redis = await start()
    const wins = await Promise.all(Array.from({ length: 50 }, (_, index) => redis.setIfAbsent('k', `${index}`, 200)))
    expect(wins.filter(Boolean)).toHaveLength(1)
    expect(await redis.get('k')).toBe(`${wins.indexOf(true)}`)
    await expect.poll(() => redis.setIfAbsent('k', 'later', 60_000)).toBe(true)
    expect(await redis.get('k')).toBe('later')
  })

  it('brings a message to each listener of its channel, this process included, until it stops listening', async () => {
    const redis = await start()
    const heard: unknown[] = []
    const stop = redis.subscribe('news', (message) => heard.push(['first', message]))
    redis.subscribe('news', (message) => heard.push(['second', message]))
    redis.subscribe('other', (message) => heard.push(['other', message]))
    await expect
      .poll(async () => {
        await redis.publish('other', 'warm')
        return heard.length
      })
      .toBeGreaterThan(0)
    heard.length = 0
    await redis.publish('news', { id: 1 })
    await expect
      .poll(() => heard.filter(([who]: any) => who !== 'other'))
      .toEqual([
        ['first', { id: 1 }],
        ['second', { id: 1 }],
      ])
    heard.length = 0
    stop()
    await redis.publish('news', { id: 2 })
    await expect.poll(() => heard.filter(([who]: any) => who !== 'other')).toEqual([['second', { id: 2 }]])
  })

  it('keeps bringing messages after a listener threw', async () => {
    const redis = await start()
    const heard: unknown[] = []
    redis.subscribe('news', (message) => {
      heard.push(message)
      if (message === 'bad') throw new Error('no')
    })
    await expect
      .poll(async () => {
        await redis.publish('news', 'warm')
        return heard.length
      })
      .toBeGreaterThan(0)
    await redis.publish('news', 'bad')
    await redis.publish('news', 'good')
    await expect.poll(() => heard.at(-1)).toBe('good')
  })

  it('gives a lease to one holder at a time, and to the next once it is released', async () => {
    const redis = await start()
    const first = await redis.acquire('job')
    expect(first?.held()).toBe(true)
    expect(await redis.acquire('job')).toBeUndefined()
    const waiting = redis.acquire('job', { waitMs: 5_000 })
    await first!.release()
    expect(first!.held()).toBe(false)
    const second = await waiting
    expect(second?.held()).toBe(true)
    await first!.release()
    expect(await redis.acquire('job')).toBeUndefined()
    await second!.release()
  })

  it('never lets two into the part that a lease guards', async () => {
    const redis = await start()
    let inside = 0
    let most = 0
    let entered = 0
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        const lease = await redis.acquire('part', { waitMs: 20_000 })
        most = Math.max(most, ++inside)
        entered++
        await redis.ping()
        inside--
        await lease!.release()
      }),
    )
    expect({ most, entered }).toEqual({ most: 1, entered: 8 })
  })

  it('keeps a lease well beyond its first time while it is held', async () => {
    const redis = await start()
    const lease = await redis.acquire('long', { ttlMs: 1_000 })
    const until = performance.now() + 2_500
    await expect.poll(() => performance.now() > until, { timeout: 5_000 }).toBe(true)
    expect(lease!.held()).toBe(true)
    expect(lease!.signal.aborted).toBe(false)
    expect(await redis.acquire('long')).toBeUndefined()
    await lease!.release()
  })

  it('tells a holder whose lease was taken away, who then cannot release the next one', async () => {
    const redis = await start()
    const lease = await redis.acquire('stolen', { ttlMs: 150 })
    await redis.set('lease:stolen', 'somebody else', 60_000)
    await expect.poll(() => lease!.signal.aborted).toBe(true)
    expect(lease!.held()).toBe(false)
    await lease!.release()
    expect(await redis.get('lease:stolen')).toBe('somebody else')
  })
})
