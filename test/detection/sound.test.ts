import { Registry } from 'prom-client'
import { expect, it } from 'vitest'

import { ClickHouseError, sql } from '../../src/clickhouse/index.ts'
import { createSound } from '../../src/detection/sound.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { capturedLog } from '../support/log.ts'
import { insertLogs } from '../support/request-logs.ts'
import { at, createRunner, detector, NOON } from './support.ts'

const database = testDatabase()

const good = detector('good', 'SELECT count() AS observed, 1 AS threshold')
const alone = detector('alone', 'SELECT address, count() AS observed, 1 AS threshold FROM requests GROUP BY address')
const failing = [
  detector('bad_pass', 'SELECT count() + throwIf(count() > 0) AS observed, 1 AS threshold'),
  detector(
    'bad_statement',
    'SELECT address, count() + throwIf(1) AS observed, 1 AS threshold FROM requests GROUP BY address',
  ),
  detector('bad_evidence', 'SELECT address, count() AS observed, 1 AS threshold FROM requests GROUP BY address', {
    header: ["evidence: throwIf(path = '/') = 0", 'probe: yes'],
  }),
  { ...detector('bad_column', 'SELECT uniqExact(pth) AS observed, 1 AS threshold'), own: true },
]

it('a detector that cannot be run takes no other with it', async () => {
  await insertLogs(database.clickhouse, [{ timestamp: at(1), ip: '203.0.113.1', path: '/' }])
  const runner = createRunner(database)
  await runner.close(NOON, [failing[0]!, good, ...failing.slice(1), alone])
  expect((await runner.findings()).map(({ detector }) => detector)).toEqual(['alone', 'good'])
})

it('of many in one statement those to blame are found, logged with their reason and counted', async () => {
  const registry = new Registry()
  const logged = capturedLog()
  const { share } = createSound({ clickhouse: database.clickhouse, registry, log: logged.log })
  const some = Array.from({ length: 9 }, (_, index) => ({ ...good, id: `d${index}` }))
  const bad = new Set(['d2', 'd7'])
  let statements = 0
  const found = await share(some, async (detectors) => {
    statements++
    const isBad = detectors.some(({ id }) => bad.has(id))
    await database.clickhouse.query(sql`SELECT throwIf(${isBad}, 'it is bad')`)
    return detectors.map(({ id }) => id)
  })
  expect(found).toEqual(['d0', 'd1', 'd3', 'd4', 'd5', 'd6', 'd8'])
  expect(statements).toBeLessThan(2 * some.length)
  const lines = logged.lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  expect(lines.map(({ detector, level, reason }) => [detector, level, String(reason).slice(0, 9)])).toEqual([
    ['d2', 'error', 'it is bad'],
    ['d7', 'error', 'it is bad'],
  ])
  const text = await registry.metrics()
  expect(text).toContain('vedette_detector_failures_total{detector="d2"} 1')
  expect(text).not.toContain('detector="d3"')
})

it('what is no fault of a detector fails the run as it is', async () => {
  const { share } = createSound({ clickhouse: database.clickhouse, log: capturedLog().log })
  for (const kind of ['unavailable', 'overloaded', 'cancelled', 'credentials'] as const)
    await expect(share([good, alone], () => Promise.reject(new ClickHouseError(kind, kind)))).rejects.toThrow(kind)
  await expect(share([good], () => Promise.reject(new TypeError('ours')))).rejects.toThrow('ours')
})
