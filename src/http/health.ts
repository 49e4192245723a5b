import type { FastifyInstance } from 'fastify'

import type { Log } from './log.ts'

export interface HealthCheck {
  /** Such as `clickhouse`; shown to everybody. */
  name: string
  /** Throws when the part does not do its work. What it throws goes to the log, not out. */
  check: (signal: AbortSignal) => Promise<void>
  /** False: its failing is shown, but the service goes on being ready. Default true. */
  required?: boolean
}

export interface HealthReport {
  ready: boolean
  status: 'ready' | 'not ready' | 'stopping'
  parts: Record<string, { state: 'ok' | 'failed' | 'timeout'; required: boolean; ms: number }>
}

export interface Health {
  register: (check: HealthCheck) => void
  report: () => Promise<HealthReport>
  /** From now on it is not ready, so that nobody sends more. */
  stopping: () => void
  routes: (app: FastifyInstance) => void
}

/** Each check's time; probes commonly wait for 1 to 5 s. */
const DEADLINE_MS = 800

/** Without a key anybody may ask: within this time all get the same answer. */
const SHARED_MS = 500

export const createHealth = ({ log, deadlineMs = DEADLINE_MS }: { log: Log; deadlineMs?: number }): Health => {
  const checks: HealthCheck[] = []
  const failing = new Set<string>()
  let isStopping = false
  let shared: { until: number; parts: Promise<HealthReport['parts']> } | undefined

  const run = async ({ name, check, required = true }: HealthCheck) => {
    const started = performance.now()
    const signal = AbortSignal.timeout(deadlineMs)
    const deadline = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(new Error(`no answer within ${deadlineMs} ms`)), { once: true })
    })
    let state: 'ok' | 'failed' | 'timeout' = 'ok'
    try {
      await Promise.race([check(signal), deadline])
      if (failing.delete(name)) log.info({ part: name }, `${name} is well again`)
    } catch (error) {
      state = signal.aborted ? 'timeout' : 'failed'
      // Once, not with every probe.
      if (!failing.has(name)) log.warn({ part: name, err: error }, `${name} does not do its work`)
      failing.add(name)
    }
    return [name, { state, required, ms: Math.round(performance.now() - started) }] as const
  }

  const examine = (): Promise<HealthReport['parts']> => {
    if (!shared || shared.until < performance.now())
      shared = {
        until: performance.now() + SHARED_MS,
        parts: Promise.all(checks.map(run)).then((parts) => Object.fromEntries(parts)),
      }
    return shared.parts
  }

  const report = async (): Promise<HealthReport> => {
    const parts = await examine()
    const well = Object.values(parts).every(({ state, required }) => state === 'ok' || !required)
    return { ready: well && !isStopping, status: isStopping ? 'stopping' : well ? 'ready' : 'not ready', parts }
  }

  return {
    register: (check) => {
      if (checks.some(({ name }) => name === check.name))
        throw new TypeError(`there is a health check called ${check.name} already`)
      checks.push(check)
    },
    report,
    stopping: () => {
      isStopping = true
    },
    routes: (app) => {
      app.get('/healthz', { config: { quiet: true } }, async () => ({ status: 'alive' }))
      app.get('/readyz', { config: { quiet: true } }, async (_request, reply) => {
        const { ready, status, parts } = await report()
        return reply.code(ready ? 200 : 503).send({ status, parts })
      })
    },
  }
}
