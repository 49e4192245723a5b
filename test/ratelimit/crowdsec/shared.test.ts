import { Redis as Connection } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { testDatabase } from '../../support/clickhouse.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { type Answer, NOTHING, type Service, type ServiceOptions, services, values } from './support.ts'

const database = testDatabase()
const start = services()
let redis: RedisServer
let connection: Connection

beforeAll(async () => {
  redis = await startRedis()
  connection = new Connection(redis.url)
  // It comes and goes below.
  connection.on('error', () => {})
})
afterAll(async () => {
  connection.disconnect()
  await redis.stop()
})
beforeEach(() => database.empty('store_versions'))
afterEach(async () => {
  await connection.flushall()
})

const told = ({ new: fresh, deleted }: Answer) => ({ new: values(fresh), deleted: values(deleted) })

/** Until Redis has it that the last answer arrived: bouncers take their time between two pulls, these tests do not. */
const settled = () =>
  expect
    .poll(async () => {
      const keys = await connection.keys('vedette:crowdsec:held:*')
      const held = await Promise.all(keys.map((key) => connection.get(key)))
      return held.map((text) => (JSON.parse(text!) as { views: string[] }).views.length)
    })
    .toEqual([1])

const pull = async (service: Service, query?: string) => {
  const answer = told(await service.pull(query))
  await settled()
  return answer
}

const process = (options: Partial<ServiceOptions> = {}) =>
  start({ clickhouseUrl: database.url, redisUrl: redis.url, ...options })

/** It hears of others' changes only when it is told to look. */
const lateProcess = () => process({ pollMs: 600_000 })

describe('two processes on one Redis', () => {
  it('are one to a bouncer: what one told, the other does not tell again', async () => {
    const [one, other] = [await process({ messages: true }), await process({ messages: true })]
    const first = await one.add('203.0.113.7')
    expect((await pull(one, '?startup=true')).new).toEqual(['203.0.113.7'])
    await expect.poll(() => other.blockList.get(first)).toBeDefined()
    expect(await pull(other)).toEqual(NOTHING)

    const second = await other.add('203.0.113.8')
    await other.remove(first)
    await expect.poll(() => one.blockList.get(second)).toBeDefined()
    await expect.poll(() => one.blockList.get(first)?.removedAt).not.toBeNull()
    expect(await pull(one)).toEqual({ new: ['203.0.113.8'], deleted: ['203.0.113.7'] })
    expect(await pull(other)).toEqual(NOTHING)
    expect(await pull(one)).toEqual(NOTHING)
  })

  it('go on where the first one ended', async () => {
    const first = await process()
    await first.add('203.0.113.7')
    await pull(first, '?startup=true')
    await first.add('203.0.113.8')
    await first.stop()
    const second = await process()
    expect(await pull(second)).toEqual({ new: ['203.0.113.8'], deleted: null })
  })

  it('tell of an entry once, however late it reached the one that is asked', async () => {
    const [early, late] = [await process(), await lateProcess()]
    await pull(late, '?startup=true')
    await early.add('203.0.113.7')
    expect(await pull(late)).toEqual(NOTHING)
    expect(await pull(late)).toEqual(NOTHING)
    await late.blockList.refresh()
    expect(await pull(late)).toEqual({ new: ['203.0.113.7'], deleted: null })
    expect(await pull(late)).toEqual(NOTHING)
  })

  it('do not take back what the other one told and they do not know of yet', async () => {
    const [early, late] = [await process(), await lateProcess()]
    await pull(late, '?startup=true')
    const id = await early.add('203.0.113.7')
    expect((await pull(early)).new).toEqual(['203.0.113.7'])
    expect(late.blockList.get(id)).toBeUndefined()
    expect(await pull(late)).toEqual(NOTHING)
    await late.blockList.refresh()
    expect(await pull(late)).toEqual(NOTHING)
    expect(await late.metrics()).toContain('vedette_bouncer_pulls_total{answer="behind"} 1')
  })

  it('do not take it back either where they know something else that the other one does not', async () => {
    const [early, late] = [await process(), await lateProcess()]
    await pull(late, '?startup=true')
    await early.add('203.0.113.7')
    expect((await pull(early)).new).toEqual(['203.0.113.7'])
    await late.add('203.0.113.8')
    expect(await pull(late)).toEqual(NOTHING)
    await late.blockList.refresh()
    expect(await pull(late)).toEqual({ new: ['203.0.113.8'], deleted: null })
  })

  it('do not tell again of what the other one told that it ended', async () => {
    const [early, late] = [await process(), await lateProcess()]
    const block = await early.add('203.0.113.7')
    const range = await early.add('198.51.100.0/31')
    await late.blockList.refresh()
    await pull(late, '?startup=true')
    await early.remove(block)
    await early.add('198.51.100.1', { action: 'ALLOW' })
    const ended = { new: ['198.51.100.0'], deleted: ['198.51.100.0/31', '203.0.113.7'] }
    expect(await pull(early)).toEqual(ended)
    expect(late.blockList.get(block)?.removedAt).toBeNull()
    expect(await pull(late)).toEqual(NOTHING)
    await late.blockList.refresh()
    expect(await pull(late)).toEqual(NOTHING)
    expect(late.blockList.get(range)?.removedAt).toBeNull()
  })

  it('tell everything where a part of the memory is lost', async () => {
    const [one, other] = [await process(), await lateProcess()]
    await one.add('203.0.113.7')
    await one.add('203.0.113.8')
    await pull(one, '?startup=true')
    await connection.del(...(await connection.keys('vedette:crowdsec:part:*')))
    await one.add('203.0.113.9')
    await other.blockList.refresh()
    expect(await pull(other)).toEqual({ new: ['203.0.113.7', '203.0.113.8', '203.0.113.9'], deleted: null })
    await one.add('203.0.113.10')
    expect(await pull(one)).toEqual({ new: ['203.0.113.10'], deleted: null })
  })
})

