import { setTimeout as sleep } from 'node:timers/promises'

import type { Logger } from 'pino'
import type { Counter } from 'prom-client'

import type { Lease, Redis } from '../../redis/index.ts'
import type { Versions } from '../../store/index.ts'
import { RefusedTarget } from './address.ts'
import { createLoop, type Loop } from './loop.ts'
import { incidentsIn } from './notices.ts'
import { type createPost, PostError, type WebhookTarget } from './post.ts'
import type { Incident, PostRecord, PostState } from './types.ts'

export interface PostsDependencies {
  stored: Versions<Incident>
  redis: Redis
  log: Logger
  counter: Counter<'channel' | 'outcome'>
  targets: readonly WebhookTarget[]
  post: ReturnType<typeof createPost>
  /** Whether anybody still wants to know of an incident whose hour ended then. */
  isCurrent: (end: Date) => boolean
  /** Between the attempts. */
  retryAfterMs: readonly number[]
  /** How often it is looked what was left undone. */
  pollMs: number
}

export interface Posts {
  start: () => void
  /** Something is to be posted. */
  wake: () => void
  /** Ends all that are under way; what is not told by then is told after the next start. */
  stop: () => Promise<void>
}

const LEASE = 'incident_webhooks'

const keyOf = ({ notice }: Incident, { hash }: WebhookTarget): string => `${notice.id} ${hash}`

/**
 * Tells webhooks of incidents: each (incident, target) by itself, once at a time, so that a target that does not answer keeps nothing else
 * waiting. By one process at a time; without Redis by each, since receivers tell the same `webhook-id` by itself.
 */
export const createPosts = (dependencies: PostsDependencies): Posts => {
  const { stored, redis, log, counter, targets, post, isCurrent, retryAfterMs, pollMs } = dependencies
  const stopping = new AbortController()
  /** By incident and target. */
  const underWay = new Map<string, Promise<unknown>>()
  /** What became of posts that could not be recorded yet, so that they are not sent again meanwhile. */
  const unrecorded = new Map<string, PostRecord>()
  /** Held as long as any is under way; null: there is no Redis to ask for it. */
  let lease: Lease | null | undefined
  let loop: Loop | undefined
  let unsubscribe: (() => void) | undefined

  const record = async (incidentId: string, target: WebhookTarget, post: PostRecord): Promise<void> => {
    await stored.update(
      incidentId,
      (current) => current?.value && { ...current.value, posts: { ...current.value.posts, [target.hash]: post } },
      { by: 'incidents' },
    )
  }

  /** @returns undefined: it is neither taken nor given up */
  const attempts = async (
    { notice }: Incident,
    target: WebhookTarget,
    signal: AbortSignal,
  ): Promise<PostRecord | undefined> => {
    const { host } = target.url
    for (let attempt = 0; ; attempt++) {
      const over = (state: PostState, error: string | null): PostRecord => ({
        host,
        state,
        attempts: attempt + 1,
        endedAt: new Date().toISOString(),
        error,
      })
      try {
        await post({ target, notice, attempt, signal })
        return over('SENT', null)
      } catch (error) {
        if (signal.aborted) return undefined
        const isRefused = error instanceof RefusedTarget
        const isOver = isRefused || !(error instanceof PostError && error.mayPass) || attempt >= retryAfterMs.length
        const reason = error instanceof Error ? error.message : String(error)
        log[isOver ? 'error' : 'warn'](
          { reason, incident: notice.id, host },
          isOver ? 'a webhook was not told of an incident' : 'a webhook was not told of an incident yet; trying again',
        )
        if (isOver) return over(isRefused ? 'REFUSED' : 'FAILED', reason)
        counter.inc({ channel: target.kind, outcome: 'retried' })
        const so = { ...over('PENDING', `${reason}; it is tried again`), endedAt: null }
        // For those who look; what becomes of it in the end is recorded in any case.
        await record(notice.id, target, so).catch((error: unknown) =>
          log.warn({ err: error }, 'a try cannot be recorded'),
        )
        await sleep(retryAfterMs[attempt], undefined, { signal }).catch(() => {})
      }
    }
  }

  const carry = async (key: string, incident: Incident, target: WebhookTarget, signal: AbortSignal): Promise<void> => {
    const known = unrecorded.get(key)
    const result = known ?? (await attempts(incident, target, signal))
    if (result === undefined) return
    if (known === undefined) counter.inc({ channel: target.kind, outcome: result.state.toLowerCase() })
    unrecorded.set(key, result)
    await record(incident.notice.id, target, result)
    unrecorded.delete(key)
  }

  /** Those that are to be told of it and are not being told. */
  const waitingFor = (incident: Incident | undefined): WebhookTarget[] =>
    incident && isCurrent(new Date(incident.notice.hour.to))
      ? targets.filter(
          (target) => incident.posts[target.hash]?.state === 'PENDING' && !underWay.has(keyOf(incident, target)),
        )
      : []

  const launch = (incident: Incident, target: WebhookTarget, signal: AbortSignal): void => {
    const key = keyOf(incident, target)
    const done = carry(key, incident, target, signal)
      .finally(() => underWay.delete(key))
      .then(
        // To give the lease back.
        () => underWay.size === 0 && loop?.wake(),
        // Not at once again: the store is away.
        (error: unknown) => {
          if (!signal.aborted)
            log.warn({ err: error, incident: incident.notice.id }, 'it cannot be recorded yet what a webhook was told')
        },
      )
    underWay.set(key, done)
  }

  const look = async (): Promise<void> => {
    if (lease && !lease.held()) {
      // Their signal is the lease's, so they are ending.
      await Promise.all(underWay.values())
      lease = undefined
    }
    lease ??= await redis.acquire(LEASE).catch(() => null)
    if (lease === undefined) return
    const signal = lease ? AbortSignal.any([lease.signal, stopping.signal]) : stopping.signal
    try {
      await stored.refresh()
      if (signal.aborted) return
      for (const incident of incidentsIn(stored))
        for (const target of waitingFor(incident)) launch(incident, target, signal)
    } finally {
      if (underWay.size === 0) {
        await lease?.release()
        lease = undefined
      }
    }
  }

  return {
    start: () => {
      if (targets.length === 0 || loop) return
      loop = createLoop(look, { ms: pollMs, signal: stopping.signal, log })
      // By whichever process it was recorded.
      unsubscribe = stored.onChange((changed) => {
        if (changed.some(({ value }) => waitingFor(value).length > 0)) loop?.wake()
      })
    },
    wake: () => loop?.wake(),
    stop: async () => {
      stopping.abort()
      unsubscribe?.()
      await loop?.done
      await Promise.all(underWay.values())
      await lease?.release()
    },
  }
}
