import type { Log } from './connections.ts'
import { createRemote } from './remote.ts'
import { createStandIn } from './standin.ts'
import type { Redis } from './types.ts'

export interface RedisDependencies {
  log: Log
  /** In front of every key and channel. Default `vedette:`. */
  prefix?: string
  /** How long a call may take. Default 500. */
  deadlineMs?: number
}

/**
 * No address: the stand-in within this process; one: a server; several: a Redis Cluster, or the sentinels
 * (`redis+sentinel://host:26379/name`) that know the server called `name`.
 */
export const createRedis = (
  urls: readonly string[],
  { log, prefix = 'vedette:', deadlineMs = 500 }: RedisDependencies,
): Redis => (urls.length === 0 ? createStandIn({ log, prefix }) : createRemote(urls, { log, prefix, deadlineMs }))
