import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import {
  checkDetector,
  createDetectors,
  type Detector,
  type Detectors,
  parseDetector,
  readDetectors,
} from '../../src/detection/index.ts'
import { sql } from '../../src/clickhouse/index.ts'
import { shortReason } from '../../src/detection/check.ts'
import { viewOf } from '../../src/detection/find.ts'
import { evidenceSql, passSql } from '../../src/detection/sql/compile.ts'
import { createRedis } from '../../src/redis/index.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'
import { capturedLog } from '../support/log.ts'
import { NOON, withDefaults } from './support.ts'

const database = testDatabase()
const redis = createRedis([], { log: silent })

const DOORS = `-- Doors.
-- name: Doors
-- severity: HIGH
-- window: 1h
-- parameter: doors UInt32 = 5 [2, 100] different doors
-- parameter: share Float64 = 0.5 [0, 1] of all
-- parameter: words Array(String) = ['door'] words
-- parameter: host String = '' host
WITH path IN {words:Array(String)} AND host != {host:String} AS evidence
SELECT countIf(evidence) AS observed, {doors:UInt32} AS threshold, {share:Float64} AS share`

const VOLUME = `-- Volume.
-- name: Volume
-- severity: LOW
-- window: 1h
SELECT count() AS observed, 100 AS threshold`

const FILES = new Map(
  Object.entries({ doors: DOORS, volume: VOLUME }).map(([id, text]) => [id, parseDetector(`${id}.sql`, text, true)]),
)

const create = (files = FILES, log = silent): Detectors =>
  createDetectors({ files, clickhouse: database.clickhouse, redis, log, dataDir: undefined, pollMs: 50 })

let detectors: Detectors
let elsewhere: Detectors
beforeAll(async () => {
  await redis.start()
  detectors = create()
  elsewhere = create()
  await detectors.start()
  await elsewhere.start()
})
afterAll(async () => {
  await detectors.stop()
  await elsewhere.stop()
  await redis.stop()
})

const BY = { by: 'key_x' }

it('has what the file says until it is set, in every process, and goes back to it', async () => {
  const defaults = { doors: 5, share: 0.5, words: ['door'], host: '' }
  expect(detectors.get('doors')).toMatchObject({ mode: 'FLAG', values: defaults, version: 0, exceptions: [] })
  expect(detectors.list().map(({ id }) => id)).toEqual(['doors', 'volume'])

  const set = await detectors.set('doors', { mode: 'FLAG_AND_BLOCK', parameters: { doors: 7, words: ['gate'] } }, BY)
  expect(set).toMatchObject({ mode: 'FLAG_AND_BLOCK', values: { ...defaults, doors: 7, words: ['gate'] }, version: 1 })
  await expect.poll(() => elsewhere.get('doors')).toEqual(set)

  await detectors.set('doors', { parameters: { doors: null } }, BY)
  expect(detectors.get('doors')).toMatchObject({ mode: 'FLAG_AND_BLOCK', values: { doors: 5, words: ['gate'] } })
  await detectors.set('doors', { mode: 'OFF' }, BY)
  expect(detectors.get('doors')).toMatchObject({ mode: 'OFF', values: { words: ['gate'] }, version: 3 })
})

it('refuses a change of what somebody else changed meanwhile', async () => {
  const { version } = detectors.get('volume')!
  await detectors.set('volume', { mode: 'OFF' }, { ...BY, expectedVersion: version })
  await expect(detectors.set('volume', { mode: 'FLAG' }, { ...BY, expectedVersion: version })).rejects.toMatchObject({
    code: 'CONFLICT',
    message: 'the detector volume is at version 1 by now, not 0; read it again and repeat the change',
  })
  expect(detectors.get('volume')!.mode).toBe('OFF')
})

