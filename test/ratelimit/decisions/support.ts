import { rm } from 'node:fs/promises'

import { Registry } from 'prom-client'
import { onTestFinished } from 'vitest'

import { parseAddress } from '../../../src/ratelimit/address.ts'
import { createDecisionLog } from '../../../src/ratelimit/decisions/log.ts'
import { DECISIONS } from '../../../src/ratelimit/decisions/table.ts'
import type { DecisionLog, NotedDecision } from '../../../src/ratelimit/index.ts'
import type { SecurityEvent } from '../../../src/securitylog/index.ts'
import { createSpool, type Spool } from '../../../src/spool/index.ts'
import { temporaryFolder } from '../../support/app.ts'
import { silent, type TestDatabase } from '../../support/clickhouse.ts'
import { sql } from '../../../src/clickhouse/index.ts'

/** A decision about a request of `ip`; undefined: its address is not known. */
export const decisionOf = (ip: string | undefined, more: Partial<NotedDecision> = {}): NotedDecision => {
  const address = ip === undefined ? undefined : parseAddress(ip)
  return {
    outcome: 'allowed',
    policyId: 'default',
    windowSeconds: 60,
    service: 'shop',
    address,
    counted: address?.counted ?? '',
    entryId: '',
    method: 'GET',
    path: '/',
    ...more,
  }
}

export interface StoredRow {
  timestamp: string
  outcome: string
  policy_id: string
  window_seconds: number
  service: string
  ip: string
  counted: string
  entry_id: string
  method: string
  path: string
  count: number
}

export interface TestLog {
  decisions: DecisionLog
  spool: Spool
  events: SecurityEvent[]
  /** Milliseconds since 1970, moved by the test. */
  clock: { now: number }
  metric: (name: string, labels?: string) => Promise<number>
  /** What is stored now, in the order of time, outcome and what was counted. */
  stored: () => Promise<StoredRow[]>
  /** Stops the log and the spool, and so brings in all that was noted. */
  finish: () => Promise<StoredRow[]>
}

const DAY_MS = 86_400_000
/** Yesterday at ten: rows that came long ago are let go at once. */
export const NOW = Math.floor(Date.now() / DAY_MS) * DAY_MS - 14 * 3_600_000
/** Its date, `YYYY-MM-DD`. */
export const TODAY = new Date(NOW).toISOString().slice(0, 10)

/** A decision log over a spool of this test's own, on a clock that the test moves. */
export const openLog = async (
  database: TestDatabase,
  { maxBytes = 2 ** 30, isStarted = true } = {},
): Promise<TestLog> => {
  await database.empty('decisions')
  const folder = await temporaryFolder()
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const registry = new Registry()
  const { clickhouse } = database
  const spool = await createSpool({
    folder,
    tables: [DECISIONS],
    maxBytes,
    clickhouse,
    registry,
    log: silent,
    sealAfterMs: 20,
  })
  if (isStarted) spool.start()
  onTestFinished(() => spool.stop(0))
  const events: SecurityEvent[] = []
  const clock = { now: NOW }
  const decisions = createDecisionLog({
    spool,
    securityLog: { write: (event) => events.push(event) },
    registry,
    log: silent,
    flushMs: 10,
    now: () => clock.now,
  })
  onTestFinished(() => decisions.stop())

  const stored = async (): Promise<StoredRow[]> => {
    const { rows } = await clickhouse.query<StoredRow>(
      sql`SELECT toString(timestamp) AS timestamp, outcome, policy_id, window_seconds, service, toString(ip) AS ip, counted, entry_id, method, path, count FROM decisions ORDER BY timestamp, outcome, policy_id, service, counted, ip`,
    )
    return rows
  }
  return {
    decisions,
    spool,
    events,
    clock,
    metric: async (name, labels) => {
      const line = (await registry.getSingleMetricAsString(name))
        .split('\n')
        .find((text) => text.startsWith(labels === undefined ? `${name} ` : `${name}{${labels}} `))
      return Number(line?.split(' ').at(-1) ?? Number.NaN)
    },
    stored,
    finish: async () => {
      await decisions.stop()
      await spool.stop(10_000)
      return stored()
    },
  }
}
