import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, inject } from 'vitest'

import { createClickHouse } from '../../src/clickhouse/index.ts'
import { createRedis } from '../../src/redis/index.ts'
import { type ApiKeys, createApiKeys } from '../../src/store/index.ts'
import { silent } from '../support/clickhouse.ts'
import { capturedLog } from '../support/log.ts'

export interface Service {
  keys: ApiKeys
  firstAdminKey: string | undefined
  stop: () => Promise<void>
}

export interface ServiceOptions {
  url: string
  dataDir?: string
  adminKey?: string
  /** By one Redis with others. Default: by the poll only. */
  messages?: boolean
  pollMs?: number
}

/** Starts the keys as processes have them, each with its own connections and memory, and stops them after each test. */
export const services = () => {
  const { log, text } = capturedLog()
  const closers: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close()
  })

  const folder = async (): Promise<string> => {
    const path = await mkdtemp(join(tmpdir(), 'vedette-keys-'))
    closers.push(() => rm(path, { recursive: true, force: true }))
    return path
  }

  const start = async ({ url, dataDir, adminKey, messages, pollMs }: ServiceOptions): Promise<Service> => {
    const clickhouse = await createClickHouse({ url, dataDir: '', log: silent })
    const redis = createRedis(messages ? [inject('redisUrl')] : [], { log })
    const keys = createApiKeys({ clickhouse, redis, log, dataDir, adminKey, pollMs })
    let stopped: Promise<void> | undefined
    const stop = () =>
      (stopped ??= (async () => {
        await keys.stop()
        await redis.stop()
        await clickhouse.close()
      })())
    closers.push(stop)
    await redis.start()
    const { firstAdminKey } = await keys.start()
    return { keys, firstAdminKey, stop }
  }

  return { start, folder, logged: text }
}
