import { randomUUID } from 'node:crypto'

import { type Asker, createRunner, resolveTimeRange, type TimeRangeInput } from '../analytics/index.ts'
import { type ClickHouse, sql } from '../clickhouse/index.ts'
import type { BlockList } from '../ratelimit/index.ts'
import { type Backtest, createBacktest } from './backtest.ts'
import { createExempt } from './judge.ts'
import type { Detectors } from './settings.ts'
import type { Precision } from './suspicious/index.ts'

export interface DetectorQueriesDependencies {
  clickhouse: ClickHouse
  detectors: Detectors
  blockList: Pick<BlockList, 'lookup'>
  trustedProxies: readonly string[]
  precision: () => ReadonlyMap<string, Precision>
  /** What one backtest may take. Default 120,000. */
  budgetMs?: number
  /** Milliseconds since 1970, for tests. */
  now?: () => number
}

const HOUR_MS = 3_600_000

/** What can be asked of detectors. */
export interface DetectorQueries {
  detectors: Detectors
  /** By detector, from memory; those without a verdict are missing. */
  precision: () => ReadonlyMap<string, Precision>
  /**
   * Findings of each detector of the hours that touch the range, those of REPORT_ONLY too, as far as the asker may see them.
   * @throws {AnalyticsError}
   */
  findings: (timeRange: TimeRangeInput, asker: Asker) => Promise<Map<string, number>>
  /**
   * What a detector would have flagged in the range, over all services; parameters that are not named are as they are set.
   * @throws {StoreError} NOT_FOUND, INVALID with the field
   * @throws {AnalyticsError}
   */
  backtest: (
    input: { id: string; parameters?: Readonly<Record<string, unknown>> | undefined; timeRange: TimeRangeInput },
    asker: Asker,
  ) => Promise<Backtest>
}

export const createDetectorQueries = (dependencies: DetectorQueriesDependencies): DetectorQueries => {
  const { clickhouse, detectors, precision, budgetMs, now = Date.now } = dependencies
  const runnerFor = createRunner(clickhouse, randomUUID)
  const backtest = createBacktest({
    clickhouse,
    exempt: createExempt(dependencies),
    ...(budgetMs !== undefined && { budgetMs }),
  })
  return {
    detectors,
    precision,
    findings: async (timeRange, asker) => {
      const { from, to } = resolveTimeRange('timeRange', timeRange, now())
      const { services } = asker
      const theirs = services ? sql` AND hasAny(services, ${[...services]})` : sql``
      const rows = await runnerFor(asker)<{ detector: string; findings: string }>(
        sql`SELECT detector, count() AS findings FROM findings WHERE hour > ${new Date(from - HOUR_MS)} AND hour < ${new Date(to)}${theirs} GROUP BY detector`,
      )
      return new Map(rows.map(({ detector, findings }) => [detector, Number(findings)]))
    },
    backtest: async ({ id, parameters = {}, timeRange }, { signal, comment }) =>
      backtest(detectors.withParameters(id, parameters), {
        range: resolveTimeRange('timeRange', timeRange, now()),
        signal,
        comment,
      }),
  }
}
