import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { parseDetector } from '../../src/detection/index.ts'
import { createRunner, withDefaults } from '../detection/support.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { type Outcome, vedette } from '../support/command.ts'
import { insertLogs } from '../support/request-logs.ts'

const DOORS = `-- Knocks at many doors, one after the other, and never stays where one is opened to it, as those do who look for what was left open.
-- name: Doors
-- severity: HIGH
-- window: 1h
-- unit: doors
-- parameter: doors UInt32 = 10 [2, 100] different doors
-- parameter: words Array(String) = ['x'] how doors are called
-- reference: https://example.com/doors
WITH has({words:Array(String)}, splitByChar('-', path)[2]) AS evidence
SELECT uniqExactIf(path, evidence) AS observed, {doors:UInt32} AS threshold`

const folder = mkdtempSync(join(tmpdir(), 'vedette-detectors-'))
const dataDir = join(folder, 'data')
const detectorsDir = join(folder, 'detectors')
afterAll(() => rmSync(folder, { recursive: true }))

const database = testDatabase()
const run = (...args: string[]): Promise<Outcome> =>
  vedette(['detectors', ...args], { CLICKHOUSE_URL: database.url, DATA_DIR: dataDir, DETECTORS_DIR: detectorsDir })

const HOUR = 3_600_000
const hour = new Date(Math.floor(Date.now() / HOUR) * HOUR - 3 * HOUR)
const knocks = (ip: string, count: number) =>
  Array.from({ length: count }, (_, index) => ({
    ip,
    timestamp: new Date(hour.getTime() + index * 1_000),
    path: `/door-x-${index}`,
  }))

beforeAll(async () => {
  mkdirSync(detectorsDir)
  writeFileSync(join(detectorsDir, 'a_doors.sql'), DOORS)
  writeFileSync(join(detectorsDir, 'a_broken.sql'), DOORS.replaceAll('path', 'pth'))
  await insertLogs(database.clickhouse, [...knocks('203.0.113.1', 20), ...knocks('2001:db8::7', 5)])
  await createRunner(database).close(hour, [withDefaults(parseDetector('a_doors.sql', DOORS, true))])
})

it('lists detectors with what they found, how they are set, and which are passed over', async () => {
  const { exitCode, stdout, stderr } = await run('list')
  expect(exitCode).toBe(0)
  const [head, ...rows] = stdout.trimEnd().split('\n')
  expect(head).toMatch(/^ID +MODE +SEVERITY +WINDOW +FOUND IN 7D +CONFIRMED +FALSE +PRECISION +SET$/)
  expect(rows[0]).toMatch(/^a_broken +flag +high +1h +0 +0 +0 +own$/)
  expect(rows[1]).toMatch(/^a_doors +flag +high +1h +1 +0 +0 +own$/)
  expect(rows.some((row) => /^not_found_probing +flag +medium +1h +0 +0 +0$/.test(row))).toBe(true)
  expect(stderr).toMatch(/^a_broken is passed over: ClickHouse refuses it: Unknown expression[^\n]*`pth`[^\n]*\n$/)
})

it('has the doctor name what is passed over, with its file and reason', async () => {
  const environment = { CLICKHOUSE_URL: database.url, DATA_DIR: dataDir, DETECTORS_DIR: detectorsDir }
  const { exitCode, stdout } = await vedette(['doctor', '--json'], environment)
  const found = (JSON.parse(stdout) as { part: string }[]).filter(({ part }) => part === 'detectors')
  expect([exitCode, found]).toEqual([
    1,
    [
      {
        part: 'detectors',
        state: 'failed',
        what: expect.stringMatching(/\/a_broken\.sql: ClickHouse refuses it: Unknown expression/),
        remedy: 'mend the file; the hourly job passes over it meanwhile',
      },
    ],
  ])
})

