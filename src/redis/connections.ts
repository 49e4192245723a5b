import { Cluster, Redis as Connection, type RedisOptions } from 'ioredis'
import type { Logger } from 'pino'

export type Log = Logger

/** One for commands, and one for subscriptions, since a connection that subscribes can do nothing else. */
export interface Connections {
  commands: Connection | Cluster
  subscriber: Connection | Cluster
}

/** Silence for this long while an answer is due: the connection is taken for dead and made again. */
const SILENCE_MS = 2_000
const CONNECT_MS = 2_000

const retry = (times: number): number => Math.min(50 * 2 ** Math.min(times, 5), 1_000)

const COMMON = {
  lazyConnect: true,
  enableOfflineQueue: false,
} as const

const NODE = {
  connectTimeout: CONNECT_MS,
  socketTimeout: SILENCE_MS,
  keepAlive: 10_000,
  // A command whose caller has given up must not run later behind his back.
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  connectionName: 'vedette',
} satisfies RedisOptions

const cluster = (urls: readonly string[]): Cluster => {
  const first = new URL(urls[0]!)
  return new Cluster(
    urls.map((url) => {
      const { hostname, port } = new URL(url)
      return { host: hostname.replaceAll(/[[\]]/g, ''), port: Number(port || 6379) }
    }),
    {
      ...COMMON,
      clusterRetryStrategy: retry,
      slotsRefreshTimeout: CONNECT_MS,
      redisOptions: {
        ...NODE,
        username: decodeURIComponent(first.username) || undefined,
        password: decodeURIComponent(first.password) || undefined,
        tls: first.protocol === 'rediss:' ? {} : undefined,
      },
    },
  )
}

const single = (url: string): Connection => new Connection(url, { ...COMMON, ...NODE, retryStrategy: retry })

/** One line when it goes and one when it is back, not one for each try. */
const tellState = (connection: Connection | Cluster, use: string, log: Log): void => {
  let away = false
  connection.on('error', (error: Error) => {
    if (!away) log.warn({ err: error, use }, 'Redis is away; trying again until it is back')
    away = true
  })
  connection.on('ready', () => {
    if (away) log.info({ use }, 'Redis is back')
    away = false
  })
}

export const createConnections = (urls: readonly string[], log: Log): Connections => {
  const open = () => (urls.length > 1 ? cluster(urls) : single(urls[0]!))
  const connections = { commands: open(), subscriber: open() }
  tellState(connections.commands, 'commands', log)
  tellState(connections.subscriber, 'subscriptions', log)
  return connections
}
