import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import pino from 'pino'

import { type ClickHouse, createClickHouse, migrate, param, sql } from '../../src/clickhouse/index.ts'
import { createDetectionRun, createExempt, type Detector, readDetectors } from '../../src/detection/index.ts'
import { createRollups } from '../../src/rollups/index.ts'
import { table } from '../../src/demo/table.ts'

const HOUR = 3_600_000
const log = pino({ level: 'warn' })

/**
 * An hour of traffic made in the engine: 30 services' worth of 2,000 paths, 40 % files, one address for ten requests, of which
 * one in a thousand probes, attacks or guesses passwords; durations, sizes and user agents as real logs have them.
 */
const fill = async (clickhouse: ClickHouse, hour: Date, rows: number): Promise<void> => {
  const slice = 500_000
  for (let from = 0; from < rows; from += slice)
    await clickhouse.command(
      sql`INSERT INTO request_logs (timestamp, ingested_at, batch, row, service, host, method, path, route, query, protocol, status_code, duration_ms, response_bytes, ip, country, asn, user_id, user_agent, referer)
      WITH
        cityHash64(number) AS h,
        -- Few come often, most come once: the square makes it skewed.
        toUInt32(pow((h % 1000003) / 1000003, 2) * ${param('UInt64', rows / 10)}) AS visitor,
        cityHash64(visitor) AS v,
        v % 1000 = 0 AS hostile,
        bitShiftRight(h, 8) % 10 < 4 AS file,
        bitShiftRight(h, 12) % 2000 AS page
      SELECT
        fromUnixTimestamp64Milli(toInt64(${param('Int64', hour.getTime())}) + bitShiftRight(h, 20) % 3600000),
        toDateTime(${param('Int64', hour.getTime() / 1_000)}) + bitShiftRight(h, 20) % 3600, 1, number,
        concat('service-', toString(v % 30)), concat('www', toString(v % 30), '.example'),
        multiIf(hostile AND v % 3 = 0, 'POST', bitShiftRight(h, 5) % 20 = 0, 'POST', 'GET'),
        multiIf(hostile, ['/login', concat('/.env', toString(page % 40)), concat('/admin/', toString(page)), concat('/x', toString(page), '.php')][1 + bitShiftRight(h, 3) % 4], file, concat('/assets/', toString(page), '.js'), concat('/p/', toString(page))),
        if(file, '/assets/:file', '/p/:id'),
        multiIf(hostile AND bitShiftRight(h, 4) % 3 = 0, concat('q=1%27%20union%20select%20', toString(page)), bitShiftRight(h, 6) % 3 = 0, concat('q=', toString(page), '&sort=price'), ''),
        'HTTP/2.0', multiIf(hostile, [401, 403, 404, 500][1 + bitShiftRight(h, 7) % 4], bitShiftRight(h, 9) % 40 = 0, 404, 200),
        exp(3 + (bitShiftRight(h, 11) % 1000) / 300), 200 + bitShiftRight(h, 13) % 40000,
        toIPv6(concat('::ffff:', IPv4NumToString(toUInt32(16777216 + (v % 3000000000))))),
        ['DE', 'US', 'FR', 'GB', 'BR', 'IN', 'CN', ''][1 + v % 8], v % 5000, if(v % 4 = 0, concat('u-', toString(visitor)), ''),
        concat('Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/', toString(100 + v % 50), '.0.0.0 Safari/537.36'),
        if(file, concat('https://www', toString(v % 30), '.example/p/', toString(page)), '')
      FROM numbers(${param('UInt64', from)}, ${param('UInt64', Math.min(slice, rows - from))})`,
      { maxExecutionSeconds: 300 },
    )
}

/** Highest resident memory since the last look, bytes: Linux keeps it for each process. */
const createPeak = (pid: number) => async (): Promise<number> => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1_024
}

const asSet = (file: Omit<Detector, 'values' | 'exceptions' | 'version'>): Detector => ({
  ...file,
  values: Object.fromEntries(file.parameters.map((item) => [item.name, item.default])),
  exceptions: [],
  version: 0,
})

interface Measured {
  rows: number
  addresses: number
  rollupSeconds: number
  detectionSeconds: number
  findings: number
  peakBytes: number
}

/** One engine for each size, so that the peak of memory is its own. */
const measure = async (rows: number): Promise<Measured> => {
  const folder = await mkdtemp(join(tmpdir(), 'vedette-hourly-'))
  const clickhouse = await createClickHouse({ dataDir: folder, log })
  try {
    const { pid } = JSON.parse(await readFile(join(folder, 'engine.json'), 'utf8')) as { pid: number }
    await migrate(clickhouse, { log })
    const hour = new Date(Math.floor(Date.now() / HOUR) * HOUR - HOUR)
    await fill(clickhouse, hour, rows)
    const detectors = [...(await readDetectors()).values()].map(asSet)
    const rollups = createRollups({ clickhouse })
    const detect = createDetectionRun({
      clickhouse,
      detectors: () => detectors,
      crawlers: { agents: 'googlebot|bingbot', verify: () => Promise.resolve([]) },
      exempt: createExempt({ blockList: { lookup: () => undefined }, trustedProxies: [] }),
      block: () => Promise.resolve(0),
      log,
    })
    const window = { from: hour, to: new Date(hour.getTime() + HOUR) }
    const context = { window, runId: '1', signal: new AbortController().signal }
    const startedAt = performance.now()
    await rollups.run(context)
    const rolledUpAt = performance.now()
    await detect(context)
    const doneAt = performance.now()
    const { rows: counts } = await clickhouse.query<{ addresses: string; findings: string }>(
      sql`SELECT (SELECT count() FROM address_hours_by_run) AS addresses, (SELECT count() FROM findings_by_run) AS findings`,
    )
    return {
      rows,
      addresses: Number(counts[0]!.addresses),
      rollupSeconds: (rolledUpAt - startedAt) / 1_000,
      detectionSeconds: (doneAt - rolledUpAt) / 1_000,
      findings: Number(counts[0]!.findings),
      peakBytes: await createPeak(pid)(),
    }
  } finally {
    await clickhouse.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/** What closing an hour takes, for hours of different sizes. The aim: 5 million rows in 60 s and 4 GiB, growing no faster than the rows. */
export const run = async (args: readonly string[]): Promise<void> => {
  const { values } = parseArgs({ args: [...args], options: { rows: { type: 'string', default: '500000,5000000' } } })
  const measured: Measured[] = []
  for (const rows of values.rows.split(',').map(Number)) measured.push(await measure(rows))
  const [first] = measured as [Measured]
  const cost = ({ rollupSeconds, detectionSeconds }: Measured): number => rollupSeconds + detectionSeconds
  const right = true
  console.log(
    table('Closing an hour', measured, [
      { title: 'rows', value: (item) => item.rows.toLocaleString('en'), right },
      { title: 'addresses', value: (item) => item.addresses.toLocaleString('en'), right },
      { title: 'roll-ups, s', value: (item) => item.rollupSeconds.toFixed(1), right },
      { title: 'detectors, s', value: (item) => item.detectionSeconds.toFixed(1), right },
      { title: 'together, s', value: (item) => cost(item).toFixed(1), right },
      { title: 'findings', value: (item) => item.findings.toLocaleString('en'), right },
      { title: 'peak, GiB', value: (item) => (item.peakBytes / 2 ** 30).toFixed(2), right },
      { title: 'cost, times the first', value: (item) => (cost(item) / cost(first)).toFixed(1), right },
      { title: 'rows, times the first', value: (item) => (item.rows / first.rows).toFixed(1), right },
    ]),
  )
}
