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

const hostOf = ({ hostname }: URL): string => hostname.replaceAll(/[[\]]/g, '')

const credentialsOf = ({ username, password, protocol }: URL) => ({
  username: decodeURIComponent(username) || undefined,
  password: decodeURIComponent(password) || undefined,
  tls: protocol.startsWith('rediss') ? {} : undefined,
})

const cluster = (urls: readonly string[]): Cluster =>
  new Cluster(
    urls.map((url) => ({ host: hostOf(new URL(url)), port: Number(new URL(url).port || 6379) })),
    {
      ...COMMON,
      clusterRetryStrategy: retry,
      slotsRefreshTimeout: CONNECT_MS,
      redisOptions: { ...NODE, ...credentialsOf(new URL(urls[0]!)) },
    },
  )

/** The sentinels name the master; user and password are of the servers, and of the sentinels too where these ask for them. */
const sentinel = (urls: readonly string[]): Connection => {
  const first = new URL(urls[0]!)
  const [, name, database] = first.pathname.split('/')
  const { username, password, tls } = credentialsOf(first)
  return new Connection({
    ...COMMON,
    ...NODE,
    sentinels: urls.map((url) => ({ host: hostOf(new URL(url)), port: Number(new URL(url).port || 26_379) })),
    name: decodeURIComponent(name ?? ''),
    db: Number(database || 0),
    username,
    password,
    tls,
    sentinelUsername: username,
    sentinelPassword: password,
    sentinelTLS: tls,
    enableTLSForSentinelMode: tls !== undefined,
    retryStrategy: retry,
    sentinelRetryStrategy: retry,
  })
}

const single = (url: string): Connection => new Connection(url, { ...COMMON, ...NODE, retryStrategy: retry })

const isSentinel = (url: string): boolean => url.includes('+sentinel:')

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

/** One more connection, not made yet. `use` names it in the log. */
export const openConnection = (
  urls: readonly string[],
  { use, log }: { use: string; log: Log },
): Connection | Cluster => {
  const connection = isSentinel(urls[0]!) ? sentinel(urls) : urls.length > 1 ? cluster(urls) : single(urls[0]!)
  tellState(connection, use, log)
  return connection
}

export const createConnections = (urls: readonly string[], log: Log): Connections => ({
  commands: openConnection(urls, { use: 'commands', log }),
  subscriber: openConnection(urls, { use: 'subscriptions', log }),
})
