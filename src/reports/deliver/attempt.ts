import type { Logger } from 'pino'

import type { Composer } from './message.ts'
import type { HandOver, Smtp } from './smtp.ts'
import type { Change, DeliveryTable } from './table.ts'
import type { UnsubscribeTokens } from './token.ts'
import type { Mailing, Task } from './types.ts'
import type { Rendered } from '../types.ts'

const MINUTE = 60_000
/** After the first, second, … failure; the last one from then on. */
export const RETRY_AFTER_MS: readonly number[] = [1 * MINUTE, 5 * MINUTE, 15 * MINUTE, 60 * MINUTE]
export const GIVE_UP_AFTER_MS = 24 * 60 * MINUTE

export interface AttemptDependencies {
  table: Pick<DeliveryTable, 'claim'>
  composer: Composer
  /** Undefined: into the outbox. */
  smtp: Smtp | undefined
  outbox: (id: string, message: Awaited<ReturnType<Composer['compose']>>) => Promise<string>
  render: (mailing: Mailing, token: string | undefined) => Promise<Rendered>
  tokens: UnsubscribeTokens
  urlOf: (token: string) => string
  isUnsubscribed: (subscriptionId: string, address: string) => boolean
  retryAfterMs: readonly number[]
  giveUpAfterMs: number
  now: () => number
  log: Logger
}

export interface AttemptResult {
  /** What is to be recorded; undefined: nothing happened, or it is in other hands. */
  change: Change | undefined
  /** No other mail would fare better now. */
  sessionRefused: boolean
}

const as = (change: Change | undefined, sessionRefused = false): AttemptResult => ({ change, sessionRefused })

const messageOf = (error: unknown): string => (error instanceof Error ? error.message || error.name : String(error))

/** One attempt at one task, up to what is to be recorded of it. */
export const createAttempt = (dependencies: AttemptDependencies) => {
  const { table, composer, smtp, outbox, render, tokens, urlOf, isUnsubscribed, now, log } = dependencies
  const { retryAfterMs, giveUpAfterMs } = dependencies

  const later = (task: Task, reason: string): Change => {
    const dueAt = new Date(now() + retryAfterMs[Math.min(task.attempt, retryAfterMs.length) - 1]!)
    return dueAt.getTime() > task.queuedAt.getTime() + giveUpAfterMs
      ? {
          task,
          state: 'FAILED',
          error: `given up after ${task.attempt === 1 ? '1 attempt' : `${task.attempt} attempts`}: ${reason}`,
        }
      : {
          task,
          state: 'QUEUED',
          attempt: task.attempt + 1,
          dueAt,
          error: `${reason}; it is tried again at ${dueAt.toISOString()}`,
        }
  }

  const messageFor = async ({ id, mailing, recipient, queuedAt }: Task) => {
    const { subscriptionId } = mailing
    const token = subscriptionId === null ? undefined : tokens.make({ subscriptionId, address: recipient })
    const rendered = await render(mailing, token)
    const list =
      subscriptionId === null || token === undefined ? undefined : { id: subscriptionId, unsubscribeUrl: urlOf(token) }
    return composer.compose({ id, to: recipient, date: queuedAt, rendered, list })
  }

  /** @param signals as `HandOver` has them */
  return async (
    task: Task,
    mayGo: () => boolean,
    { signal, cut }: Pick<HandOver, 'signal' | 'cut'>,
  ): Promise<AttemptResult> => {
    const { subscriptionId } = task.mailing
    if (subscriptionId !== null && isUnsubscribed(subscriptionId, task.recipient))
      return as({ task, state: 'SUPPRESSED', error: 'the recipient has unsubscribed' })
    if (now() > task.queuedAt.getTime() + giveUpAfterMs)
      return as({ task, state: 'FAILED', error: 'it was not sent in time, and nobody wants it now' })
    let message
    try {
      message = await messageFor(task)
      if (!smtp) return as({ task, state: 'SENT', error: await outbox(task.id, message) })
    } catch (error) {
      log.warn({ err: error, delivery: task.id }, 'a mail could not be made')
      return as(later(task, `it could not be made: ${messageOf(error)}`))
    }
    let fault: unknown
    let claiming: Promise<boolean> | undefined
    const { outcome, reason } = await smtp(message, {
      signal,
      cut,
      mayEnd: async () => {
        if (!mayGo()) return false
        claiming = table.claim(task).catch((error: unknown) => {
          fault = error
          return false
        })
        return (await claiming) && mayGo()
      },
    })
    // It may still be on its way to the table, when the connection broke meanwhile.
    const claimed = await claiming
    if (claimed === false && fault === undefined) return as(undefined)
    switch (outcome) {
      case 'taken':
        return as({ task, state: 'SENT', error: reason })
      case 'refused':
        return as({ task, state: 'BOUNCED', error: reason })
      case 'unknown':
        return as({ task, state: 'UNKNOWN', error: `${reason}; it may have arrived, so it is not sent again` })
      case 'left':
        // Its end was not sent, but `sending` is, or may be, in the table: say so, or it would count as unknown.
        if (fault !== undefined) return as(later(task, `it could not be recorded: ${messageOf(fault)}`))
        return as(claimed ? later(task, reason) : undefined)
      case 'later':
      case 'session':
        return as(later(task, reason), outcome === 'session')
    }
  }
}
