import type { Log } from '../http/index.ts'
import type { Redis } from '../redis/index.ts'
import type { JobRun } from './types.ts'

const CHANNEL = 'job_runs'

/** Tells this process and others what became of runs. */
export interface News {
  tell: (run: JobRun) => void
  onChange: (listener: (run: JobRun) => void) => () => void
  start: () => void
  stop: () => void
}

interface Message {
  from: string
  run: JobRun
}

/** As it was before it went over the wire. */
const revive = (run: JobRun): JobRun => ({
  ...run,
  window: { from: new Date(run.window.from), to: new Date(run.window.to) },
  scheduledFor: new Date(run.scheduledFor),
  startedAt: run.startedAt && new Date(run.startedAt),
  finishedAt: run.finishedAt && new Date(run.finishedAt),
})

/** @param self names this process, so that it does not hear itself twice */
export const createNews = ({ redis, log, self }: { redis: Redis; log: Log; self: string }): News => {
  const listeners = new Set<(run: JobRun) => void>()
  let unsubscribe: (() => void) | undefined

  const deliver = (run: JobRun): void => {
    for (const listener of listeners)
      try {
        listener(run)
      } catch (error) {
        log.error({ err: error, run: run.id }, 'a listener of job runs failed')
      }
  }
  return {
    tell: (run) => {
      deliver(run)
      // Who misses it reads the table in time.
      if (redis.shared) redis.publish(CHANNEL, { from: self, run } satisfies Message).catch(() => {})
    },
    onChange: (listener) => {
      const own = (run: JobRun): void => listener(run)
      listeners.add(own)
      return () => void listeners.delete(own)
    },
    start: () => {
      unsubscribe ??= redis.subscribe(CHANNEL, (message) => {
        const { from, run } = message as Message
        if (from !== self) deliver(revive(run))
      })
    },
    stop: () => {
      unsubscribe?.()
      unsubscribe = undefined
    },
  }
}