it('has its default again where the file has another range by now, or the parameter no more', async () => {
  await detectors.set('doors', { parameters: { doors: 90, host: 'a' } }, BY)
  const newer = parseDetector(
    'doors.sql',
    DOORS.replace('5 [2, 100]', '5 [2, 50]')
      .replace(/.*host String.*\n/, '')
      .replace('{host:String}', "''"),
    true,
  )
  const renewed = create(new Map([['doors', newer]]))
  await renewed.start()
  expect(renewed.list()).toMatchObject([{ id: 'doors', values: { doors: 5, share: 0.5, words: ['gate'] } }])
  expect(renewed.get('doors')!.values).not.toHaveProperty('host')
  await renewed.stop()
})

describe('what cannot be is refused with the field and what is allowed', () => {
  it.each<[parameters: Record<string, unknown>, field: string, message: string]>([
    [{ doors: 1 }, 'parameters.doors', 'parameters.doors is 1; allowed is a whole number from 2 to 100'],
    [{ doors: 2.5 }, 'parameters.doors', 'parameters.doors is 2.5; allowed is a whole number from 2 to 100'],
    [{ doors: '7' }, 'parameters.doors', 'parameters.doors is "7"; allowed is a whole number from 2 to 100'],
    [{ share: 1.01 }, 'parameters.share', 'parameters.share is 1.01; allowed is a number from 0 to 1'],
    [{ words: 'gate' }, 'parameters.words', 'parameters.words is "gate"; allowed is a list of texts, 1,000 at most'],
    [{ words: [1] }, 'parameters.words', 'parameters.words is [1]; allowed is a list of texts, 1,000 at most'],
    [{ host: 1 }, 'parameters.host', 'parameters.host is 1; allowed is a text'],
    [{ door: 7 }, 'parameters', 'parameters is "door"; allowed is doors, share, words, host'],
  ])('parameters %j', async (parameters, field, message) => {
    const before = detectors.get('doors')
    const expected = { code: 'INVALID', field, message }
    await expect(detectors.set('doors', { parameters }, BY)).rejects.toMatchObject(expected)
    expect(() => detectors.withParameters('doors', parameters)).toThrow(message)
    expect(detectors.get('doors')).toEqual(before)
  })

  it('an unknown detector or mode', async () => {
    const missing = { code: 'NOT_FOUND', field: 'id', message: 'there is no detector door; there are doors, volume' }
    await expect(detectors.set('door', {}, BY)).rejects.toMatchObject(missing)
    await expect(detectors.set('doors', { mode: 'BAN' as 'FLAG' }, BY)).rejects.toMatchObject({ field: 'mode' })
  })

  it.each<[exception: object, field: string, allowed: string]>([
    [{ detector: 'door', cidr: '10.0.0.1' }, 'detector', '* or doors, volume'],
    [{}, 'cidr', 'an address or CIDR, unless pathPattern is given'],
    [{ cidr: '10.0.0.0/33' }, 'cidr', 'an address or a CIDR such as 203.0.113.0/24'],
    [{ pathPattern: 'healthz' }, 'pathPattern', 'a path such as /healthz or /api/*'],
    [
      { detector: 'volume', pathPattern: '/healthz' },
      'pathPattern',
      'none for volume, which does not look at single p',
    ],
    [{ cidr: '10.0.0.1', note: ' ' }, 'note', 'why, in 1 to 1,000 characters'],
  ])('an exception %j', async (exception, field, allowed) => {
    const given = { note: 'ours', ...exception }
    await expect(detectors.addException(given, BY)).rejects.toMatchObject({
      code: 'INVALID',
      field,
      message: expect.stringContaining(`allowed is ${allowed}`),
    })
  })
})

