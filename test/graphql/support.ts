import { Registry } from 'prom-client'
import { afterAll, beforeAll } from 'vitest'

import { createAnalytics, type OldestPending } from '../../src/analytics/index.ts'
import {
  addressesTold,
  createDetectorQueries,
  createDetectors,
  createSuspicious,
  readDetectors,
} from '../../src/detection/index.ts'
import { createGraphql } from '../../src/graphql/index.ts'
import type { Scope } from '../../src/http/index.ts'
import { createJobs, type Job } from '../../src/jobs/index.ts'
import { createBlockList, createPolicies } from '../../src/ratelimit/index.ts'
import { createReports } from '../../src/reports/index.ts'
import { createRedis } from '../../src/redis/index.ts'
import { type ApiKeys, createApiKeys } from '../../src/store/index.ts'
import { testServer } from '../http/support.ts'
import { temporaryFolder } from '../support/app.ts'
import { silent, type TestDatabase } from '../support/clickhouse.ts'

export interface Answer {
  status: number
  type: string
  headers: Headers
  text: string
  // The shape is the query's.
  // oxlint-disable-next-line typescript/no-explicit-any
  json: any
}

export interface TestGraphql {
  readonly url: string
  readonly keys: ApiKeys
  /** Secret of a key with these scopes, made at its first use. */
  key: (scopes: readonly Scope[], services?: readonly string[]) => Promise<string>
  /** Sends a query with a key that may read everything, or with `secret`. */
  ask: (
    query: string,
    options?: { variables?: object; secret?: string; headers?: Record<string, string>; format?: string },
  ) => Promise<Answer>
  send: (path: string, init?: RequestInit) => Promise<Answer>
  logged: () => string
}

/** `/graphql` over real HTTP on the test's database, with real API keys. Call it at the top of a file. */
export const testGraphql = (
  database: TestDatabase,
  oldestPending?: OldestPending,
  {
    policyFile,
    detectorsDir = () => undefined,
    jobs: someJobs = () => [],
  }: { policyFile?: string; detectorsDir?: () => string | undefined; jobs?: () => readonly Job[] } = {},
): TestGraphql => {
  const secrets = new Map<string, Promise<string>>()
  const test = testServer({ authenticate: (secret) => keys?.authenticate(secret) })
  let keys: ApiKeys | undefined
  const redis = createRedis([], { log: silent })
  const closers: (() => Promise<void>)[] = []

  beforeAll(async () => {
    await redis.start()
    keys = createApiKeys({ clickhouse: database.clickhouse, redis, log: silent, dataDir: undefined })
    await keys.start()
    const stores = { clickhouse: database.clickhouse, redis, log: silent, dataDir: undefined }
    const policies = createPolicies({ ...stores, policyFile, securityLog: { write: () => {} } })
    const blockList = createBlockList({ ...stores, trustedProxies: [] })
    closers.push(policies.stop, blockList.stop)
    await policies.start()
    await blockList.start()
    const jobs = createJobs({ ...stores, registry: new Registry(), jobs: someJobs(), runsJobs: true })
    closers.push(() => jobs.stop())
    await jobs.start()
    const detectors = createDetectors({ ...stores, files: await readDetectors(detectorsDir()) })
    const suspicious = createSuspicious({ ...stores, detectors, blockList })
    closers.push(detectors.stop, suspicious.stop)
    await detectors.start()
    await suspicious.start()
    const { precision } = suspicious
    const detection = createDetectorQueries({ ...stores, detectors, blockList, trustedProxies: [], precision })
    const analytics = createAnalytics({
      clickhouse: database.clickhouse,
      addressesTold,
      ...(oldestPending ? { oldestPending } : {}),
    })
    const reports = createReports({
      ...stores,
      registry: new Registry(),
      dataDir: await temporaryFolder(),
      analytics,
      suspicious,
      detectorQueries: detection,
      jobs,
      policyName: (id) => policies.get(id)?.name,
      attributions: () => [],
      mail: { smtpUrl: undefined, smtpTls: 'required', mailFrom: 'Vedette <vedette@localhost>', dkim: undefined },
      secret: 'of-a-test-and-long-enough-for-one-0',
      publicUrl: 'http://vedette.example',
      sends: true,
    })
    closers.unshift(reports.stop)
    await reports.start()
    createGraphql({
      analytics,
      keys,
      policies,
      blockList,
      jobs,
      reports,
      detection,
      suspicious,
      log: test.server.app.log as never,
    }).routes(test.server.app)
    reports.pages.routes(test.server.app)
    await test.start()
  })
  afterAll(async () => {
    await test.server.stop()
    for (const close of closers) await close()
    await keys?.stop()
    await redis.stop()
  })

  const key = (scopes: readonly Scope[], services: readonly string[] | null = null): Promise<string> => {
    const name = `${scopes.join()} ${services?.join() ?? '*'}`
    const known = secrets.get(name) ?? keys!.create({ name, scopes, services, by: 'cli' }).then(({ secret }) => secret)
    secrets.set(name, known)
    return known
  }

  const send = async (path: string, init?: RequestInit): Promise<Answer> => {
    const response = await fetch(`${test.url}${path}`, { redirect: 'manual', ...init })
    const text = await response.text()
    const type = response.headers.get('content-type') ?? ''
    return {
      status: response.status,
      type,
      headers: response.headers,
      text,
      json: type.includes('json') && !type.includes('ndjson') ? JSON.parse(text) : undefined,
    }
  }

  return {
    get url() {
      return test.url
    },
    get keys() {
      return keys!
    },
    key,
    send,
    ask: async (query, { variables, secret, headers, format } = {}) =>
      send(`/graphql${format ? `?format=${format}` : ''}`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/graphql-response+json',
          authorization: `Bearer ${secret ?? (await key(['ADMIN']))}`,
          ...headers,
        },
        body: JSON.stringify({ query, variables }),
      }),
    logged: test.logged,
  }
}
