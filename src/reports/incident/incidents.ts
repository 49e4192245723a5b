import { setTimeout as sleep } from 'node:timers/promises'

import type { Logger } from 'pino'
import { Counter, type Registry } from 'prom-client'

import type { Asker } from '../../analytics/index.ts'
import type { ClickHouse } from '../../clickhouse/index.ts'
import type { Suspicious } from '../../detection/index.ts'
import type { JobRun, Jobs } from '../../jobs/index.ts'
import type { Redis } from '../../redis/index.ts'
import { createVersions } from '../../store/index.ts'
import type { Deliveries } from '../deliver/index.ts'
import { RefusedTarget } from './address.ts'
import { createLoop, type Loop } from './loop.ts'
import { groupsOf, noticeOf, type Suspect } from './notice.ts'
import { createPost, PostError, targetOf, type WebhookTarget } from './post.ts'
import type { Incident, PostState } from './types.ts'

export interface IncidentsDependencies {
  clickhouse: ClickHouse
  redis: Redis
  log: Logger
  /** Gets `vedette_incidents_total`. */
  registry: Registry
  jobs: Pick<Jobs, 'onChange' | 'runs'>
  suspicious: Pick<Suspicious, 'flaggedBy' | 'detections' | 'campaigns' | 'summary'>
  deliveries: Pick<Deliveries, 'enqueue'>
  /** Addresses that get mails. */
  incidentTo: readonly string[]
  /** `https://…`, or `slack+https://…` for a body that Slack understands. */
  incidentWebhooks: readonly string[]
  /** `whsec_…`; signs what goes to webhooks other than Slack's. */
  incidentWebhookSecret: string | undefined
  /** CIDRs of private networks that webhooks may lie in. */
  incidentWebhookAllow: readonly string[]
  /** Without a slash at the end. */
  publicUrl: string
  /** Whether this process tells of incidents; else another does. */
  sends: boolean
  now?: (() => number) | undefined
  /** Between the attempts at a webhook. */
  retryAfterMs?: readonly number[] | undefined
  /** How often it is looked what was left undone. Default 15,000. */
  pollMs?: number | undefined
}

export interface Incidents {
  start: () => Promise<void>
  /** What is not told by then is told after the next start. */
  stop: () => Promise<void>
}

const HOUR = 3_600_000
/** What is older is no incident any more: an import, or an outage that was caught up. */
const OLDEST_MS = 6 * HOUR
/** In which addresses are taken together as campaigns. */
const CAMPAIGN_MS = 24 * HOUR
const RETRY_AFTER_MS = [2_000, 10_000, 40_000]
/** Of an address in an hour: one of each detector. */
const MOST_FINDINGS = 100
const ASKER: Asker = { services: null, comment: 'incidents' }
const BY = { by: 'incidents' }

/**
 * Tells at once of what detectors of severity CRITICAL found: one notice for each campaign and hour, whichever process closes the hour and
 * however often. What is to be told is recorded before it is sent. Mails go at most once, by the deliveries; webhooks at least once, each time with
 * the same `webhook-id`.
 */
