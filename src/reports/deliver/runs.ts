import { randomUUID } from 'node:crypto'

import type { Logger } from 'pino'

import type { ClickHouse } from '../../clickhouse/index.ts'
import type { Redis } from '../../redis/index.ts'
import { createVersions, StoreError } from '../../store/index.ts'
import { reportId } from '../build/index.ts'
import { asAddress } from '../mail-address.ts'
import { isScheduled } from '../schedule.ts'
import type { Subscription, Subscriptions } from '../subscriptions.ts'
import type { ReportKind } from '../types.ts'
import type { Deliveries } from './deliveries.ts'
import { due } from './due.ts'
import { contentOf, type ReportMail, scopeOf } from './report-mail.ts'

/** What came of a run of a subscription. */
export interface ReportRun {
  /** When it was due, RFC 3339. */
  at: string
  reportId: string
  outcome: 'QUEUED' | 'EMPTY'
}

export interface ReportRunsDependencies {
  clickhouse: ClickHouse
  redis: Redis
  log: Logger
  dataDir?: string | undefined
  subscriptions: Pick<Subscriptions, 'list' | 'get'>
  deliveries: Pick<Deliveries, 'enqueue'>
  reports: Pick<ReportMail, 'build'>
  /** The newest incident that touches these services, as mails of it are made from; null: any. */
  newestIncident: (services: readonly string[] | null) => { id: string; notice: unknown } | undefined
  /** Whether all that a report until `to` counts is there: the hours are closed. */
  isClosed: (to: Date) => Promise<boolean>
  /** False: this process only answers for what ran. */
  makes: boolean
  now?: (() => number) | undefined
  /** How often it is looked whether something is due. Default 15,000. */
  pollMs?: number | undefined
}

export interface ReportRuns {
  start: () => Promise<void>
  stop: () => Promise<void>
  /** Makes what is due now, without waiting for the clock. */
  catchUp: () => Promise<void>
  lastRun: (subscriptionId: string) => ReportRun | undefined
  /**
   * The report of the last whole period, or the newest incident, to one address, whoever has it already.
   * @returns the id of the report or incident
   * @throws {StoreError} NOT_FOUND the subscription or an incident, INVALID the recipient; what ClickHouse throws
   */
  sendTest: (subscriptionId: string, recipient: string) => Promise<string>
}

const MINUTE = 60_000
/** A report waits so long for hours that are not closed; then it tells what is there, which is better than silence. */
const LONGEST_WAIT_MS = 120 * MINUTE
const AGAIN_AFTER_MS = 5 * MINUTE

/** Makes the reports that are due and queues their mails. */
export const createReportRuns = (dependencies: ReportRunsDependencies): ReportRuns => {
  const { clickhouse, redis, log, dataDir, subscriptions, deliveries, reports, newestIncident, isClosed, makes } =
    dependencies
  const { now = Date.now, pollMs = 15_000 } = dependencies
  const runs = createVersions<ReportRun>({ kind: 'report_run', clickhouse, redis, log, dataDir })
  /** By subscription, those that failed: when they are tried again. */
  const failedUntil = new Map<string, number>()
  let timer: NodeJS.Timeout | undefined
  let working: Promise<void> | undefined
  let stopped = false

  const make = async (subscription: Subscription & { kind: ReportKind }): Promise<void> => {
    const last = runs.get(subscription.id)?.value
    const after = new Date(Math.max(subscription.scheduledSince.getTime(), last ? Date.parse(last.at) : 0))
    const at = due(subscription, after, new Date(now()))
    if (!at) return
    const content = contentOf(subscription, at)
    const late = now() - at.getTime() > LONGEST_WAIT_MS
    if (!(await isClosed(new Date(content.period[1])))) {
      if (!late) return
      log.warn({ subscription: subscription.id }, 'a report is sent although its last hours are not closed yet')
    }
    const report = await reports.build(content)
    const empty = report.empty && subscription.skipIfEmpty
    // Queued first, recorded then: cut off in between, it is queued again, which makes no second.
    if (!empty) {
      const mailing = { reportId: report.id, kind: subscription.kind, subscriptionId: subscription.id, content }
      await deliveries.enqueue(mailing, subscription.recipients)
    }
    const run: ReportRun = { at: at.toISOString(), reportId: report.id, outcome: empty ? 'EMPTY' : 'QUEUED' }
    await runs.write(subscription.id, run, { by: 'system' })
    log.info({ subscription: subscription.id, report: report.id, outcome: run.outcome }, 'a report was made')
  }

  const newestOf = (subscription: Subscription): { reportId: string; content: unknown } => {
    if (isScheduled(subscription)) {
      const content = contentOf(subscription, new Date(now()))
      return { reportId: reportId(scopeOf(content)), content }
    }
    const { id, services } = subscription
    const incident = newestIncident(services.length === 0 ? null : services)
    if (incident) return { reportId: incident.id, content: incident.notice }
    const about = services.length === 0 ? '' : ` that touches ${services.join(', ')}`
    throw new StoreError(
      'NOT_FOUND',
      `there is no incident yet${about}, so there is nothing that ${JSON.stringify(id)} could send`,
      { field: 'id' },
    )
  }

  const makeAll = async (): Promise<void> => {
    const lease = await redis.acquire('report_runs')
    if (!lease) return
    try {
      // What another process has made meanwhile.
      await runs.refresh()
      for (const subscription of subscriptions.list().filter(isScheduled)) {
        if (!lease.held() || stopped) return
        if ((failedUntil.get(subscription.id) ?? 0) > now()) continue
        try {
          await make(subscription)
          failedUntil.delete(subscription.id)
        } catch (error) {
          failedUntil.set(subscription.id, now() + AGAIN_AFTER_MS)
          log.error({ err: error, subscription: subscription.id }, 'a report could not be made; it is tried again')
        }
      }
    } finally {
      await lease.release()
    }
  }

  const catchUp = (): Promise<void> => {
    working ??= makeAll().finally(() => {
      working = undefined
    })
    return working
  }

  const tick = async (): Promise<void> => {
    await catchUp().catch((error: unknown) => log.warn({ err: error }, 'it cannot be told which reports are due'))
    if (!stopped) timer = setTimeout(() => void tick(), pollMs)
  }

  return {
    start: async () => {
      await runs.start()
      if (makes) void tick()
    },
    stop: async () => {
      stopped = true
      clearTimeout(timer)
      await working?.catch(() => {})
      await runs.stop()
    },
    catchUp,
    lastRun: (subscriptionId) => runs.get(subscriptionId)?.value,
    sendTest: async (subscriptionId, recipient) => {
      const subscription = subscriptions.get(subscriptionId)
      if (!subscription)
        throw new StoreError('NOT_FOUND', `there is no report subscription ${JSON.stringify(subscriptionId)}`, {
          field: 'id',
        })
      const address = asAddress(recipient)
      if (address === undefined)
        throw new StoreError(
          'INVALID',
          `recipient is ${JSON.stringify(recipient.slice(0, 100))}; allowed is an address such as ops@example.com`,
          { field: 'recipient' },
        )
      const newest = newestOf(subscription)
      const mailing = { ...newest, kind: subscription.kind, subscriptionId: null }
      await deliveries.enqueue({ ...mailing, occasion: `test:${randomUUID()}` }, [address])
      return newest.reportId
    },
  }
}
