import { createHash } from 'node:crypto'

import { beforeAll, describe, expect, test } from 'vitest'

import { encodeNdjson, generateDay, type Day, type DemoEvent } from '../../src/demo/index.ts'
import { addressKind } from '../../src/geo/index.ts'

const DAY = new Date('2026-11-18T00:00:00Z')
const small = (seed: number, day = DAY): Day => generateDay({ seed, day, requests: 8_000 })
const digest = (day: Day): string => createHash('sha256').update(encodeNdjson(day.events())).digest('hex')

/** Users of a quiet day and the address that each of them comes from. */
const usersOn = (date: string): Map<string | undefined, string> => {
  const events = generateDay({ seed: 5, day: new Date(date), requests: 20_000, attacks: false }).events()
  return new Map(events.filter(({ userId }) => userId?.startsWith('u-')).map(({ userId, ip }) => [userId, ip]))
}

let events: readonly DemoEvent[]
beforeAll(() => {
  events = generateDay({ seed: 7, day: DAY }).events()
})

describe('a day is repeatable', () => {
  test('the same seed and day give the same bytes, another seed or day gives others', () => {
    expect(digest(small(1))).toBe(digest(small(1)))
    expect(digest(small(1))).not.toBe(digest(small(2)))
    expect(digest(small(1))).not.toBe(digest(small(1, new Date('2026-11-19T00:00:00Z'))))
    expect(small(1).truth).toEqual(small(1).truth)
  })

  test('it is named by its first moment or by the one after its last', () => {
    const end = new Date('2026-11-18T15:30:00Z')
    const events = generateDay({ seed: 3, end, requests: 8_000 }).events()
    expect(events[0]!.timestamp >= '2026-11-17T15:30:00').toBe(true)
    expect(events.at(-1)!.timestamp < '2026-11-18T15:30:00').toBe(true)
    expect(digest(generateDay({ seed: 3, end: new Date('2026-11-19T00:00:00Z'), requests: 8_000 }))).toBe(
      digest(generateDay({ seed: 3, day: DAY, requests: 8_000 })),
    )
  })

  test('people and machines of a seed come again on other days, from the same places', () => {
    const [first, second] = [usersOn('2026-11-17'), usersOn('2026-11-18')]
    const again = [...second.keys()].filter((user) => first.has(user))
    expect(again.length).toBeGreaterThan(25)
    expect(again.filter((user) => first.get(user) !== second.get(user))).toEqual([])
  })

  test('a day that cannot be made is refused with what is allowed', () => {
    expect(() => generateDay({ seed: 1 })).toThrow('needs `day` or `end`')
    expect(() => generateDay({ seed: 1, day: new Date('soon') })).toThrow('a valid Date')
    expect(() => generateDay({ seed: 1, day: DAY, requests: 10 })).toThrow(
      'requests is 10; allowed is a number from 5000',
    )
  })
})

describe('every event is one that the collector takes', () => {
  const FIELDS = new Set(
    'timestamp ip method path status service host route query protocol userAgent referer userId traceId durationMs requestBytes responseBytes action policyId attributes'.split(
      ' ',
    ),
  )

  test('fields, types and ranges are those of the contract', () => {
    const wrong: string[] = []
    for (const event of events) {
      const fine =
        Object.keys(event).every((name) => FIELDS.has(name)) &&
        /^2026-11-18T\d\d:\d\d:\d\d\.\d{3}Z$/.test(event.timestamp) &&
        addressKind(event.ip) !== 'invalid' &&
        [event.method, event.path, event.service, event.host, event.protocol].every((text) => text.length > 0) &&
        Object.values(event).every((value) => value !== undefined && value !== '') &&
        !event.path.includes('?') &&
        Number.isInteger(event.status) &&
        event.status >= 100 &&
        event.status <= 599 &&
        [event.durationMs, event.requestBytes, event.responseBytes].every((n) => Number.isFinite(n) && n >= 0) &&
        Number.isInteger(event.requestBytes) &&
        Number.isInteger(event.responseBytes) &&
        (event.action === undefined) === (event.status !== 429) &&
        Object.values(event.attributes ?? {}).every((value) =>
          ['string', 'number', 'boolean'].includes(typeof value),
        ) &&
        !/[\s]/.test(event.path + (event.query ?? '')) &&
        JSON.stringify(event).isWellFormed()
      if (!fine) wrong.push(JSON.stringify(event))
    }
    expect(wrong).toEqual([])
  })

  test('they are in the order of time, one line each', () => {
    expect(events.every((event, i) => i === 0 || events[i - 1]!.timestamp <= event.timestamp)).toBe(true)
    const lines = encodeNdjson(events.slice(0, 100)).split('\n')
    expect(lines).toHaveLength(101)
    expect(lines.slice(0, 100).map((line) => JSON.parse(line) as unknown)).toEqual(events.slice(0, 100))
    expect(encodeNdjson([])).toBe('')
  })

  test('as many as were asked for, within one visit', () => {
    expect(events.length).toBeGreaterThanOrEqual(100_000)
    expect(events.length).toBeLessThan(101_000)
  })
})
