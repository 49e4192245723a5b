import * as fc from 'fast-check'
import { expect, it } from 'vitest'

import { isWithin, parsePrefix, type Prefix } from '../../../src/ratelimit/address.ts'
import { subtract } from '../../../src/ratelimit/blocklist/subtract.ts'
import { address, inside, prefix } from './prefixes.ts'

const cidrs = (given: string, ...holes: string[]): string[] =>
  subtract(
    parsePrefix(given)!,
    holes.map((hole) => parsePrefix(hole)!),
  ).map(({ cidr }) => cidr)

it('leaves of a prefix the largest prefixes around each hole', () => {
  expect(cidrs('192.0.2.0/24', '192.0.2.8/30')).toEqual([
    '192.0.2.0/29',
    '192.0.2.12/30',
    '192.0.2.16/28',
    '192.0.2.32/27',
    '192.0.2.64/26',
    '192.0.2.128/25',
  ])
  expect(cidrs('2001:db8::/126', '2001:db8::2')).toEqual(['2001:db8::/127', '2001:db8::3'])
})

it('leaves nothing of a prefix that lies in a hole, and all of one beside it', () => {
  expect(cidrs('192.0.2.0/24', '192.0.0.0/16')).toEqual([])
  expect(cidrs('192.0.2.0/24', '192.0.2.0/24')).toEqual([])
  expect(cidrs('192.0.2.0/24', '192.0.2.0/25', '192.0.2.128/25')).toEqual([])
  expect(cidrs('192.0.2.0/24', '192.0.3.7', '::/0')).toEqual(['192.0.2.0/24'])
})

it('never makes IPv4 of what is left of IPv6', () => {
  const left = cidrs('::/64', '::fffe:0:1')
  expect(left.filter((cidr) => cidr.includes('.') && !cidr.includes(':'))).toEqual([])
  expect(left).toContain('::fffe:0:0')
})

it('for any prefix and holes holds every address of the prefix that lies in no hole, once, and no other', () => {
  const holes = fc.array(fc.oneof(prefix, fc.constant(undefined)), { maxLength: 6 })
  fc.assert(
    fc.property(prefix, holes, fc.array(address, { minLength: 4, maxLength: 8 }), (whole, given, others) => {
      // Half of the holes are made to lie in the prefix.
      const all: Prefix[] = given.map((hole, index) => hole ?? parsePrefix(inside(whole, others[index % 4]!)[1]!.text)!)
      const left = subtract(whole, all)
      const asked = [
        ...others,
        ...[whole, ...all, ...left].flatMap((each) => others.flatMap((one) => inside(each, one))),
      ]
      for (const one of asked) {
        const expected = isWithin(one, whole) && !all.some((hole) => isWithin(one, hole))
        expect([one.text, left.filter((each) => isWithin(one, each)).length]).toEqual([one.text, expected ? 1 : 0])
      }
    }),
    { numRuns: 300 },
  )
})
