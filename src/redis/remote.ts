import { setTimeout as sleep } from 'node:timers/promises'

import { createChannels } from './channels.ts'
import { createConnections, type Log, openConnection } from './connections.ts'
import { createAcquire } from './lease.ts'
import { type Redis, RedisError } from './types.ts'

const EXTEND = `return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('pexpire', KEYS[1], ARGV[2]) or 0`
const DROP = `return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('del', KEYS[1]) or 0`

/** Answers that pass by themselves. */
const PASSING = /^(LOADING|CLUSTERDOWN|MASTERDOWN|TRYAGAIN|MOVED|ASK)\b/

const asRedisError = (error: unknown): RedisError => {
  if (error instanceof RedisError) return error
  const { name, message } = error as Error
  return name === 'ReplyError' && !PASSING.test(message)
    ? new RedisError('refused', `Redis answered: ${message}`, error)
    : new RedisError('unavailable', `Redis is away: ${message}`, error)
}

/** A server or a cluster. */
export const createRemote = (
  urls: readonly string[],
  { log, prefix, deadlineMs }: { log: Log; prefix: string; deadlineMs: number },
): Redis => {
  const { commands, subscriber } = createConnections(urls, log)
  const channels = createChannels(log)

  const within = async <T>(answer: Promise<T>): Promise<T> => {
    let timer: NodeJS.Timeout | undefined
    const deadline = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new RedisError('timeout', `Redis gave no answer within ${deadlineMs} ms`)),
        deadlineMs,
      )
    })
    try {
      return await Promise.race([answer, deadline])
    } catch (error) {
      throw asRedisError(error)
    } finally {
      clearTimeout(timer)
    }
  }

  const setIfAbsent = async (key: string, value: string, ttlMs: number) =>
    (await within(commands.set(key, value, 'PX', ttlMs, 'NX'))) === 'OK'

  const listen = (names: string[]) => {
    // Not connected yet, or no more: `ready` subscribes to all of them.
    if (names.length > 0) subscriber.subscribe(...names.map((name) => prefix + name)).catch(() => {})
  }
  subscriber.on('ready', () => listen(channels.names()))
  subscriber.on('message', (channel: string, text: string) => channels.deliver(channel.slice(prefix.length), text))

  const connections = [commands, subscriber]
  let started = false
  return {
    shared: true,
    start: async () => {
      started = true
      const ready = Promise.allSettled(connections.map((connection) => connection.connect()))
      await Promise.race([ready, sleep(2 * deadlineMs, undefined, { ref: false })])
    },
    stop: async () => {
      for (const connection of connections) connection.disconnect()
    },
    ping: async () => void (await within(commands.ping())),
    get: async (key) => (await within(commands.get(prefix + key))) ?? undefined,
    set: async (key, value, ttlMs) => void (await within(commands.set(prefix + key, value, 'PX', ttlMs))),
    setIfAbsent: (key, value, ttlMs) => setIfAbsent(prefix + key, value, ttlMs),
    delete: async (key) => void (await within(commands.del(prefix + key))),
    publish: async (channel, message) =>
      void (await within(commands.publish(prefix + channel, JSON.stringify(message)))),
    subscribe: (channel, listener) => {
      if (channels.add(channel, listener)) listen([channel])
      return () => {
        if (channels.remove(channel, listener)) subscriber.unsubscribe(prefix + channel).catch(() => {})
      }
    },
    connection: (use) => {
      const connection = openConnection(urls, { use, log })
      connections.push(connection)
      // It may be away now; the connection goes on trying.
      if (started) connection.connect().catch(() => {})
      return connection
    },
    acquire: createAcquire(
      {
        take: setIfAbsent,
        extend: async (key, token, ttlMs) => (await within(commands.eval(EXTEND, 1, key, token, ttlMs))) === 1,
        drop: async (key, token) => void (await within(commands.eval(DROP, 1, key, token))),
      },
      log,
      prefix,
    ),
  }
}
