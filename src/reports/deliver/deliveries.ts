import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import type { Logger } from 'pino'
import { Counter, type Registry } from 'prom-client'

import type { ClickHouse } from '../../clickhouse/index.ts'
import type { Lease, Redis } from '../../redis/index.ts'
import { createAttempt, GIVE_UP_AFTER_MS, RETRY_AFTER_MS } from './attempt.ts'
import { createComposer } from './message.ts'
import { createOutbox } from './outbox.ts'
import { createRenderOnce } from './render-once.ts'
import { createSmtp, type Smtp, SMTP_TIMES, type SmtpTimes } from './smtp.ts'
import { type Change, createDeliveryTable, deliveryId } from './table.ts'
import { createUnsubscribeTokens } from './token.ts'
import type { Delivery, MailSettings, Mailing, RenderMailing, Task } from './types.ts'
import { unsubscribeUrl } from './routes.ts'

export interface DeliveriesDependencies {
  clickhouse: ClickHouse
  redis: Redis
  log: Logger
  /** Gets `vedette_deliveries_total`. */
  registry: Registry
  dataDir: string
  mail: MailSettings
  /** Signs the links to unsubscribe. */
  secret: string
  /** Without a slash at the end. */
  publicUrl: string
  render: RenderMailing
  isUnsubscribed: (subscriptionId: string, address: string) => boolean
  /** False: this process queues and lists, others send. */
  sends: boolean
  now?: (() => number) | undefined
  retryAfterMs?: readonly number[] | undefined
  giveUpAfterMs?: number | undefined
  smtpTimes?: SmtpTimes | undefined
  /** Mails at once. Default 8. */
  concurrency?: number | undefined
  /** How often the table is looked at, whatever was said. Default 10,000. */
  pollMs?: number | undefined
  /** How long the sender's lease outlives a process that died. Default 10,000. */
  leaseMs?: number | undefined
}

export interface Deliveries {
  start: () => void
  /** Waits so long for answers that are outstanding; those that do not come by then count as UNKNOWN. Default 10,000 ms. */
  stop: (graceMs?: number) => Promise<void>
  /**
   * Queues a mail for each of these addresses who has none of this mailing yet; it is on its way once this resolves, whatever dies then.
   * @returns how many are new
   * @throws {ClickHouseError} some of them may be queued; the same again queues the rest
   */
  enqueue: (mailing: Mailing, recipients: readonly string[]) => Promise<number>
  /** How it stands with each recipient of a report. @throws {ClickHouseError} */
  list: (reportId: string) => Promise<Delivery[]>
  /** The last of a subscription, newest first. @throws {ClickHouseError} */
  lastOf: (subscriptionId: string, limit?: number) => Promise<Delivery[]>
}

const CHANNEL = 'deliveries'
/** Tasks of one look; more are seen when these are on their way. */
const MOST_AT_ONCE = 1_000
const LONGEST_WAIT_MS = 10_000
/** For the records of what was cut off; without them, the next sender makes the same of it. */
const LAST_WORD_MS = 1_000

