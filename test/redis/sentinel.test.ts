import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Redis as Connection } from 'ioredis'
import { afterAll, beforeAll, expect, it } from 'vitest'

import { createRedis, type Redis } from '../../src/redis/index.ts'
import { freePort } from '../support/free-port.ts'
import { capturedLog } from '../support/log.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

const closers: (() => unknown)[] = []
let master: RedisServer
let replica: RedisServer
let redis: Redis

beforeAll(async () => {
  master = await startRedis('--repl-diskless-sync-delay', '0')
  closers.push(() => master.stop())
  replica = await startRedis('--replicaof', '127.0.0.1', String(master.port))
  closers.push(() => replica.stop())
  const folder = await mkdtemp(join(tmpdir(), 'vedette-sentinel-'))
  closers.push(() => rm(folder, { recursive: true, force: true }))
  const port = await freePort()
  const settings = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${folder}`,
    `sentinel monitor main 127.0.0.1 ${master.port} 1`,
    'sentinel down-after-milliseconds main 500',
    'sentinel failover-timeout main 2000',
  ]
  await writeFile(join(folder, 'sentinel.conf'), settings.join('\n'))
  const sentinel = spawn('redis-server', [join(folder, 'sentinel.conf'), '--sentinel'], { stdio: 'ignore' })
  closers.push(async () => {
    const ended = once(sentinel, 'exit')
    sentinel.kill('SIGKILL')
    await ended
  })
  redis = createRedis([`redis+sentinel://127.0.0.1:${port}/main`], { log: capturedLog().log })
  closers.push(() => redis.stop())
  await redis.start()
})
afterAll(async () => {
  for (const close of closers.toReversed()) await close()
})

const value = (key: string) => redis.get(key).catch(() => 'away')

it('finds the server through its sentinels, and the one that takes its place', async () => {
  await expect.poll(() => redis.set('before', 'kept', 60_000).then(() => value('before'), String)).toBe('kept')
  // A connection of its own goes the same way.
  const own = redis.connection('test')!
  await expect.poll(() => own.get('vedette:before').catch(String)).toBe('kept')
  // What the replica does not have yet would be lost with the server.
  const copy = new Connection(replica.url)
  closers.push(() => copy.disconnect())
  await expect.poll(() => copy.get('vedette:before')).toBe('kept')
  await master.kill()
  await expect.poll(() => value('before'), { timeout: 20_000 }).toBe('kept')
  await expect.poll(() => own.get('vedette:before').catch(String)).toBe('kept')
  await expect.poll(() => redis.set('after', 'new', 60_000).then(() => value('after'), String)).toBe('new')
})
