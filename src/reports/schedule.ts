import { Cron } from 'croner'

import type { SubscriptionValues } from './subscriptions.ts'
import type { ReportKind, SubscriptionKind } from './types.ts'

/** Whether it comes with the clock: INCIDENT comes with what happens. */
export const isScheduled = <T extends { kind: SubscriptionKind }>(one: T): one is T & { kind: ReportKind } =>
  one.kind !== 'INCIDENT'

/** When it runs. A time of day that clocks skip is made up for right after, one that they show twice counts once. */
export const cronOf = ({ cron, timezone }: Pick<SubscriptionValues, 'cron' | 'timezone'>): Cron =>
  new Cron(cron, { timezone, mode: '5-part', fixedTimeRule: 'no-wildcard', paused: true })
