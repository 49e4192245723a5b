import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { parseDetector } from '../../src/detection/index.ts'
import { createRunner, HOUR, NOON, at, withDefaults } from '../detection/support.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { insertLogs } from '../support/request-logs.ts'
import { testGraphql } from './support.ts'

const DOORS = `-- Knocks at many doors.
-- name: Doors
-- severity: HIGH
-- window: 1h
-- unit: doors
-- parameter: doors UInt32 = 10 [2, 100] different doors
-- parameter: words Array(String) = ['x'] how doors are called
-- reference: https://example.com/doors
WITH has({words:Array(String)}, splitByChar('-', path)[2]) AS evidence
SELECT uniqExactIf(path, evidence) AS observed, {doors:UInt32} AS threshold`
const BROKEN = DOORS.replaceAll('path', 'pth').replace('name: Doors', 'name: Broken')

const folder = mkdtempSync(join(tmpdir(), 'vedette-detectors-'))
writeFileSync(join(folder, 'a_doors.sql'), DOORS)
writeFileSync(join(folder, 'a_broken.sql'), BROKEN)
afterAll(() => rmSync(folder, { recursive: true }))

const database = testDatabase()
const api = testGraphql(database, undefined, { detectorsDir: () => folder })
const doors = withDefaults(parseDetector('a_doors.sql', DOORS, true))

/** Knocks at so many doors. */
const knocks = (ip: string, count: number, service: string) =>
  Array.from({ length: count }, (_, index) => ({ ip, service, timestamp: at(index), path: `/door-x-${index}` }))
const RANGE = `timeRange: { from: "${NOON.toISOString()}", to: "${new Date(NOON.getTime() + 2 * HOUR).toISOString()}" }`

beforeAll(async () => {
  await insertLogs(database.clickhouse, [
    ...knocks('203.0.113.1', 20, 'shop'),
    ...knocks('2001:db8::7', 12, 'blog'),
    ...knocks('203.0.113.2', 5, 'shop'),
  ])
  await createRunner(database).close(NOON, [doors])
})

const one = async (query: string, options?: Parameters<typeof api.ask>[1]) => {
  const answer = await api.ask(query, options)
  expect(answer.json.errors).toBeUndefined()
  return Object.values(answer.json.data)[0] as any
}

const FIELDS = `id name description severity mode windowSeconds unit parameters references own problem version
  parameterDefinitions { name type description value default min max }
  detections(${RANGE}) confirmed falsePositives precision precisionInterval { low high } exceptions { id }`

it('lists detectors with what they do, what they found, and how they are set', async () => {
  const all = await one(`{ detectors { ${FIELDS} } }`)
  expect(all.map(({ id }: { id: string }) => id)).toEqual(all.map(({ id }: { id: string }) => id).toSorted())
  expect(all.find(({ id }: { id: string }) => id === 'a_doors')).toEqual({
    id: 'a_doors',
    name: 'Doors',
    description: 'Knocks at many doors.',
    severity: 'HIGH',
    mode: 'FLAG',
    windowSeconds: 3_600,
    unit: 'doors',
    parameters: { doors: 10, words: ['x'] },
    references: ['https://example.com/doors'],
    own: true,
    problem: null,
    version: 0,
    parameterDefinitions: [
      { name: 'doors', type: 'UInt32', description: 'different doors', value: 10, default: 10, min: 2, max: 100 },
      {
        name: 'words',
        type: 'Array(String)',
        description: 'how doors are called',
        value: ['x'],
        default: ['x'],
        min: null,
        max: null,
      },
    ],
    detections: 2,
    confirmed: 0,
    falsePositives: 0,
    precision: null,
    precisionInterval: null,
    exceptions: [],
  })
  expect(all.find(({ id }: { id: string }) => id === 'a_broken').problem).toMatch(/^ClickHouse refuses it: .*`pth`/)
  expect(all.find(({ id }: { id: string }) => id === 'not_found_probing')).toMatchObject({ own: false, detections: 0 })
})

it('counts for a key of some services what was found there alone', async () => {
  const secret = await api.key(['SECURITY_READ'], ['blog'])
  const node = `{ node(id: "a_doors") { __typename ... on Detector { detections(${RANGE}) } } }`
  expect(await one(node, { secret })).toEqual({ __typename: 'Detector', detections: 1 })
  expect(await one(node)).toMatchObject({ detections: 2 })
})

const set = (args: string, secret?: string) =>
  api.ask(
    `mutation { setDetector(${args}) { detector { mode parameters version } userErrors { code message field } } }`,
    secret === undefined ? {} : { secret },
  )

