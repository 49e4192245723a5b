import type { Logger } from 'pino'
import { Counter, type Registry } from 'prom-client'

import { type ClickHouse, param, raw, sql } from '../clickhouse/index.ts'
import type { JobContext, JobResult } from '../jobs/index.ts'
import type { Crawlers } from './crawlers/index.ts'
import { gatherFacts } from './enrich.ts'
import { type Candidate, find, type FindOptions, HOUR_MS, statementOptions, viewOf } from './find.ts'
import { findRepeated, toFindings, writeFindings } from './findings.ts'
import type { Exempt } from './judge.ts'
import { writeProbes } from './probes.ts'
import { createSound } from './sound.ts'
import { relations } from './sql/relations.ts'
import type { Detector, Finding } from './types.ts'

export interface DetectionRunDependencies {
  clickhouse: ClickHouse
  detectors: () => readonly Detector[]
  crawlers: Pick<Crawlers, 'agents' | 'verify'>
  exempt: Exempt
  /** Blocks who is to be blocked. */
  block: (findings: readonly Finding[], hour: Date) => Promise<number>
  /** Default: nothing is counted. */
  registry?: Registry | undefined
  log: Logger
}

type Options = FindOptions & { runId: string }

/** Finds out who of the hour says that they are a crawler, and whether they are. */
const writeCrawlers = async (
  clickhouse: ClickHouse,
  crawlers: DetectionRunDependencies['crawlers'],
  options: Options,
): Promise<void> => {
  const { hour, runId, signal } = options
  const { rows } = await clickhouse.query<{ address: string; ip: string; userAgent: string }>(
    sql`WITH ${relations(viewOf(hour, HOUR_MS / 1_000, runId), 'requests')} SELECT address, min(r.ip) AS ip, lower_user_agent AS userAgent FROM requests AS r WHERE match(lower_user_agent, ${crawlers.agents}) GROUP BY address, userAgent ORDER BY address, userAgent`,
    statementOptions(options),
  )
  if (rows.length === 0) return
  const verdicts = await crawlers.verify(rows, signal)
  const at = hour.toISOString().slice(0, 19).replace('T', ' ')
  await clickhouse.insert({
    table: 'crawler_hours_by_run',
    columns: ['hour', 'run_id', 'address', 'crawler', 'verdict'],
    rows: Buffer.from(
      verdicts
        .map(({ address, crawler, verdict }) => JSON.stringify([at, runId, address, crawler, verdict]))
        .join('\n'),
    ),
    deduplicationToken: `crawlers:${runId}`,
    signal,
  })
}

const writtenBy = async (clickhouse: ClickHouse, { hour, runId }: Options): Promise<number> => {
  let written = 0
  for (const table of ['crawler_hours_by_run', 'probes_by_run', 'findings_by_run']) {
    const { rows } = await clickhouse.query<{ rows: string }>(
      sql`SELECT count() AS rows FROM ${raw(table)} WHERE hour = ${param("DateTime('UTC')", hour.getTime() / 1_000)} AND run_id = ${param('UInt64', runId)}`,
    )
    written += Number(rows[0]!.rows)
  }
  return written
}

const createFindingsCounter = (registry: Registry | undefined) =>
  new Counter({
    name: 'vedette_findings_total',
    help: 'What detectors found, by their mode at that time; an hour that is run again counts again',
    labelNames: ['detector', 'mode'],
    registers: registry ? [registry] : [],
  })

/**
 * Finds what there is to be found in an hour whose roll-ups the same run has written, and writes it under the run's id. A
 * detector that cannot be run is logged and counted, and the others go on without it.
 */
export const createDetectionRun = (dependencies: DetectionRunDependencies) => {
  const { clickhouse, detectors, crawlers, exempt, block, registry, log } = dependencies
  const { compiling, share } = createSound({ clickhouse, registry, log })
  const counter = createFindingsCounter(registry)

  return async ({ window, runId, signal }: JobContext): Promise<JobResult> => {
    const options: Options = { hour: window.from, runId, signal, comment: `job hourly ${window.from.toISOString()}` }
    const active = await compiling(
      detectors().filter(({ mode }) => mode !== 'OFF'),
      options,
    )
    await writeCrawlers(clickhouse, crawlers, options)
    // Whatever is wrong with an expression shows before the first row is written: all are grouped and sorted first.
    await share(active, async (some) => {
      await writeProbes(clickhouse, some, options)
      return []
    })
    const found: Finding[] = []
    let rowsRead = 0

    const findingsOf = async (candidates: readonly Candidate[]) => {
      const repeated = await findRepeated(clickhouse, candidates, options.hour)
      return share([...new Set(candidates.map(({ detector }) => detector))], async (some) => {
        const those = candidates.filter(({ detector }) => some.includes(detector))
        const facts = await gatherFacts(clickhouse, those, options)
        return toFindings(those, { facts, repeated, hour: options.hour, runId })
      })
    }

    const stage = async (which: readonly Detector[], part: string): Promise<void> => {
      const result = await find(clickhouse, which, options, share)
      rowsRead += result.rowsRead
      const findings = (await findingsOf(result.candidates.filter((candidate) => !exempt(candidate))))
        // A window of days holds in each of its hours: it is told when it comes to hold, and again while the address goes on.
        .filter((finding) => !(finding.repeated && finding.lastActive < options.hour))
      await writeFindings(clickhouse, findings, { runId, part, signal })
      found.push(...findings)
    }
    await stage(
      active.filter((detector) => detector.stage !== 'findings'),
      'first',
    )
    // One after the other, since a later one may build on what an earlier one found.
    for (const detector of active.filter((item) => item.stage === 'findings')) await stage([detector], detector.id)

    signal.throwIfAborted()
    const blocked = await block(found, options.hour)
    for (const { detector, mode } of found) counter.inc({ detector, mode })
    log.info({ hour: options.hour, findings: found.length, blocked }, 'looked for anomalies')
    return { rowsRead, rowsWritten: await writtenBy(clickhouse, options) }
  }
}
