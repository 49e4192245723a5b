import { cronOf } from '../schedule.ts'
import type { SubscriptionValues } from '../subscriptions.ts'

/**
 * The run that is due: the latest in (after, now]. After a downtime that is one run, whatever was missed; the reports of earlier runs
 * can still be had, but nobody wants ten of them at once.
 */
export const due = (
  subscription: Pick<SubscriptionValues, 'cron' | 'timezone' | 'enabled'>,
  after: Date,
  now: Date,
): Date | undefined => {
  if (!subscription.enabled) return undefined
  // croner looks strictly before, and by whole seconds.
  const justAfter = new Date(Math.floor(now.getTime() / 1_000) * 1_000 + 1_000)
  const [last] = cronOf(subscription).previousRuns(1, justAfter)
  return last && last > after ? last : undefined
}
