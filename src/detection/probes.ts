import { type ClickHouse, param, sql } from '../clickhouse/index.ts'
import { type FindOptions, HOUR_MS, statementOptions, viewOf } from './find.ts'
import { evidenceSql } from './sql/compile.ts'
import type { Detector } from './types.ts'

/** Targets kept of one address, hour and kind; who has more is found without them. */
const MOST_TARGETS = 100

/** Writes what was probed for in the hour, for those who probe slowly. */
export const writeProbes = async (
  clickhouse: ClickHouse,
  detectors: readonly Detector[],
  options: FindOptions & { runId: string },
): Promise<void> => {
  const probing = detectors.filter(({ probe }) => probe)
  if (probing.length === 0) return
  const { hour, runId } = options
  const rows = evidenceSql(probing, viewOf(hour, HOUR_MS / 1_000, runId), sql`true`)
  await clickhouse.command(
    sql`INSERT INTO probes_by_run (hour, run_id, address, kind, target, requests, first_seen, last_seen) SELECT ${param("DateTime('UTC')", hour.getTime() / 1_000)}, ${param('UInt64', runId)}, address, kind, target, requests, first_seen, last_seen FROM (${rows}) ORDER BY address, kind, requests DESC, target LIMIT ${param('UInt32', MOST_TARGETS)} BY address, kind`,
    statementOptions(options),
  )
}
