import { Counter, Gauge, type Registry } from 'prom-client'

import { type Outcome, OUTCOMES } from './types.ts'

/** Plain numbers, which cost nothing to add to; the metrics read them when they are asked. */
export interface DecisionCounts {
  /** Decisions. */
  outcomes: Record<Outcome, number>
  /** Decisions whose client the log does not tell for want of room, and such as count for an earlier second. */
  folded: { client: number; second: number }
}

export const newCounts = (): DecisionCounts => ({
  outcomes: { allowed: 0, limited: 0, blocked: 0, shadow_limited: 0 },
  folded: { client: 0, second: 0 },
})

export const registerMetrics = (registry: Registry, counts: DecisionCounts, waiting: () => number): void => {
  registry.registerMetric(
    new Counter({
      name: 'vedette_decisions_total',
      help: 'Decisions by outcome; shadow_limited passed, but was over the limit of a policy in SHADOW',
      labelNames: ['outcome'],
      registers: [],
      collect() {
        this.reset()
        for (const outcome of OUTCOMES) this.inc({ outcome }, counts.outcomes[outcome])
      },
    }),
  )
  registry.registerMetric(
    new Counter({
      name: 'vedette_decisions_folded_total',
      help: 'Decisions that the log counts with others for want of room: without their client, or for an earlier second',
      labelNames: ['without'],
      registers: [],
      collect() {
        this.reset()
        this.inc({ without: 'client' }, counts.folded.client)
        this.inc({ without: 'second' }, counts.folded.second)
      },
    }),
  )
  registry.registerMetric(
    new Gauge({
      name: 'vedette_decision_log_waiting_rows',
      help: 'Rows of the decision log in memory that wait for room in the spool',
      registers: [],
      collect() {
        this.set(waiting())
      },
    }),
  )
}