it('leaves alone what is excepted, for one detector or all, until the exception is removed', async () => {
  const all = await detectors.addException({ cidr: '203.0.113.7/24', note: 'the office' }, BY)
  const one = await detectors.addException({ detector: 'doors', pathPattern: '/healthz', note: 'probes of ours' }, BY)
  expect(all).toMatchObject({ detector: '*', cidr: '203.0.113.0/24', pathPattern: null, createdBy: 'key_x' })
  expect(detectors.exceptions().map(({ id }) => id)).toEqual(expect.arrayContaining([one.id, all.id]))
  expect(detectors.get('doors')!.exceptions).toHaveLength(2)
  expect(detectors.get('volume')!.exceptions).toEqual([all])

  const again = await detectors.addException({ cidr: '203.0.113.0/24', note: 'the new office' }, BY)
  expect(again).toMatchObject({ id: all.id, note: 'the new office' })
  expect(detectors.exceptions()).toHaveLength(2)

  await detectors.removeException(all.id, BY)
  expect(detectors.get('volume')!.exceptions).toEqual([])
  await expect.poll(() => elsewhere.get('volume')!.exceptions).toEqual([])
  await expect(detectors.removeException(all.id, BY)).rejects.toMatchObject({ code: 'NOT_FOUND' })
})

it('tries other parameters without setting them', () => {
  const before = detectors.get('doors')!
  const tried = detectors.withParameters('doors', { doors: 3, words: null })
  expect(tried.values).toEqual({ ...before.values, doors: 3, words: ['door'] })
  expect(detectors.get('doors')).toEqual(before)
})

const broken = (id: string, sql: string) =>
  [id, parseDetector(`/own/${id}.sql`, VOLUME.replace(/SELECT.*$/s, sql), true)] as const

describe('an own detector that ClickHouse refuses', () => {
  const files = new Map([
    ...FILES,
    broken('no_column', 'SELECT uniqExact(pth) AS observed, 1 AS threshold'),
    broken('no_address', 'SELECT path AS address, count() AS observed, 1 AS threshold FROM requests GROUP BY path'),
    broken(
      'no_number',
      "SELECT address, max(path) AS observed, '/' AS threshold FROM requests GROUP BY requests.address",
    ),
  ])

  it('is told with its reason, and so in the log at the start', async () => {
    const logged = capturedLog()
    const own = create(files, logged.log)
    await own.start()
    const problems = await own.problems()
    expect(Object.fromEntries(problems)).toEqual({
      no_column: expect.stringMatching(/^ClickHouse refuses it: Unknown expression.*`pth`/),
      no_address: 'its SELECT has address String; allowed is the address of requests, an IPv6',
      no_number: 'its SELECT has observed String; allowed is a number',
    })
    expect(logged.lines.filter((line) => line.includes('passed over')).map((line) => JSON.parse(line))).toMatchObject([
      { detector: 'no_column', path: '/own/no_column.sql' },
      { detector: 'no_address' },
      { detector: 'no_number' },
    ])
    await own.stop()
  })
})

describe('our detectors', async () => {
  const ours = [...(await readDetectors()).values()].map(withDefaults)
  const [together, alone] = [true, false].map((is) => ours.filter(({ stage }) => (stage === 'requests') === is))

  it('of the shared pass compile together', async () => {
    const compiles = async (some: readonly Detector[]): Promise<string[]> => {
      const view = viewOf(NOON, 3_600, '1')
      try {
        const statements = [
          passSql(some, view),
          evidenceSql(
            some.filter(({ evidence }) => evidence !== ''),
            view,
            sql`true`,
          ),
        ]
        for (const statement of statements) await database.clickhouse.query(sql`DESCRIBE TABLE (${statement})`)
        return []
      } catch (error) {
        if (some.length === 1) return [`${some[0]!.id}: ${shortReason(error as Error)}`]
        const half = some.length >> 1
        return [...(await compiles(some.slice(0, half))), ...(await compiles(some.slice(half)))]
      }
    }
    expect(await compiles(together!)).toEqual([])
  })

  it.each(alone!.map((detector) => [detector.id, detector] as const))('such as %s compile', async (_id, detector) => {
    expect(await checkDetector(database.clickhouse, detector)).toBeUndefined()
  })
})