describe('setDetector', () => {
  it('sets the mode, some parameters, or both, and null brings a default back', async () => {
    const first = await set('id: "a_doors", mode: FLAG_AND_BLOCK, parameters: { doors: 7 }')
    expect(first.json.data.setDetector).toEqual({
      detector: { mode: 'FLAG_AND_BLOCK', parameters: { doors: 7, words: ['x'] }, version: 1 },
      userErrors: [],
    })
    const second = await set('id: "a_doors", parameters: { doors: null, words: ["x", "y"] }, expectedVersion: 1')
    expect(second.json.data.setDetector.detector).toEqual({
      mode: 'FLAG_AND_BLOCK',
      parameters: { doors: 10, words: ['x', 'y'] },
      version: 2,
    })
  })

  it.each([
    ['id: "a_door"', 'NOT_FOUND', 'id', /^there is no detector a_door; there are a_broken, a_doors, /],
    [
      'id: "a_doors", parameters: { doors: 1 }',
      'INVALID',
      'parameters.doors',
      'parameters.doors is 1; allowed is a whole number from 2 to 100',
    ],
    [
      'id: "a_doors", parameters: { door: 5 }',
      'INVALID',
      'parameters',
      'parameters is "door"; allowed is doors, words',
    ],
    [
      'id: "a_doors", parameters: [5]',
      'INVALID',
      'parameters',
      /^parameters is \[5\]; allowed is an object \{name: value, …\}$/,
    ],
    ['id: "a_doors", expectedVersion: 1', 'CONFLICT', 'expectedVersion', /is at version 2 by now, not 1/],
  ])('%s is a user error with the field and what is allowed', async (args, code, field, message) => {
    expect((await set(args)).json.data.setDetector).toEqual({
      detector: null,
      userErrors: [{ code, message: expect.stringMatching(message), field: field.split('.') }],
    })
  })

  it('is not for keys bound to services', async () => {
    const answer = await set('id: "a_doors", mode: OFF', await api.key(['SECURITY_WRITE'], ['shop']))
    expect(answer.json.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }])
    expect(answer.json.errors[0].message).toMatch(/^detectors work for all services, and the key .* is for shop alone/)
  })
})

it('excepts addresses and paths, for one detector or all, and ends that', async () => {
  const add = async (input: string) =>
    await one(
      `mutation { addDetectorException(input: { ${input} }) { exception { id detector cidr pathPattern note createdBy } userErrors { code field message } } }`,
    )
  const { exception } = await add('detector: "a_doors", cidr: "203.0.113.7/24", pathPattern: "/door/*", note: "ours"')
  expect(exception).toEqual({
    id: expect.stringMatching(/^exc_[0-9a-f]{12}$/),
    detector: 'a_doors',
    cidr: '203.0.113.0/24',
    pathPattern: '/door/*',
    note: 'ours',
    createdBy: expect.stringMatching(/^key_/),
  })
  expect(await one('{ detectorExceptions { id note } }')).toEqual([{ id: exception.id, note: 'ours' }])
  expect(await one('{ node(id: "a_doors") { ... on Detector { exceptions { id } } } }')).toEqual({
    exceptions: [{ id: exception.id }],
  })
  expect(await add('note: "nothing"')).toMatchObject({
    exception: null,
    userErrors: [{ code: 'INVALID', field: ['input', 'cidr'] }],
  })
  const remove = `mutation { removeDetectorException(id: "${exception.id}") { exception { note } userErrors { code field } } }`
  expect(await one(remove)).toEqual({ exception: { note: 'ours' }, userErrors: [] })
  expect(await one(remove)).toEqual({ exception: null, userErrors: [{ code: 'NOT_FOUND', field: ['id'] }] })
  expect(await one('{ detectorExceptions { id } }')).toEqual([])
})

const backtest = (args: string, secret?: string) =>
  api.ask(
    `{ backtestDetector(id: "a_doors", ${args}) { windows flagged flaggedAlreadyConfirmed flaggedAlreadyFalsePositive flaggedNew elapsedMs sample { ip windowFrom windowTo observed threshold score requests target summary } } }`,
    secret === undefined ? {} : { secret },
  )

describe('backtestDetector', () => {
  it('tells what other parameters would have flagged', async () => {
    const { sample, ...counts } = (await backtest(`parameters: { doors: 5 }, ${RANGE}`)).json.data.backtestDetector
    expect(counts).toEqual({
      windows: 1,
      flagged: 3,
      flaggedAlreadyConfirmed: 0,
      flaggedAlreadyFalsePositive: 0,
      flaggedNew: 1,
      elapsedMs: expect.any(Number),
    })
    expect(sample.map(({ ip }: { ip: string }) => ip)).toEqual(['203.0.113.1', '2001:db8::7', '203.0.113.2'])
    expect(sample[0]).toEqual({
      ip: '203.0.113.1',
      windowFrom: NOON.toISOString(),
      windowTo: new Date(NOON.getTime() + HOUR).toISOString(),
      observed: 20,
      threshold: 5,
      score: 72.5,
      requests: 20,
      target: '/door-x-9',
      summary: 'Doors: 20 doors within an hour, from 5 on it is flagged; most asked for /door-x-9.',
    })
  })

  it.each([
    [`parameters: { doors: 500 }, ${RANGE}`, 'INVALID_ARGUMENT', 'parameters.doors is 500; allowed is a whole number'],
    ['timeRange: { last: "90d" }', 'INVALID_ARGUMENT', 'timeRange is 90 days; allowed is 60 days at most'],
  ])('%s is refused with what is allowed', async (args, code, message) => {
    const { errors } = (await backtest(args)).json
    expect(errors).toMatchObject([{ message: expect.stringContaining(message), extensions: { code } }])
  })

  it('is not for keys bound to services', async () => {
    const answer = await backtest(RANGE, await api.key(['SECURITY_READ'], ['shop']))
    expect(answer.json.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }])
  })
})
