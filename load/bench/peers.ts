import { createServer } from 'node:http'

import rateLimit from '@fastify/rate-limit'
import { fastify } from 'fastify'
import { Redis } from 'ioredis'

/** `node peers.ts NAME PORT REDIS_URL`: the servers that decisions are measured against, each a process of its own. */

/** What a fixed window asks of Redis at the least: count, and see that the key goes. */
const COUNT = `local n = redis.call('incr', KEYS[1])
if n == 1 then redis.call('pexpire', KEYS[1], ARGV[1]) end
return {n, redis.call('pttl', KEYS[1])}`

type Counting = Redis & { count: (key: string, windowMs: number) => Promise<[number, number]> }

const peers: Record<string, (port: number, redisUrl: string) => unknown> = {
  /** A bare node:http server that makes one EVALSHA a request. */
  floor: (port, redisUrl) => {
    const redis = new Redis(redisUrl) as Counting
    redis.defineCommand('count', { numberOfKeys: 1, lua: COUNT })
    return createServer((request, response) => {
      void redis.count(`floor:${String(request.headers['x-forwarded-for'])}`, 60_000).then(() => {
        response.writeHead(200, { 'content-length': '2' })
        response.end('ok')
      })
    }).listen(port, '127.0.0.1')
  },
  /** A bare node:http answer. */
  bare: (port) =>
    createServer((_request, response) => {
      response.writeHead(200, { 'content-length': '2' })
      response.end('ok')
    }).listen(port, '127.0.0.1'),
  /** The same job by a library: a limit by address in Redis, with its headers. */
  '@fastify/rate-limit': async (port, redisUrl) => {
    const app = fastify()
    await app.register(rateLimit, {
      max: 1_000_000,
      timeWindow: 60_000,
      redis: new Redis(redisUrl),
      keyGenerator: (request) => String(request.headers['x-forwarded-for']),
    })
    app.get('/v1/decide', () => 'ok')
    await app.listen({ port, host: '127.0.0.1' })
  },
}

const [name, port, redisUrl] = process.argv.slice(2)
await peers[name!]!(Number(port), redisUrl!)