export const createIncidents = (dependencies: IncidentsDependencies): Incidents => {
  const { clickhouse, redis, registry, jobs, suspicious, deliveries, publicUrl, now = Date.now } = dependencies
  const { incidentTo: to, retryAfterMs = RETRY_AFTER_MS, pollMs = 15_000 } = dependencies
  const log = dependencies.log.child({ room: 'incidents' })
  const targets = dependencies.incidentWebhooks.map(targetOf)
  const tells = dependencies.sends && to.length + targets.length > 0
  const post = createPost({
    secret: dependencies.incidentWebhookSecret,
    allow: dependencies.incidentWebhookAllow,
    publicUrl,
  })
  const stored = createVersions<Incident>({ kind: 'incident', clickhouse, redis, log })
  const counter = new Counter({
    name: 'vedette_incidents_total',
    help: 'Notices of incidents by channel (mail, webhook, slack) and outcome (queued: mails; sent, retried, refused, failed: webhooks)',
    labelNames: ['channel', 'outcome'],
    registers: [registry],
  })

  const stopping = new AbortController()
  /** Runs that are not looked at yet, by id. */
  const todo = new Map<string, JobRun>()
  /** What became of posts that could not be recorded yet, so that they are not sent again meanwhile. */
  const unrecorded = new Map<string, PostState>()
  let caughtUp = false
  let taking: Loop | undefined
  let posting: Loop | undefined
  let unsubscribe: (() => void) | undefined

  const isCurrent = (end: Date): boolean => now() - end.getTime() <= OLDEST_MS

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
    const ofHour = () =>
      stored.list().flatMap(({ value }) => (value?.notice.hour.from === window.from.toISOString() ? [value] : []))
    const suspects = await suspectsOf(run, new Set(ofHour().flatMap(({ told }) => told)))
    const end = window.to.getTime()
    const campaigns = suspects.length > 0 ? await suspicious.campaigns({ from: end - CAMPAIGN_MS, to: end }, ASKER) : []
    for (const group of groupsOf(suspects, campaigns)) {
      const notice = noticeOf(group, window, suspicious.summary)
      const told = group.suspects.map(({ address }) => address.address).toSorted()
      const posts = Object.fromEntries(targets.map(({ hash }) => [hash, 'PENDING' as const]))
      await stored.update(notice.id, (current) => current?.value ?? { notice, told, posts }, BY)
    }
    if (to.length === 0) return
    // Those of before too: a process may have died between the record and this.
    for (const { notice } of ofHour()) {
      const mailing = { reportId: notice.id, kind: 'INCIDENT', subscriptionId: null, content: notice }
      counter.inc({ channel: 'mail', outcome: 'queued' }, await deliveries.enqueue(mailing, to))
    }
  }

  /** @returns undefined: it is neither taken nor given up */
  const attempts = async (
    { notice }: Incident,
    target: WebhookTarget,
    signal: AbortSignal,
  ): Promise<PostState | undefined> => {
    for (let attempt = 0; ; attempt++)
      try {
        await post({ target, notice, attempt, signal })
        return 'SENT'
      } catch (error) {
        if (signal.aborted) return undefined
        const isRefused = error instanceof RefusedTarget
        const isOver = isRefused || !(error instanceof PostError && error.mayPass) || attempt >= retryAfterMs.length
        log[isOver ? 'error' : 'warn'](
          {
            reason: error instanceof Error ? error.message : String(error),
            incident: notice.id,
            host: target.url.host,
          },
          isOver ? 'a webhook was not told of an incident' : 'a webhook was not told of an incident yet; trying again',
        )
        if (isOver) return isRefused ? 'REFUSED' : 'FAILED'
        counter.inc({ channel: target.kind, outcome: 'retried' })
        await sleep(retryAfterMs[attempt], undefined, { signal }).catch(() => {})
      }
  }

  const carry = async (incident: Incident, target: WebhookTarget, signal: AbortSignal): Promise<void> => {
    const { id } = incident.notice
    const key = `${id} ${target.hash}`
    const known = unrecorded.get(key)
    const state = known ?? (await attempts(incident, target, signal))
    if (state === undefined) return
    if (known === undefined) counter.inc({ channel: target.kind, outcome: state.toLowerCase() })
    unrecorded.set(key, state)
    await stored.update(
      id,
      (current) => current?.value && { ...current.value, posts: { ...current.value.posts, [target.hash]: state } },
      BY,
    )
    unrecorded.delete(key)
  }

  /** By one process at a time; without Redis by each, since receivers tell the same `webhook-id` by itself. */
  const postAll = async (): Promise<void> => {
    const lease = await redis.acquire('incident_webhooks').catch(() => null)
    if (lease === undefined) return
    try {
      const signal = lease ? AbortSignal.any([lease.signal, stopping.signal]) : stopping.signal
      await stored.refresh()
      const pending = stored
        .list()
        .flatMap(({ value }) => (value && isCurrent(new Date(value.notice.hour.to)) ? [value] : []))
        .flatMap((incident) =>
          targets
            .filter(({ hash }) => incident.posts[hash] === 'PENDING')
            .map((target) => carry(incident, target, signal)),
        )
      const failed = (await Promise.allSettled(pending)).find(({ status }) => status === 'rejected')
      if (failed?.status === 'rejected') throw failed.reason
    } finally {
      await lease?.release()
    }
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
    posting?.wake()
  }

  const every = { ms: pollMs, signal: stopping.signal, log }

  return {
    start: async () => {
      if (!tells || taking) return
      await stored.start()
      unsubscribe = jobs.onChange(note)
      taking = createLoop(takeAll, every)
      // Beside the other: a webhook that does not answer keeps no mail waiting.
      if (targets.length > 0) posting = createLoop(postAll, every)
    },
    stop: async () => {
      stopping.abort()
      unsubscribe?.()
      await Promise.all([taking?.done, posting?.done])
      if (taking) await stored.stop()
    },
  }
}
