import { param, sql } from '../../src/clickhouse/index.ts'
import {
  createDetectionRun,
  createExempt,
  type Detector,
  type DetectorException,
  type DetectorFile,
  type DetectorMode,
  type Finding,
  parseDetector,
  shownAddress,
} from '../../src/detection/index.ts'
import { createRollups } from '../../src/rollups/index.ts'
import { silent, type TestDatabase } from '../support/clickhouse.ts'

export const HOUR = 3_600_000
/** First moment of the hour that the tests close. */
export const NOON = new Date('2026-11-20T12:00:00Z')
export const at = (minutes: number, hour: Date = NOON): Date => new Date(hour.getTime() + minutes * 60_000)

/** A detector with its defaults. */
export const withDefaults = (file: DetectorFile): Detector => ({
  ...file,
  values: Object.fromEntries(file.parameters.map((item) => [item.name, item.default])),
  exceptions: [],
  version: 0,
})

/** A detector of a test's own. */
export const detector = (
  id: string,
  body: string,
  { header = [], ...rest }: { header?: string[]; mode?: DetectorMode; exceptions?: DetectorException[] } = {},
): Detector => ({
  ...withDefaults(
    parseDetector(
      `${id}.sql`,
      [
        '-- Of a test.',
        `-- name: ${id}`,
        '-- severity: MEDIUM',
        '-- window: 1h',
        ...header.map((line) => `-- ${line}`),
        body,
      ].join('\n'),
      false,
    ),
  ),
  ...rest,
})

export interface Found {
  detector: string
  address: string
  ip: string
  hour: string
  mode: string
  observed: number
  threshold: number
  repeated: boolean
  requests: number
  target: string
  details: Record<string, unknown>
}

export interface Runner {
  /** Closes an hour: roll-ups, detectors, and the record that makes the run count. */
  close: (hour: Date, detectors: readonly Detector[]) => Promise<void>
  findings: () => Promise<Found[]>
  /** What was given to be blocked. */
  blocked: Finding[]
}

/** The hourly job without its schedule. */
export const createRunner = (
  database: TestDatabase,
  options: {
    crawlers?: Parameters<typeof createDetectionRun>[0]['crawlers']
    allowed?: readonly string[]
    trustedProxies?: readonly string[]
  } = {},
): Runner => {
  let runId = 0
  const blocked: Finding[] = []
  const {
    crawlers = { agents: 'nobody-says-this', verify: () => Promise.resolve([]) },
    allowed = [],
    trustedProxies = [],
  } = options
  return {
    blocked,
    close: async (hour, detectors) => {
      const { clickhouse } = database
      const context = {
        window: { from: hour, to: new Date(hour.getTime() + HOUR) },
        runId: String(++runId),
        signal: new AbortController().signal,
      }
      await createRollups({ clickhouse }).run(context)
      const run = createDetectionRun({
        clickhouse,
        detectors: () => detectors,
        crawlers,
        exempt: createExempt({
          blockList: {
            lookup: ({ text }) => (allowed.includes(text) ? ({ action: 'ALLOW' } as never) : undefined),
          },
          trustedProxies,
        }),
        block: (findings) => {
          blocked.push(...findings.filter(({ mode }) => mode === 'FLAG_AND_BLOCK'))
          return Promise.resolve(0)
        },
        log: silent,
      })
      await run(context)
      await clickhouse.command(
        sql`INSERT INTO job_runs (job, window_from, window_to, run_id, status, finished_at, recorded_at) SELECT 'hourly', ${context.window.from}, ${context.window.to}, ${param('UInt64', context.runId)}, 'succeeded', now64(3), now64(6)`,
      )
    },
    findings: async () => {
      const { rows } = await database.clickhouse.query<Omit<Found, 'details'> & { details: string }>(
        sql`SELECT detector, toString(address) AS address, toString(ip) AS ip, formatDateTime(hour, '%dT%H') AS hour, toString(mode) AS mode, observed, threshold, repeated, requests, target, details FROM findings ORDER BY hour, detector, findings.address`,
      )
      return rows.map((row) => ({
        ...row,
        address: shownAddress(row.address),
        ip: shownAddress(row.ip),
        details: JSON.parse(row.details) as Record<string, unknown>,
      }))
    },
  }
}
