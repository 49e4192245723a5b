import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import pino from 'pino'

import { type ClickHouse, createClickHouse, migrate, param, raw, sql } from '../../../src/clickhouse/index.ts'
import { createDetectionRun, createExempt, readDetectors, shownAddress } from '../../../src/detection/index.ts'
import type { Detector, DetectorFile } from '../../../src/detection/index.ts'
import { createRollups } from '../../../src/rollups/index.ts'
import { insertLogs, type LogRow } from '../../../test/support/request-logs.ts'

const log = pino({ level: process.env['LOG_LEVEL'] ?? 'warn' })
const HOUR = 3_600_000

export interface LabFinding {
  detector: string
  address: string
  mode: string
  hour: string
  observed: number
  threshold: number
  score: number
  requests: number
  target: string
  details: string
}

/** The roll-ups and detectors of the hourly job on an engine of their own, without a service around them. */
export interface Lab {
  clickhouse: ClickHouse
  detectors: Detector[]
  insert: (rows: readonly LogRow[]) => Promise<void>
  /** Closes every hour that has rows, in order. @returns how long the detectors took in ms */
  closeHours: () => Promise<number>
  findings: () => Promise<LabFinding[]>
  empty: () => Promise<void>
  close: () => Promise<void>
}

const asSet = (file: DetectorFile): Detector => ({
  ...file,
  values: Object.fromEntries(file.parameters.map((item) => [item.name, item.default])),
  exceptions: [],
  version: 0,
})

export type LabCrawlers = Parameters<typeof createDetectionRun>[0]['crawlers']

const NO_CRAWLERS: LabCrawlers = { agents: 'nobody-says-this', verify: () => Promise.resolve([]) }

export const openLab = async ({ crawlers = NO_CRAWLERS }: { crawlers?: LabCrawlers } = {}): Promise<Lab> => {
  const folder = await mkdtemp(join(tmpdir(), 'vedette-lab-'))
  const clickhouse = await createClickHouse({ dataDir: folder, log })
  await migrate(clickhouse, { log })
  const detectors = [...(await readDetectors()).values()].map(asSet)
  const rollups = createRollups({ clickhouse })
  const run = createDetectionRun({
    clickhouse,
    detectors: () => detectors,
    crawlers,
    exempt: createExempt({ blockList: { lookup: () => undefined }, trustedProxies: [] }),
    block: () => Promise.resolve(0),
    log,
  })
  let runId = 0
  return {
    clickhouse,
    detectors,
    insert: async (rows) => {
      for (let from = 0; from < rows.length; from += 20_000)
        await insertLogs(clickhouse, rows.slice(from, from + 20_000))
    },
    closeHours: async () => {
      const { rows } = await clickhouse.query<{ hour: number }>(
        sql`SELECT DISTINCT toUnixTimestamp(toStartOfHour(timestamp)) AS hour FROM request_logs ORDER BY hour`,
      )
      let spent = 0
      for (const { hour } of rows) {
        const window = { from: new Date(hour * 1_000), to: new Date(hour * 1_000 + HOUR) }
        const context = { window, runId: String(++runId), signal: new AbortController().signal }
        await rollups.run(context)
        const startedAt = performance.now()
        await run(context)
        spent += performance.now() - startedAt
        await clickhouse.command(
          sql`INSERT INTO job_runs (job, window_from, window_to, run_id, status, finished_at, recorded_at) SELECT 'hourly', ${param("DateTime('UTC')", hour)}, ${param("DateTime('UTC')", hour + 3_600)}, ${param('UInt64', context.runId)}, 'succeeded', now64(3), now64(6)`,
        )
      }
      return spent
    },
    findings: async () => {
      const { rows } = await clickhouse.query<LabFinding>(
        sql`SELECT detector, toString(address) AS address, toString(mode) AS mode, toString(hour) AS hour, observed, threshold, score, requests, target, details FROM findings ORDER BY address, detector, hour`,
      )
      return rows.map((row) => ({ ...row, address: shownAddress(row.address) }))
    },
    empty: async () => {
      const { rows } = await clickhouse.query<{ name: string }>(
        sql`SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND name != 'schema_migrations' AND total_rows > 0`,
      )
      for (const { name } of rows) await clickhouse.command(raw(`TRUNCATE TABLE \`${name}\` SYNC`))
    },
    close: async () => {
      await clickhouse.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
