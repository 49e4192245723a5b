import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach } from 'vitest'

import { type ClickHouse, createClickHouse } from '../../../src/clickhouse/index.ts'
import { type BlockList, createBlockList, parseAddress } from '../../../src/ratelimit/index.ts'
import { createRedis } from '../../../src/redis/index.ts'
import type { SecurityEvent, SecurityLog } from '../../../src/securitylog/index.ts'
import { silent } from '../../support/clickhouse.ts'

export interface ListOptions {
  url: string
  /** Default: the stand-in, so that others learn by the poll alone. */
  redisUrls?: readonly string[]
  dataDir?: string
  trustedProxies?: readonly string[]
  pollMs?: number
}

export interface TestList {
  blockList: BlockList
  clickhouse: ClickHouse
  /** What it wrote to the security log. */
  events: SecurityEvent[]
  stop: () => Promise<void>
}

/** What the address gets: the action of the entry that decides. */
export const actionFor = (blockList: BlockList, address: string): string | undefined =>
  blockList.lookup(parseAddress(address)!)?.action

/** Starts block lists as processes have them, each with its own connections and memory, and stops them after each test. */
export const blockLists = () => {
  const closers: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close()
  })

  const folder = async (): Promise<string> => {
    const path = await mkdtemp(join(tmpdir(), 'vedette-blocklist-'))
    closers.push(() => rm(path, { recursive: true, force: true }))
    return path
  }

  const start = async ({
    url,
    redisUrls = [],
    dataDir,
    trustedProxies = [],
    pollMs,
  }: ListOptions): Promise<TestList> => {
    const clickhouse = await createClickHouse({ url, dataDir: '', log: silent })
    const redis = createRedis(redisUrls, { log: silent })
    const events: SecurityEvent[] = []
    const securityLog: SecurityLog = { write: (event) => void events.push(event), stop: async () => {} }
    const blockList = createBlockList({
      clickhouse,
      redis,
      log: silent,
      dataDir,
      trustedProxies,
      securityLog,
      ...(pollMs !== undefined && { pollMs }),
    })
    let stopped: Promise<void> | undefined
    const stop = () =>
      (stopped ??= (async () => {
        await blockList.stop()
        await redis.stop()
        await clickhouse.close()
      })())
    closers.push(stop)
    await redis.start()
    await blockList.start()
    return { blockList, clickhouse, events, stop }
  }

  return { start, folder }
}
