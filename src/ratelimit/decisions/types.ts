import type { Address } from '../address.ts'

export const OUTCOMES = ['allowed', 'limited', 'blocked', 'shadow_limited'] as const
/** shadow_limited: it passed, since the policy is in SHADOW, but went over the limit. */
export type Outcome = (typeof OUTCOMES)[number]

/** One decision as it is noted for the log. */
export interface NotedDecision {
  outcome: Outcome
  /** The policy that was asked; empty: none was, since none fits, it is OFF, or the block list decided before. */
  policyId: string
  /** Of the policy; 0: none was asked. */
  windowSeconds: number
  service: string
  /** The client's address; undefined: it could not be known. */
  address: Address | undefined
  /** What was counted, such as `203.0.113.7` or `user:42`; empty: nothing was. */
  counted: string
  /** Of the block list; empty: it did not decide. */
  entryId: string
  method: string
  path: string
}

/**
 * The record of every decision: counted per second in memory, then by the spool into the table `decisions`. A decision's
 * note is a look into a map, so that the log never costs more than the decision.
 */
export interface DecisionLog {
  /** Never throws, never waits. */
  note: (decision: NotedDecision) => void
  start: () => void
  /** Writes what is counted. Before the spool is stopped. */
  stop: () => Promise<void>
}