it('sets a mode and parameters, shows them, and puts them back', async () => {
  const changed = await run('set', 'a_doors', '--mode', 'report-only', '-p', 'doors=7', '-p', 'words=x, y')
  expect(changed).toEqual({
    exitCode: 0,
    stdout: 'a_doors is report-only, doors=7 words=x,y\n',
    stderr: 'The hour that is closed next is judged by it.\n',
  })
  const shown = await run('show', 'a_doors')
  expect(shown.stdout).toMatch(/^Doors \(a_doors\)\n\nKnocks at many doors, .*\n.*left open\.\n\nmode +report-only\n/)
  expect(shown.stdout).toMatch(
    /\nwindow +1h, counted in doors\nprecision +nobody has reviewed what it flagged\nfile +\/.*\n/,
  )
  expect(shown.stdout).toMatch(/\ndoors +7 +10 +2 to 100 +different doors\nwords +x,y +x +how doors are called\n$/)
  const reset = await run('set', 'a_doors', '--reset', 'doors,words', '--json')
  expect(JSON.parse(reset.stdout)).toMatchObject({
    mode: 'REPORT_ONLY',
    version: 2,
    parameters: [
      { name: 'doors', value: 10, min: 2, max: 100 },
      { name: 'words', value: ['x'] },
    ],
  })
})

it('says what other parameters would have flagged', async () => {
  const [people, programs] = await Promise.all([
    run('backtest', 'a_doors', '--param', 'doors=5', '--days', '2'),
    run('backtest', 'a_doors', '--param', 'doors=5', '--days', '2', '--json'),
  ])
  expect(people.stdout).toMatch(
    /^Doors over the last 2 days, 1 closed hours\ndoors=5 words=x\n\naddresses flagged +2\n/,
  )
  expect(people.stdout).toMatch(
    /\n {2}flagged by no detector so far +1\n\nADDRESS +UNTIL +DOORS +THRESHOLD +SCORE +REQUESTS /,
  )
  expect(people.stdout).toMatch(/\n203\.0\.113\.1 +[\d-]+ \d\d:00 UTC +20 +5 +72\.5 +20 +\/door-x-9\n2001:db8::7 /)
  expect(people.stderr).toMatch(/^It took [\d.]+ s\.\n$/)
  expect(JSON.parse(programs.stdout)).toMatchObject({ windows: 1, flagged: 2, flaggedNew: 1, sample: [{}, {}] })
})

it('excepts addresses and paths, and ends that', async () => {
  const made = await run('except', 'a_doors', '--cidr', '203.0.113.1', '--note', 'ours', '--json')
  const { id } = JSON.parse(made.stdout) as { id: string }
  const everyone = await run('except', '--path', '/healthz', '--note', 'probes')
  expect(everyone.stdout).toMatch(/\nexc_\w{12} +every one +any +\/healthz +[\d-]+ +cli +probes\n$/)
  const listed = await run('exceptions')
  expect(listed.stdout).toMatch(/^EXCEPTION +DETECTOR +ADDRESSES +PATHS +MADE +BY +NOTE\n/)
  expect(listed.stdout).toContain(id)
  expect(await run('unexcept', id)).toMatchObject({ exitCode: 0, stdout: `${id} (a_doors: ours) holds no more\n` })
})

describe('what cannot be is one line on stderr with the way out', () => {
  it.each<[args: string[], exitCode: number, line: RegExp]>([
    [['show', 'a_door'], 1, /^vedette: there is no detector "a_door"; vedette detectors list shows them\n$/],
    [
      ['set', 'a_doors', '-p', 'doors=1000'],
      2,
      /^vedette: parameters\.doors is 1000; allowed is a whole number from 2 to 100\n$/,
    ],
    [['set', 'a_doors', '-p', 'door=7'], 2, /^vedette: --param is "door=7"; allowed is name=value .*: doors, words\n$/],
    [['set', 'a_doors'], 2, /^vedette: there is nothing to set; give --mode, --param name=value or --reset name\n$/],
    [['backtest', 'a_doors', '--days', '61'], 2, /^vedette: --days is 61; allowed is a whole number from 1 to 60\n$/],
  ])('vedette detectors %j', async (args, exitCode, line) => {
    expect(await run(...args)).toEqual({ exitCode, stdout: '', stderr: expect.stringMatching(line) })
  })
})