/** Sends mails, each at most once: what is known of each stands in the table before and after. */
export const createDeliveries = (dependencies: DeliveriesDependencies): Deliveries => {
  const { clickhouse, redis, registry, dataDir, mail, secret, publicUrl, isUnsubscribed, sends } = dependencies
  const { retryAfterMs = RETRY_AFTER_MS, giveUpAfterMs = GIVE_UP_AFTER_MS, smtpTimes = SMTP_TIMES } = dependencies
  const { concurrency = 8, pollMs = 10_000, leaseMs = 10_000, now = Date.now } = dependencies
  const log = dependencies.log.child({ room: 'deliveries' })
  const table = createDeliveryTable(clickhouse, randomUUID())
  const { smtpUrl } = mail
  const smtp: Smtp | undefined = smtpUrl === undefined ? undefined : createSmtp({ ...mail, smtpUrl }, smtpTimes)
  const urlOf = (token: string): string => unsubscribeUrl(publicUrl, token)
  const attempt = createAttempt({
    table,
    composer: createComposer(mail),
    smtp,
    outbox: createOutbox(join(dataDir, 'outbox')),
    render: createRenderOnce(dependencies.render, urlOf),
    tokens: createUnsubscribeTokens(secret),
    urlOf,
    isUnsubscribed,
    retryAfterMs,
    giveUpAfterMs,
    now,
    log,
  })
  const counter = new Counter({
    name: 'vedette_deliveries_total',
    help: 'Changes of state of mails, by the new state; QUEUED counts retries',
    labelNames: ['state'],
    registers: [registry],
  })

  const stopping = new AbortController()
  const cut = new AbortController()
  const silence = new AbortController()
  /** By id; they go on when the lease is lost, since an answer that comes late is worth knowing. */
  const underWay = new Map<string, Promise<void>>()
  let pausedUntil = 0
  let wake = Promise.withResolvers<void>()
  let working: Promise<void> | undefined
  let unsubscribe: (() => void) | undefined

  const look = (): void => wake.resolve()

  /** Until something is to be looked at. */
  const rest = async (ms: number): Promise<void> => {
    const timer = setTimeout(look, ms)
    await wake.promise
    clearTimeout(timer)
    wake = Promise.withResolvers<void>()
  }

  /** Until ClickHouse has it: what became of a mail must not get lost because it is away for a moment. */
  const keep = async (change: Change): Promise<void> => {
    for (let waitMs = 250; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS))
      try {
        await table.note(change)
        counter.inc({ state: change.state })
        return
      } catch (error) {
        if (silence.signal.aborted) throw error
        log.warn({ err: error, delivery: change.task.id }, 'what became of a mail cannot be recorded yet; trying again')
        await sleep(waitMs, undefined, { signal: silence.signal })
      }
  }

  const carry = async (read: Task, lease: Lease): Promise<void> => {
    const kept = await table.contentOf(read)
    if (!kept) return
    const task = { ...read, mailing: { ...read.mailing, content: kept.content } }
    const signal = AbortSignal.any([lease.signal, stopping.signal])
    const mayGo = (): boolean => lease.held() && !stopping.signal.aborted
    const { change, sessionRefused } = await attempt(task, mayGo, { signal, cut: cut.signal })
    if (sessionRefused) pausedUntil = now() + retryAfterMs[0]!
    if (!change) return
    if (change.state !== 'SENT' && change.state !== 'SUPPRESSED')
      log.warn({ delivery: task.id, state: change.state, reason: change.error }, 'a mail was not sent')
    await keep(change)
  }

  const launch = (task: Task, lease: Lease): void => {
    const done = carry(task, lease)
      .catch((error: unknown) => {
        if (!silence.signal.aborted) log.error({ err: error, delivery: task.id }, 'a delivery failed')
      })
      .finally(() => {
        underWay.delete(task.id)
        look()
      })
    underWay.set(task.id, done)
  }

  /** @returns ms until the next one is due */
  const round = async (lease: Lease, goOn: () => boolean): Promise<number> => {
    // What ended while the table was read may stand there as it was before.
    const busy = new Set(underWay.keys())
    const open = (await table.open(MOST_AT_ONCE, stopping.signal)).filter(
      ({ id }) => !busy.has(id) && !underWay.has(id),
    )
    // Those who were at it are gone, or have lost the lease; what an answer that still comes says, counts more than this.
    const lost = open
      .filter(({ state }) => state === 'SENDING')
      .map((task): Change => {
        const error = 'the process that sent it ended before the answer; it may have arrived, so it is not sent again'
        return { task, state: 'UNKNOWN', error }
      })
    await table.record(lost, stopping.signal)
    counter.inc({ state: 'UNKNOWN' }, lost.length)
    if (lost.length > 0) log.warn({ mails: lost.length }, 'it is unknown whether mails have arrived')
    const queued = open.filter(({ state }) => state === 'QUEUED')
    const at = now()
    for (const task of queued.filter(({ dueAt }) => dueAt.getTime() <= at)) {
      while (underWay.size >= concurrency) await Promise.race(underWay.values())
      if (!goOn() || now() < pausedUntil) break
      launch(task, lease)
    }
    const dues = queued.map(({ dueAt }) => dueAt.getTime()).filter((due) => due > at)
    return Math.max(Math.min(pollMs, ...dues.map((due) => due - now())), 0)
  }

  const workUnder = async (lease: Lease): Promise<void> => {
    const goOn = (): boolean => !stopping.signal.aborted && lease.held()
    try {
      while (goOn()) {
        const waitMs = await round(lease, goOn)
        if (goOn()) await rest(waitMs)
      }
    } catch (error) {
      if (!stopping.signal.aborted) log.warn({ err: error }, 'mails cannot be looked at; trying again')
    } finally {
      await lease.release()
    }
  }

  const work = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const lease = await redis.acquire('deliveries', { ttlMs: leaseMs }).catch(() => undefined)
      if (lease) await workUnder(lease)
      if (!stopping.signal.aborted) await rest(Math.min(pollMs, 1_000))
    }
  }

  return {
    start: () => {
      if (!sends || working) return
      unsubscribe = redis.subscribe(CHANNEL, look)
      working = work()
    },
    stop: async (graceMs = 10_000) => {
      stopping.abort()
      look()
      unsubscribe?.()
      const timers = [setTimeout(() => cut.abort(), graceMs), setTimeout(() => silence.abort(), graceMs + LAST_WORD_MS)]
      await Promise.allSettled([working, ...underWay.values()])
      for (const timer of timers) clearTimeout(timer)
    },
    enqueue: async (mailing, recipients) => {
      const known = await table.known(mailing.reportId)
      const at = new Date(now())
      const tasks = [...new Set(recipients)]
        .map((recipient): Task => {
          const id = deliveryId(mailing, recipient)
          return { id, mailing, recipient, attempt: 1, state: 'QUEUED', queuedAt: at, dueAt: at }
        })
        .filter(({ id }) => !known.has(id))
      await table.record(tasks.map((task) => ({ task, state: 'QUEUED' })))
      counter.inc({ state: 'QUEUED' }, tasks.length)
      look()
      await redis.publish(CHANNEL, {}).catch(() => {})
      return tasks.length
    },
    list: (reportId) => table.list({ reportId }),
    lastOf: (subscriptionId, limit = 1) => table.list({ subscriptionId, limit }),
  }
}
