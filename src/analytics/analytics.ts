import { randomUUID } from 'node:crypto'

import type { ClickHouse } from '../clickhouse/index.ts'
import { answer, type RequestAnalytics } from './aggregate.ts'
import { coverage, rollupThrough } from './coverage.ts'
import { decodeLogId } from './cursor.ts'
import type { Dimension } from './dimensions.ts'
import { type DimensionValueCount, type DimensionValuesInput, findDimensionValues } from './dimension-values.ts'
import type { RequestFilter } from './filter.ts'
import { type Freshness, newestTimestamp, type OldestPending, pendingFreshness } from './freshness.ts'
import { LIMITS } from './limits.ts'
import type { LogField, RequestLog } from './log-row.ts'
import { type LogList, listLogs } from './log-list.ts'
import { findLog, type LogQuery, planLogs, type RequestLogsInput, rowsToRead } from './logs.ts'
import { dataSourceOf, type DataSource, pickSource, type RolledUp, tableFor } from './pick-source.ts'
import { type Question, type RequestAnalyticsInput, resolveQuestion } from './question.ts'
import { type Backtest, type BacktestInput, backtestRateLimit } from './rate-limit-backtest.ts'
import {
  type AddressesTold,
  type Effectiveness,
  type EffectivenessInput,
  rateLimitEffectiveness,
} from './rate-limit-effectiveness.ts'
import { blockListHits, type HitsInput } from './rate-limit-hits.ts'
import { rowSource } from './row-source.ts'
import { type Asker, createRunner, type Spent, withPatterns } from './run.ts'
import type { TimeRangeInput } from './time-range.ts'

export interface AnalyticsDependencies {
  clickhouse: ClickHouse
  /** When the oldest row arrived that the collector holds and the store does not. Default: none waits. */
  oldestPending?: OldestPending
  /** What people said of addresses. Default: nothing. */
  addressesTold?: AddressesTold
  /** Milliseconds since 1970, for tests. */
  now?: () => number
}

export interface QueryEstimate {
  allowed: boolean
  /** Why not. */
  reasons: string[]
  rowsToRead: number
  source: DataSource
}

export interface EstimateInput {
  timeRange: TimeRangeInput
  groupBy?: readonly Dimension[] | null | undefined
  where?: RequestFilter | null | undefined
}

/** Questions about the stored requests. Each sees only what the asker may see, and throws AnalyticsError. */
export interface Analytics {
  requestAnalytics: (input: RequestAnalyticsInput, asker: Asker) => Promise<RequestAnalytics & { spent: Spent }>
  /** Checked at once; the parts are read when asked for. */
  requestLogs: (input: RequestLogsInput, asker: Asker) => LogQuery & { spent: Spent }
  /** By its id; undefined: none such, gone, or not for this asker. */
  requestLog: (id: string, fields: ReadonlySet<LogField>, asker: Asker) => Promise<RequestLog | undefined>
  /** Rows by their number, newest first. */
  listLogs: (input: { offset: number; limit: number; fields: ReadonlySet<LogField> }, asker: Asker) => Promise<LogList>
  dimensionValues: (input: DimensionValuesInput, asker: Asker) => Promise<DimensionValueCount[]>
  /** What limits and blocks came to. */
  rateLimitEffectiveness: (input: EffectivenessInput, asker: Asker) => Promise<Effectiveness & { spent: Spent }>
  /** What a limit would have done to stored requests. */
  backtestRateLimit: (input: BacktestInput, asker: Asker) => Promise<Backtest & { spent: Spent }>
  /** How often entries of the block list decided or had a say, by their ids; those that never did are missing. */
  blockListHits: (input: HitsInput, asker: Asker) => Promise<Map<string, number | bigint>>
  /** What it would read, without running it. */
  estimate: (input: EstimateInput, asker: Asker) => Promise<QueryEstimate>
  freshness: (asker: Asker) => Promise<Freshness>
}

export const createAnalytics = ({
  clickhouse,
  oldestPending = () => undefined,
  addressesTold,
  now = Date.now,
}: AnalyticsDependencies): Analytics => {
  const runnerFor = createRunner(clickhouse, randomUUID)

  const freshness = async (asker: Asker): Promise<Freshness> => {
    const [ingestedThrough, rolledUpThrough, pending] = await Promise.all([
      newestTimestamp(asker, runnerFor(asker), now()),
      rollupThrough(runnerFor(asker), now()),
      pendingFreshness(oldestPending, now()),
    ])
    return { ingestedThrough, rollupThrough: rolledUpThrough, ...pending }
  }

  /** What of a question roll-ups answer. Asked beside its statements: it counts for none of them. */
  const rolledUp = async (question: Question, asker: Asker): Promise<RolledUp | undefined> => {
    if (!tableFor(question)) return undefined
    const { range, comparison } = question
    const ranges = comparison ? [range, comparison.range] : [range]
    return pickSource(question, await coverage(runnerFor(asker), ranges, now()))
  }

  return {
    freshness,
    requestAnalytics: async (input, asker) => {
      const run = runnerFor(asker)
      const question = resolveQuestion(input, now())
      const [pending, picked] = await Promise.all([pendingFreshness(oldestPending, now()), rolledUp(question, asker)])
      const result = await answer(question, asker, run, pending.completeThrough.getTime(), picked)
      return { ...result, spent: run.spent }
    },
    requestLogs: (input, asker) => {
      const run = runnerFor(asker)
      return { ...planLogs(input, asker, run, now()), spent: run.spent }
    },
    requestLog: async (id, fields, asker) => {
      const position = decodeLogId(id)
      return position && findLog(position, fields, asker, runnerFor(asker))
    },
    listLogs: (input, asker) => listLogs(input, asker, runnerFor(asker)),
    dimensionValues: async (input, asker) => findDimensionValues(input, asker, runnerFor(asker), now()),
    rateLimitEffectiveness: async (input, asker) => {
      const run = runnerFor(asker)
      return { ...(await rateLimitEffectiveness(input, asker, run, now(), addressesTold)), spent: run.spent }
    },
    backtestRateLimit: async (input, asker) => {
      const run = runnerFor(asker)
      return { ...(await backtestRateLimit(input, asker, run, now())), spent: run.spent }
    },
    blockListHits: async (input, asker) => blockListHits(input, asker, runnerFor(asker), now()),
    estimate: async ({ timeRange, groupBy, where }, asker) => {
      const run = runnerFor(asker)
      const question = resolveQuestion({ timeRange, groupBy, where, selection: {} }, now())
      const { range, filter } = question
      const picked = await rolledUp(question, asker)
      const source = rowSource(picked).rows(range, 'current', asker, filter.condition)
      const rows = await withPatterns(run, filter, () => rowsToRead(run, source))
      const reasons =
        rows > LIMITS.maxRowsToRead
          ? [
              `it reads ${rows} rows of ${LIMITS.maxRowsToRead} that one question may; ask for a shorter timeRange or a narrower where`,
            ]
          : []
      return { allowed: reasons.length === 0, reasons, rowsToRead: rows, source: dataSourceOf(picked) }
    },
  }
}
