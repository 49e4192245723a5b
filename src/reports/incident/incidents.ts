import type { Logger } from 'pino'
import { Counter, type Registry } from 'prom-client'

import type { Asker } from '../../analytics/index.ts'
import type { Suspicious } from '../../detection/index.ts'
import type { JobRun, Jobs } from '../../jobs/index.ts'
import type { Redis } from '../../redis/index.ts'
import type { Deliveries } from '../deliver/index.ts'
import type { Subscriptions } from '../subscriptions.ts'
import { createLoop, type Loop } from './loop.ts'
import { mailsOf } from './mails.ts'
import { evidenceOf, groupsOf, noticeFor, noticeOf, type Suspect } from './notice.ts'
import { incidentsIn, type Notices } from './notices.ts'
import { createPost, targetOf } from './post.ts'
import { createPosts } from './posts.ts'
import type { Incident, PostRecord } from './types.ts'

export interface IncidentsDependencies {
  /** Where they are kept; started already. */
  notices: Pick<Notices, 'stored'>
  subscriptions: Pick<Subscriptions, 'list' | 'isUnsubscribed'>
  redis: Redis
  log: Logger
  /** Gets `vedette_incidents_total`. */
  registry: Registry
  jobs: Pick<Jobs, 'onChange' | 'runs'>
  suspicious: Pick<Suspicious, 'flaggedBy' | 'detections' | 'campaigns' | 'summary'>
  deliveries: Pick<Deliveries, 'enqueue'>
  /** Addresses that get mails of all of them, beside those of subscriptions. */
  incidentTo: readonly string[]
  /** `https://…`, or `slack+https://…` for a body that Slack understands. */
  incidentWebhooks: readonly string[]
  /** `whsec_…`; signs what goes to webhooks other than Slack's. */
  incidentWebhookSecret: string | undefined
  /** CIDRs of private networks that webhooks may lie in. */
  incidentWebhookAllow: readonly string[]
  /** How long incidents are kept: as long as the findings that they tell of. */
  findingRetentionDays: number
  /** Without a slash at the end. */
  publicUrl: string
  /** Whether this process finds incidents and tells of them; else another does. */
  sends: boolean
  now?: (() => number) | undefined
  /** Between the attempts at a webhook. */
  retryAfterMs?: readonly number[] | undefined
  /** How often it is looked what was left undone. Default 15,000. */
  pollMs?: number | undefined
}

export interface Incidents {
  start: () => void
  /** What is not told by then is told after the next start. */
  stop: () => Promise<void>
}

const HOUR = 3_600_000
const DAY = 24 * HOUR
/** What is older is no incident any more: an import, or an outage that was caught up. */
const OLDEST_MS = 6 * HOUR
/** In which addresses are taken together as campaigns. */
const CAMPAIGN_MS = DAY
const RETRY_AFTER_MS = [2_000, 10_000, 40_000]
/** Of an address in an hour: one of each detector. */
const MOST_FINDINGS = 100
/** Of an incident, addresses with what was found of them. */
const MOST_EVIDENCE = 500
const ASKER: Asker = { services: null, comment: 'incidents' }
const BY = { by: 'incidents' }

const pending = (host: string): PostRecord => ({ host, state: 'PENDING', attempts: 0, endedAt: null, error: null })

/**
 * Tells at once of what detectors of severity CRITICAL found: one notice for each campaign and hour, whichever process closes the hour and
 * however often. What is to be told, and to whom, is recorded before it is sent. Mails go at most once, by the deliveries; webhooks at least once,
 * each time with the same `webhook-id`.
 */
