import type { Logger } from 'pino'

import type { ClickHouse } from '../../clickhouse/index.ts'
import type { Redis } from '../../redis/index.ts'
import { createVersions, type Versions } from '../../store/index.ts'
import type { Delivery } from '../deliver/index.ts'
import { noticeFor } from './notice.ts'
import type { Incident, Notice } from './types.ts'

/** An incident as a report: of the hour in which it was found, about the services that it touches. */
export interface IncidentContent {
  kind: 'INCIDENT'
  /** The notice's. */
  id: string
  /** RFC 3339. */
  period: readonly [from: string, to: string]
  previous: readonly [from: string, to: string]
  timezone: 'UTC'
  /** Null: it is not known which. */
  services: readonly string[] | null
  /** RFC 3339. */
  recordedAt: string
  notice: Notice
  /** Of the addresses that the notice names, in its order. */
  suspiciousIpIds: readonly string[]
  /** What webhooks were told; of the whole incident. */
  posts: readonly Delivery[]
}

/** Incidents that are kept. Each caller sees those of some services as `noticeFor` has them; null: all. */
export interface Notices {
  start: () => Promise<void>
  stop: () => Promise<void>
  /** For those who find and tell of them. */
  stored: Versions<Incident>
  /** Newest first. */
  list: (services: readonly string[] | null) => IncidentContent[]
  get: (id: string, services: readonly string[] | null) => IncidentContent | undefined
}

const HOUR = 3_600_000

const postsOf = ({ recordedAt, notice, posts }: Incident): Delivery[] =>
  Object.entries(posts).map(([hash, { host, state, attempts, endedAt, error }]) => ({
    id: `post_${notice.id}_${hash}`,
    reportId: notice.id,
    kind: 'INCIDENT',
    subscriptionId: null,
    recipient: `webhook ${host}`,
    state: state === 'PENDING' ? 'QUEUED' : state === 'REFUSED' ? 'FAILED' : state,
    attempts,
    queuedAt: new Date(recordedAt),
    sentAt: state === 'SENT' && endedAt !== null ? new Date(endedAt) : null,
    error,
  }))

const contentOf = (incident: Incident, services: readonly string[] | null): IncidentContent | undefined => {
  const notice = noticeFor(incident, services)
  if (!notice) return undefined
  const { id, hour } = notice
  const ids = new Map(incident.evidence.map(({ culprit, id }) => [culprit.ip, id]))
  return {
    kind: 'INCIDENT',
    id,
    period: [hour.from, hour.to],
    previous: [new Date(Date.parse(hour.from) - HOUR).toISOString(), hour.from],
    timezone: 'UTC',
    services: notice.services.length > 0 ? notice.services : null,
    recordedAt: incident.recordedAt,
    notice,
    suspiciousIpIds: notice.addresses.flatMap(({ ip }) => ids.get(ip) ?? []),
    posts: postsOf(incident),
  }
}

/** All that are kept, but for those of Vedette 0.1, which had neither evidence nor recipients. */
export const incidentsIn = (stored: Pick<Versions<Incident>, 'list'>): Incident[] =>
  stored.list().flatMap(({ value }) => (value && 'recordedAt' in value ? [value] : []))

const hourOf = ({ notice }: Incident): string => notice.hour.from
const idOf = ({ notice }: Incident): string => notice.id

export const createNotices = (dependencies: { clickhouse: ClickHouse; redis: Redis; log: Logger }): Notices => {
  const stored = createVersions<Incident>({ kind: 'incident', ...dependencies })
  return {
    start: stored.start,
    stop: stored.stop,
    stored,
    list: (services) =>
      incidentsIn(stored)
        .toSorted((a, b) => hourOf(b).localeCompare(hourOf(a)) || (idOf(a) < idOf(b) ? -1 : 1))
        .flatMap((incident) => contentOf(incident, services) ?? []),
    get: (id, services) => {
      const incident = incidentsIn(stored).find((one) => idOf(one) === id)
      return incident && contentOf(incident, services)
    },
  }
}
