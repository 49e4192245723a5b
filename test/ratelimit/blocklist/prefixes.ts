import * as fc from 'fast-check'

import { type Address, addressOf, type Prefix, prefixOf } from '../../../src/ratelimit/address.ts'

const word = fc.integer({ min: 0, max: 0xffffffff })
/** Few different words, so that prefixes lie within each other and addresses in them. */
const crowded = fc.oneof(fc.constantFrom(0, 1, 0x0a000000, 0x80000000, 0xffff, 0xfffe, 0xffffffff), word)

export const v4 = crowded.map((w3) => addressOf(0, 0, 0xffff, w3))
export const v6 = fc.tuple(crowded, crowded, crowded, crowded).map((words) => addressOf(...words))
export const address: fc.Arbitrary<Address> = fc.oneof(v4, v6)

export const prefix: fc.Arbitrary<Prefix> = fc.oneof(
  fc.tuple(v4, fc.integer({ min: 96, max: 128 })).map(([first, bits]) => prefixOf(first, bits)),
  fc.tuple(v6, fc.integer({ min: 0, max: 128 })).map(([first, bits]) => prefixOf(first, bits)),
  // Those around ::ffff:0:0/96, where IPv4 lies.
  fc.tuple(v4, fc.integer({ min: 64, max: 97 })).map(([first, bits]) => prefixOf(first, bits)),
)

/** The first address of the prefix and one anywhere in it. */
export const inside = ({ address: first, bits }: Prefix, random: Address): Address[] => {
  const mix = (own: number, other: number, from: number) => {
    const kept = Math.min(32, Math.max(0, bits - from))
    const mask = kept === 0 ? 0 : (-1 << (32 - kept)) >>> 0
    return ((own & mask) | (other & ~mask)) >>> 0
  }
  const { w0, w1, w2, w3 } = first
  return [
    first,
    addressOf(mix(w0, random.w0, 0), mix(w1, random.w1, 32), mix(w2, random.w2, 64), mix(w3, random.w3, 96)),
  ]
}
