import { describe, expect, it } from 'vitest'

import { parsePrefix } from '../../../src/ratelimit/address.ts'
import { type Decision, decisionJson, goDuration, idOf } from '../../../src/ratelimit/crowdsec/decision.ts'
import type { BlockListEntry } from '../../../src/ratelimit/index.ts'

const entry = (values: Partial<BlockListEntry> = {}): BlockListEntry => ({
  id: 'blk_0123456789abcdef',
  cidr: '203.0.113.0/24',
  prefix: parsePrefix(values.cidr ?? '203.0.113.0/24')!,
  action: 'BLOCK',
  source: 'MANUAL',
  reason: 'tried passwords',
  createdBy: 'test',
  createdAt: new Date(0),
  expiresAt: null,
  removedAt: null,
  removedBy: null,
  removedReason: null,
  version: 1,
  ...values,
})
const decision = (until: Date | null, values?: Partial<BlockListEntry>): Decision => {
  const own = entry(values)
  return { value: own.cidr, entry: own, until }
}
const now = 1_700_000_000_000

describe('durations', () => {
  // Each as `fmt.Println(time.Duration(n) * time.Second)` prints it.
  it.each([
    [0, '0s'],
    [1, '1s'],
    [59, '59s'],
    [60, '1m0s'],
    [3599, '59m59s'],
    [3600, '1h0m0s'],
    [14_398, '3h59m58s'],
    [3_605, '1h0m5s'],
    [315_360_000, '87600h0m0s'],
    [-5, '-5s'],
    [-65, '-1m5s'],
    [-7_200, '-2h0m0s'],
  ])('%d seconds are written as Go writes them: %s', (seconds, text) => {
    expect(goDuration(seconds)).toBe(text)
  })

  it('never say 0 of what is in force, nor of what has ended', () => {
    const duration = (until: Date | null, inForce: boolean) => decisionJson(decision(until), { inForce, now }).duration
    expect(duration(new Date(now + 1), true)).toBe('1s')
    expect(duration(new Date(now - 1), true)).toBe('1s')
    expect(duration(new Date(now + 14_397_100), true)).toBe('3h59m58s')
    expect(duration(null, true)).toBe('87600h0m0s')
    expect(duration(new Date(now), false)).toBe('-1s')
    expect(duration(new Date(now - 5_100), false)).toBe('-5s')
    expect(duration(new Date(now + 60_000), false)).toBe('-1s')
    expect(duration(null, false)).toBe('-1s')
  })
})

describe('ids', () => {
  it('stay the same through later versions of an entry and differ between its parts', () => {
    const whole = decision(null)
    const later = decision(new Date(now), { version: 7, reason: 'again' })
    const part = { ...whole, value: '203.0.113.0/25' }
    const other = { ...whole, entry: entry({ id: 'blk_0123456789abcdeg' }) }
    expect(idOf(later)).toBe(idOf(whole))
    expect(new Set([whole, part, other].map(idOf)).size).toBe(3)
    const uuids = [whole, part, other].map((each) => decisionJson(each, { inForce: true, now }).uuid)
    expect(new Set(uuids).size).toBe(3)
    for (const uuid of uuids) expect(uuid).toMatch(/^[\da-f]{8}-[\da-f]{4}-8[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
  })

  it('are positive, exact in a double, and different for 100,000 entries', () => {
    const ids = new Set<number>()
    for (let index = 0; index < 100_000; index++) {
      const id = idOf(decision(null, { id: `blk_${index}` }))
      if (!Number.isSafeInteger(id) || id < 1) throw new Error(`${id}`)
      ids.add(id)
    }
    expect(ids.size).toBe(100_000)
  })
})
