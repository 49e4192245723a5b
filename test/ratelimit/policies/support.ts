import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Registry } from 'prom-client'
import { afterEach } from 'vitest'

import type { ClickHouse } from '../../../src/clickhouse/index.ts'
import {
  checkPolicy,
  createPolicies,
  type GivenPolicy,
  type Policies,
  type Policy,
} from '../../../src/ratelimit/index.ts'
import { createRedis } from '../../../src/redis/index.ts'
import type { SecurityEvent } from '../../../src/securitylog/index.ts'
import { capturedLog } from '../../support/log.ts'

/** A whole policy from the fields that a test is about. */
export const policy = (id: string, given: GivenPolicy = {}): Policy => ({
  id,
  source: 'STORE',
  version: 1,
  ...checkPolicy({ name: id, limit: 1, windowSeconds: 60, ...given }),
})

export interface Process {
  policies: Policies
  /** What it wrote to the security log. */
  events: SecurityEvent[]
  logged: () => string
  metrics: () => Promise<string>
  /** Which policy a request gets. */
  idFor: (method: string, service: string, path: string) => string | undefined
  stop: () => Promise<void>
}

export interface ProcessOptions {
  redisUrl?: string
  dataDir?: string
  policyFile?: string
  pollMs?: number
  filePollMs?: number
}

/** Starts policies as processes have them, each with its own connections and memory, and stops them after each test. */
export const processes = () => {
  const closers: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close()
  })

  const folder = async (): Promise<string> => {
    const path = await mkdtemp(join(tmpdir(), 'vedette-policies-'))
    closers.push(() => rm(path, { recursive: true, force: true }))
    return path
  }

  /** Not started yet. */
  const make = (clickhouse: ClickHouse, { redisUrl, dataDir, policyFile, pollMs, filePollMs }: ProcessOptions = {}) => {
    const { log, text } = capturedLog()
    const redis = createRedis(redisUrl === undefined ? [] : [redisUrl], { log })
    const registry = new Registry()
    const events: SecurityEvent[] = []
    const securityLog = { write: (event: SecurityEvent) => void events.push(event) }
    const policies = createPolicies({
      clickhouse,
      redis,
      log,
      dataDir,
      policyFile,
      securityLog,
      registry,
      pollMs,
      filePollMs,
    })
    let stopped: Promise<void> | undefined
    const stop = () => (stopped ??= policies.stop().then(redis.stop))
    closers.push(stop)
    const process: Process = {
      policies,
      events,
      logged: text,
      metrics: () => registry.metrics(),
      idFor: (method, service, path) => policies.match({ method, service, path })?.id,
      stop,
    }
    return { process, start: () => redis.start().then(policies.start) }
  }

  const start = async (clickhouse: ClickHouse, options: ProcessOptions = {}): Promise<Process> => {
    const { process, start } = make(clickhouse, options)
    await start()
    return process
  }

  return { make, start, folder, onEnd: (close: () => Promise<void>) => void closers.push(close) }
}