describe('Redis away', () => {
  it('every pull is answered with everything, also with what ended; and it goes on exactly when Redis is back', async () => {
    const service = await process()
    await service.add('203.0.113.7')
    await pull(service, '?startup=true')
    await redis.kill()
    const short = await service.add('203.0.113.8')
    await expect
      .poll(async () => told(await service.pull()))
      .toEqual({ new: ['203.0.113.7', '203.0.113.8'], deleted: null })
    await service.remove(short)
    const everything = { new: ['203.0.113.7'], deleted: ['203.0.113.8'] }
    expect(told(await service.pull())).toEqual(everything)
    expect(told(await service.pull())).toEqual(everything)
    await redis.restart()
    await expect.poll(async () => told(await service.pull()), { interval: 200 }).toEqual(NOTHING)
    await service.add('203.0.113.9')
    expect(await pull(service)).toEqual({ new: ['203.0.113.9'], deleted: null })
  })

  it('frozen, and then back with what it knew before: nothing that was told meanwhile is forgotten', async () => {
    const service = await process()
    await pull(service, '?startup=true')
    redis.freeze()
    const id = await service.add('203.0.113.7')
    const answer = await service.pull()
    expect(values(answer.new)).toEqual(['203.0.113.7'])
    await service.remove(id)
    redis.thaw()
    // Redis still has it that the bouncer holds nothing.
    await expect.poll(async () => values((await service.pull()).deleted), { interval: 200 }).toEqual(['203.0.113.7'])
  })
})

it('without Redis a restarted process tells everything', async () => {
  const first = await start({ clickhouseUrl: database.url })
  await first.add('203.0.113.7')
  await first.remove(await first.add('203.0.113.8'))
  await first.pull('?startup=true')
  await first.stop()
  const second = await start({ clickhouseUrl: database.url })
  expect(told(await second.pull())).toEqual({ new: ['203.0.113.7'], deleted: ['203.0.113.8'] })
  expect(told(await second.pull())).toEqual(NOTHING)
})