export const createIncidents = (dependencies: IncidentsDependencies): Incidents => {
  const { notices, subscriptions, redis, registry, jobs, suspicious, deliveries, publicUrl } = dependencies
  const { now = Date.now, retryAfterMs = RETRY_AFTER_MS, pollMs = 15_000 } = dependencies
  const { stored } = notices
  const log = dependencies.log.child({ room: 'incidents' })
  const targets = dependencies.incidentWebhooks.map(targetOf)
  const post = createPost({
    secret: dependencies.incidentWebhookSecret,
    allow: dependencies.incidentWebhookAllow,
    publicUrl,
  })
  const counter = new Counter({
    name: 'vedette_incidents_total',
    help: 'Notices of incidents by channel (mail, webhook, slack) and outcome (queued: mails; sent, retried, refused, failed: webhooks)',
    labelNames: ['channel', 'outcome'],
    registers: [registry],
  })

  const stopping = new AbortController()
  /** Runs that are not looked at yet, by id. */
  const todo = new Map<string, JobRun>()
  let caughtUp = false
  let taking: Loop | undefined
  let unsubscribe: (() => void) | undefined

  const isCurrent = (end: Date): boolean => now() - end.getTime() <= OLDEST_MS
  const posts = createPosts({ stored, redis, log, counter, targets, post, isCurrent, retryAfterMs, pollMs })

  const note = (run: JobRun): void => {
    if (run.job !== 'hourly' || run.status !== 'SUCCEEDED' || !isCurrent(run.window.to)) return
    todo.set(run.runId, run)
    taking?.wake()
  }

  /** Whom critical detectors flagged in the hour, and nobody has called harmless. */
  const suspectsOf = async ({ runId, window }: JobRun, told: ReadonlySet<string>): Promise<Suspect[]> => {
    const flagged = (await suspicious.flaggedBy({ runId, window }, ASKER)).filter(
      ({ severity, review: { status }, address }) =>
        severity === 'CRITICAL' && (status === 'OPEN' || status === 'CONFIRMED') && !told.has(address),
    )
    if (flagged.length === 0) return []
    const range = { from: window.from.getTime(), to: window.to.getTime() }
    const addresses = flagged.map(({ address }) => address)
    const found = await suspicious.detections({ addresses, first: MOST_FINDINGS, range }, ASKER)
    return flagged
      .map((address) => ({
        address,
        // An address is critical by anything that is kept of it: what counts is what was found now.
        findings: (found.get(address.address) ?? []).filter(
          ({ severity, repeated }) => severity === 'CRITICAL' && !repeated,
        ),
      }))
      .filter(({ findings }) => findings.length > 0)
  }

  const take = async (run: JobRun): Promise<void> => {
    const { window } = run
    if (!isCurrent(window.to)) return
    await stored.refresh()
    const ofHour = () => incidentsIn(stored).filter(({ notice }) => notice.hour.from === window.from.toISOString())
    const suspects = await suspectsOf(run, new Set(ofHour().flatMap(({ told }) => told)))
    const end = window.to.getTime()
    const campaigns = suspects.length > 0 ? await suspicious.campaigns({ from: end - CAMPAIGN_MS, to: end }, ASKER) : []
    for (const group of groupsOf(suspects, campaigns)) {
      const all = evidenceOf(group.suspects, suspicious.summary)
      const notice = noticeOf(group, window, all)
      const evidence = all.slice(0, MOST_EVIDENCE)
      const incident: Incident = {
        recordedAt: new Date(now()).toISOString(),
        notice,
        told: group.suspects.map(({ address }) => address.address).toSorted(),
        evidence,
        mails: mailsOf({ notice, evidence }, dependencies.incidentTo, subscriptions),
        posts: Object.fromEntries(targets.map(({ hash, url }) => [hash, pending(url.host)])),
      }
      await stored.update(notice.id, (current) => current?.value ?? incident, BY)
    }
    // Those of before too: a process may have died between the record and this.
    for (const incident of ofHour())
      for (const { subscriptionId, services, recipients } of incident.mails) {
        const content = noticeFor(incident, services)
        const mailing = { reportId: incident.notice.id, kind: 'INCIDENT', subscriptionId, content }
        counter.inc({ channel: 'mail', outcome: 'queued' }, await deliveries.enqueue(mailing, recipients))
      }
  }

  const dropOld = async (): Promise<void> => {
    const since = now() - dependencies.findingRetentionDays * DAY
    const old = stored.list().filter(({ value }) => Date.parse(value!.notice.hour.to) < since)
    if (old.length === 0) return
    const gone = old.map(({ id }) => ({ id, change: () => undefined }))
    await stored.writeMany(gone, BY)
  }

  const takeAll = async (): Promise<void> => {
    if (!caughtUp) {
      const { runs } = await jobs.runs({ job: 'hourly', status: 'SUCCEEDED', limit: 50 })
      for (const run of runs) note(run)
      caughtUp = true
    }
    for (const [id, run] of todo) {
      await take(run)
      todo.delete(id)
    }
    posts.wake()
    await dropOld()
  }

  return {
    start: () => {
      if (!dependencies.sends || taking) return
      unsubscribe = jobs.onChange(note)
      taking = createLoop(takeAll, { ms: pollMs, signal: stopping.signal, log })
      // Beside the other: a webhook that does not answer keeps no mail waiting.
      posts.start()
    },
    stop: async () => {
      stopping.abort()
      unsubscribe?.()
      await Promise.all([taking?.done, posts.stop()])
    },
  }
}
