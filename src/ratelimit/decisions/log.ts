import { setImmediate as turn } from 'node:timers/promises'

import type { Logger } from 'pino'
import type { Registry } from 'prom-client'

import type { SecurityLog } from '../../securitylog/index.ts'
import type { Spool } from '../../spool/index.ts'
import { createBacklog } from './backlog.ts'
import { newCounts, registerMetrics } from './metrics.ts'
import { DECISIONS, encodeGroup, newBatchId, stamp } from './table.ts'
import { createTally, type Tally } from './tally.ts'
import type { DecisionLog } from './types.ts'
import { createWatched } from './watched.ts'

export interface DecisionLogDependencies {
  spool: Pick<Spool, 'append'>
  securityLog: Pick<SecurityLog, 'write'>
  registry: Registry
  log: Logger
  /** How often seconds that are over are written, in ms. Default 1000. */
  flushMs?: number
  /** Milliseconds since 1970, for tests. */
  now?: () => number
}

const SECOND_MS = 1000
const SECONDS_A_DAY = 86_400
/** A millisecond or so of encoding, then others get the event loop. */
const ROWS_A_SLICE = 500

/**
 * Counts decisions by the second in memory and writes each second, once it is over, as one record of the spool, and a line
 * of the security log for each client that was denied. A crash loses what was counted since, a second or so. While the
 * spool is full seconds wait, are added up and go in later; see `Backlog`.
 */
export const createDecisionLog = ({
  spool,
  securityLog,
  registry,
  log,
  flushMs = SECOND_MS,
  now = Date.now,
}: DecisionLogDependencies): DecisionLog => {
  const counts = newCounts()
  const watched = createWatched()
  const backlog = createBacklog(({ second, client }) => {
    counts.folded.second += second
    counts.folded.client += client
  })
  const secondNow = (): number => Math.floor(now() / SECOND_MS)
  /** Seconds that were over since the last tick. */
  let closed: Tally[] = []
  let current = createTally(secondNow())
  let timer: NodeJS.Timeout | undefined
  let draining: Promise<void> | undefined
  let isFull = false

  registerMetrics(registry, counts, () => backlog.rows)

  const close = (second: number): void => {
    if (current.size > 0) {
      closed.push(current)
      counts.folded.client += current.folded
    }
    current = createTally(second)
    watched.prune(second)
  }

  /** One pass over the rows of a second, in slices. */
  const encode = async (tally: Tally, id: string): Promise<{ rows: Buffer[]; count: number }> => {
    const batch = { id, timestamp: stamp(tally.second * SECOND_MS), ingestedAt: stamp(now()) }
    const rows: Buffer[] = []
    let text = ''
    let count = 0
    for (const group of tally.groups()) {
      text += encodeGroup(group, batch, count)
      if (++count % ROWS_A_SLICE > 0) continue
      rows.push(Buffer.from(text))
      text = ''
      await turn()
    }
    if (text !== '') rows.push(Buffer.from(text))
    return { rows, count }
  }

  const writeSecurityLines = async (tally: Tally): Promise<void> => {
    let lines = 0
    for (const { outcome, ip, counted, service, policyId, entryId, method, path, count } of tally.groups()) {
      if (outcome === 'allowed') continue
      securityLog.write({ event: outcome, ip, counted, service, policyId, entryId, method, path, count })
      if (++lines % ROWS_A_SLICE === 0) await turn()
    }
  }

  /** @throws {SpoolFullError} nothing of it was taken */
  const write = async (tally: Tally): Promise<void> => {
    const batch = newBatchId(now())
    const { rows, count } = await encode(tally, batch)
    const meta = { batch, rows: count, partitions: [Math.floor(tally.second / SECONDS_A_DAY)] }
    await spool.append(DECISIONS.name, { meta, rows })
  }

  const drain = async (): Promise<void> => {
    for (let tally = backlog.shift(); tally; tally = backlog.shift()) {
      try {
        await write(tally)
      } catch (error) {
        backlog.unshift(tally)
        if (!isFull)
          log.warn({ err: error }, 'the spool takes no decisions; they are kept in memory and added up until it does')
        isFull = true
        return
      }
      if (isFull) log.info({ rows: backlog.rows }, 'the spool takes decisions again')
      isFull = false
    }
  }

  /** Writes what waits; whoever comes while it is being done waits for the same. */
  const flush = (): Promise<void> => {
    draining ??= drain()
      .catch((error: unknown) => log.error({ err: error }, 'the decision log failed'))
      .finally(() => (draining = undefined))
    return draining
  }

  /** What is over goes on its way, whether the disk has taken what came before or not. */
  const handOver = async (): Promise<void> => {
    const over = closed
    closed = []
    for (const tally of over) backlog.push(tally)
    for (const tally of over) await writeSecurityLines(tally)
  }

  const tick = (): void => {
    const second = secondNow()
    if (second !== current.second) close(second)
    void handOver()
    void flush()
    schedule()
  }

  /** With the beginning of a second, so that each is one record. */
  const schedule = (): void => {
    timer = setTimeout(tick, flushMs - (now() % flushMs)).unref()
  }

  return {
    note: (decision) => {
      const second = secondNow()
      if (second !== current.second) close(second)
      const { outcome, counted } = decision
      counts.outcomes[outcome]++
      if (outcome === 'allowed') {
        current.note(decision, watched.has(counted) ? 'client' : 'service')
        return
      }
      // Once a second is enough to remember it by.
      if (current.note(decision, 'client') && outcome !== 'blocked') watched.add(counted, second)
    },
    start: schedule,
    stop: async () => {
      clearTimeout(timer)
      close(secondNow())
      await handOver()
      // What is under way may have begun before the last second came, or failed.
      await flush()
      await flush()
      if (backlog.rows > 0)
        log.error(
          { rows: backlog.rows },
          'the spool is full: these rows of the decision log are lost with this process',
        )
    },
  }
}
