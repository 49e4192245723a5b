import { afterEach, inject } from 'vitest'

import { createClickHouse } from '../../../src/clickhouse/index.ts'
import { createMetrics, type RefusedKeyInfo } from '../../../src/http/index.ts'
import { createBlockList } from '../../../src/ratelimit/blocklist/blocklist.ts'
import type { DecisionJson } from '../../../src/ratelimit/crowdsec/decision.ts'
import { type BlockList, createCrowdsec, type NewBlockListEntry } from '../../../src/ratelimit/index.ts'
import { createRedis } from '../../../src/redis/index.ts'
import { principal, testServer } from '../../http/support.ts'
import { silent } from '../../support/clickhouse.ts'

export const BOUNCER = 'vdt_bouncer000000000000000000000'
export const OTHER_BOUNCER = 'vdt_bouncer111111111111111111111'
export const READER = 'vdt_reader0000000000000000000000'

const KEYS = new Map([
  [BOUNCER, { ...principal('DECIDE'), keyId: 'key_bouncer', name: 'edge' }],
  [OTHER_BOUNCER, { ...principal('DECIDE'), keyId: 'key_other', name: 'shop' }],
  [READER, principal('SECURITY_READ', 'ANALYTICS_READ')],
])

export interface Answer {
  new: DecisionJson[] | null
  deleted: DecisionJson[] | null
}

export interface Service {
  url: string
  blockList: BlockList
  metrics: () => Promise<string>
  /** What the security log is told of refused keys. */
  refused: RefusedKeyInfo[]
  add: (cidr: string, entry?: Partial<NewBlockListEntry>) => Promise<string>
  remove: (id: string) => Promise<void>
  get: (path: string, init?: RequestInit) => Promise<Response>
  /** A pull of the stream; `agent` is the User-Agent. */
  pull: (query?: string, from?: { key?: string; agent?: string }) => Promise<Answer>
  stop: () => Promise<void>
}

export interface ServiceOptions {
  clickhouseUrl: string
  /** Where what bouncers hold is kept. Default: in this process. */
  redisUrl?: string
  /** Whether its block list hears of others' changes by Redis, and not by the poll alone. */
  messages?: boolean
  pollMs?: number
}

/** Vedette's block list and its bouncer API, as one process has them, with connections and memory of their own. */
export const startBouncerApi = async (options: ServiceOptions): Promise<Service> => {
  const { clickhouseUrl, redisUrl, messages = false, pollMs } = options
  const clickhouse = await createClickHouse({ url: clickhouseUrl, dataDir: '', log: silent })
  const redis = createRedis(redisUrl === undefined ? [] : [redisUrl], { log: silent })
  const listRedis = createRedis(messages ? [inject('redisUrl')] : [], {
    log: silent,
    prefix: `${new URL(clickhouseUrl).pathname}:`,
  })
  await Promise.all([redis.start(), listRedis.start()])
  const blockList = createBlockList({
    clickhouse,
    redis: listRedis,
    log: silent,
    dataDir: undefined,
    trustedProxies: [],
    pollMs,
  })
  await blockList.start()
  const metrics = createMetrics()
  const { registry } = metrics
  const refused: RefusedKeyInfo[] = []
  const test = testServer({
    metrics,
    authenticate: (secret) => KEYS.get(secret),
    onRefusedKey: (info) => refused.push(info),
    // They are not to be limited for keys that they got wrong.
    countFailedKey: () => ({ allowed: false, retryAfterMs: 60_000 }),
  })
  createCrowdsec({ blockList, redis, registry, log: silent }).routes(test.server.app)
  const url = await test.start()

  const get: Service['get'] = (path, init = {}) =>
    fetch(`${url}${path}`, { ...init, headers: { 'x-api-key': BOUNCER, ...(init.headers as Record<string, string>) } })
  return {
    url,
    blockList,
    metrics: () => registry.metrics(),
    refused,
    add: async (cidr, entry = {}) => {
      const { id } = await blockList.add({ cidr, reason: 'tried passwords', ...entry }, { by: 'test' })
      return id
    },
    remove: async (id) => void (await blockList.remove(id, { by: 'test' })),
    get,
    pull: async (query = '', { key = BOUNCER, agent = 'test-bouncer/v1' } = {}) => {
      const response = await get(`/v1/decisions/stream${query}`, {
        headers: { 'x-api-key': key, 'user-agent': agent },
      })
      if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`)
      return (await response.json()) as Answer
    },
    stop: async () => {
      await test.server.stop()
      await blockList.stop()
      await Promise.all([redis.stop(), listRedis.stop()])
      await clickhouse.close()
    },
  }
}

/** Services that end with the test. */
export const services = () => {
  const running: Service[] = []
  afterEach(async () => {
    for (const service of running.splice(0)) await service.stop()
  })
  return async (options: ServiceOptions): Promise<Service> => {
    const service = await startBouncerApi(options)
    running.push(service)
    return service
  }
}

export const values = (decisions: DecisionJson[] | null): string[] | null =>
  decisions && decisions.map(({ value }) => value).toSorted()

export const NOTHING: Answer = { new: null, deleted: null }

export const inHours = (hours: number): Date => new Date(Date.now() + hours * 3_600_000)
