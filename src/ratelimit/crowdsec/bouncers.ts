import { LRUCache } from 'lru-cache'
import { Counter, Gauge, type Registry } from 'prom-client'

import type { Pull } from './pulls.ts'
import type { Usage } from './usage.ts'

/** Who asks: CrowdSec's word for a firewall, a proxy or whatever else acts on decisions. */
export interface Bouncer {
  keyId: string
  keyName: string
  ip: string
  /** The User-Agent without its version, such as `crowdsec-nginx-bouncer`. */
  product: string
}

export interface Bouncers {
  pulled: (bouncer: Bouncer, answer: Pull['answer']) => void
  lookedUp: (bouncer: Bouncer) => void
  reported: (bouncer: Bouncer, usage: Usage) => void
}

/** Of which there are metrics; the one that was silent longest goes first. */
const MOST_BOUNCERS = 200
/** Origins and units are words of bouncers; past so many of one bouncer they count as `other`. */
const MOST_ORIGINS = 30
const UNITS = new Set(['byte', 'packet', 'request', 'ip'])

type Labels = { key: string; ip: string; bouncer: string }

interface Known {
  labels: Labels
  origins: Set<string>
  /** Those of which it reported active decisions: gone from a later report, there are none any more. */
  active: Set<string>
  /** Takes all that is said of it out of the metrics. */
  series: Map<string, () => void>
}

const LABELS = ['key', 'ip', 'bouncer'] as const

const createBouncerMetrics = (registry: Registry) => {
  const registers = [registry]
  return {
    pulls: new Counter({
      name: 'vedette_bouncer_pulls_total',
      help: "Pulls of the decision stream by CrowdSec's bouncers; everything: at a start, or since it was not known what it holds; behind: it waits until this process has caught up",
      labelNames: ['answer'],
      registers,
    }),
    lastPull: new Gauge({
      name: 'vedette_bouncer_last_pull_timestamp_seconds',
      help: 'When the bouncer asked this process for decisions last',
      labelNames: LABELS,
      registers,
    }),
    info: new Gauge({
      name: 'vedette_bouncer_info',
      help: 'Always 1; what the bouncer says it is',
      labelNames: [...LABELS, 'type', 'version'],
      registers,
    }),
    processed: new Counter({
      name: 'vedette_bouncer_processed_total',
      help: 'What the bouncer let through or dropped, as it reports it',
      labelNames: [...LABELS, 'unit'],
      registers,
    }),
    dropped: new Counter({
      name: 'vedette_bouncer_dropped_total',
      help: 'What the bouncer dropped, as it reports it; origin: of the decisions that it dropped for',
      labelNames: [...LABELS, 'unit', 'origin'],
      registers,
    }),
    active: new Gauge({
      name: 'vedette_bouncer_active_decisions',
      help: 'Decisions that the bouncer holds, as it reports it',
      labelNames: [...LABELS, 'origin'],
      registers,
    }),
  }
}

/** What bouncers do, as metrics; counted by the process that they happened to reach. */
export const createBouncers = (registry: Registry): Bouncers => {
  const metrics = createBouncerMetrics(registry)
  const known = new LRUCache<string, Known>({
    max: MOST_BOUNCERS,
    dispose: ({ series }, _, reason) => {
      if (reason === 'evict') for (const remove of series.values()) remove()
    },
  })

  const meet = ({ keyId, keyName, ip, product }: Bouncer): Known => {
    const id = JSON.stringify([keyId, ip, product])
    const met = known.get(id)
    if (met) return met
    const fresh: Known = {
      labels: { key: keyName, ip, bouncer: product },
      origins: new Set(),
      active: new Set(),
      series: new Map(),
    }
    known.set(id, fresh)
    return fresh
  }
  const remember = <T extends string>(
    { series }: Known,
    metric: Counter<T> | Gauge<T>,
    name: string,
    labels: Record<string, string>,
  ): void => {
    const id = JSON.stringify([name, labels])
    if (!series.has(id)) series.set(id, () => metric.remove(labels as Record<T, string>))
  }
  const originIn = (bouncer: Known, origin: string | undefined): string => {
    const { origins } = bouncer
    if (origin === undefined || origin === '') return 'unknown'
    if (!origins.has(origin) && origins.size >= MOST_ORIGINS) return 'other'
    origins.add(origin)
    return origin
  }
  const touch = (bouncer: Bouncer): void => {
    const met = meet(bouncer)
    remember(met, metrics.lastPull, 'pull', met.labels)
    metrics.lastPull.set(met.labels, Date.now() / 1000)
  }

  const count = (met: Known, { items }: Usage): void => {
    const active = new Map([...met.active].map((origin) => [origin, 0]))
    for (const { name, unit: given, value, labels } of items) {
      if (value < 0) continue
      const unit = UNITS.has(given) ? given : 'other'
      if (name === 'active_decisions') {
        const origin = originIn(met, labels['origin'])
        met.active.add(origin)
        active.set(origin, (active.get(origin) ?? 0) + value)
      }
      if (name === 'processed') {
        const all = { ...met.labels, unit }
        remember(met, metrics.processed, name, all)
        metrics.processed.inc(all, value)
      }
      if (name === 'dropped') {
        const all = { ...met.labels, unit, origin: originIn(met, labels['origin']) }
        remember(met, metrics.dropped, name, all)
        metrics.dropped.inc(all, value)
      }
    }
    for (const [origin, value] of active) {
      const all = { ...met.labels, origin }
      remember(met, metrics.active, 'active_decisions', all)
      metrics.active.set(all, value)
    }
  }

  return {
    pulled: (bouncer, answer) => {
      metrics.pulls.inc({ answer })
      touch(bouncer)
    },
    lookedUp: touch,
    reported: (bouncer, usage) => {
      const met = meet(bouncer)
      // A new version: the old one is no longer true.
      const was = met.series.get('info')
      was?.()
      const info = { ...met.labels, type: usage.type, version: usage.version }
      metrics.info.set(info, 1)
      met.series.set('info', () => metrics.info.remove(info))
      count(met, usage)
    },
  }
}
