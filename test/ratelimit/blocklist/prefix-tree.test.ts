import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { type Address, isWithin, parseAddress, parsePrefix, type Prefix } from '../../../src/ratelimit/address.ts'
import { createPrefixTree, type PrefixTree } from '../../../src/ratelimit/blocklist/prefix-tree.ts'
import { address, inside, prefix } from './prefixes.ts'

const RUNS = { numRuns: 2_000 }

const matchesOf = (tree: PrefixTree<string>, asked: Address): string[] => {
  const into: number[] = []
  const count = tree.matches(asked, into)
  return into.slice(0, count).map(tree.at)
}

/** Shortest first, as the tree says it. */
const naive = (known: ReadonlyMap<string, Prefix>, asked: Address): string[] =>
  [...known.values()]
    .filter((each) => isWithin(asked, each))
    .toSorted((a, b) => a.bits - b.bits)
    .map(({ cidr }) => cidr)

/** IPv4 first, by address, a prefix before those inside it. */
const compare = (a: Prefix, b: Prefix): number => {
  const family = Number(a.address.isV4 && a.bits >= 96) - Number(b.address.isV4 && b.bits >= 96)
  if (family !== 0) return -family
  for (const name of ['w0', 'w1', 'w2', 'w3'] as const)
    if (a.address[name] !== b.address[name]) return a.address[name] - b.address[name]
  return a.bits - b.bits
}

describe('for any prefixes of IPv4 and IPv6, put in and taken out in any order, the tree', () => {
  it('finds for any address what a search through all of them finds', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(prefix, fc.boolean()), { maxLength: 60 }),
        fc.array(address, { minLength: 5, maxLength: 20 }),
        (changes, others) => {
          const tree = createPrefixTree<string>()
          const known = new Map<string, Prefix>()
          for (const [each, remains] of changes) {
            tree.set(each, each.cidr)
            known.set(each.cidr, each)
            if (remains) continue
            // Another one than this, where there is one.
            const [gone] = known.values()
            expect(tree.delete(gone!)).toBe(true)
            known.delete(gone!.cidr)
          }
          expect(tree.size).toBe(known.size)
          const asked = [...others, ...changes.flatMap(([each]) => inside(each, others[0]!))]
          for (const one of asked) expect(matchesOf(tree, one)).toEqual(naive(known, one))
          for (const [each] of changes) expect(tree.get(each)).toBe(known.get(each.cidr)?.cidr)
        },
      ),
      RUNS,
    )
  })

  it('is empty once all are taken out, and knows none that never was in', () => {
    fc.assert(
      fc.property(fc.array(prefix, { maxLength: 40 }), fc.array(address, { maxLength: 5 }), (all, asked) => {
        const tree = createPrefixTree<string>()
        for (const each of all) tree.set(each, each.cidr)
        for (const each of new Map(all.map((one) => [one.cidr, one])).values()) {
          expect(tree.delete(each)).toBe(true)
          expect(tree.delete(each)).toBe(false)
          expect(tree.get(each)).toBeUndefined()
        }
        expect(tree.size).toBe(0)
        for (const one of [...asked, ...all.map((each) => each.address)]) expect(matchesOf(tree, one)).toEqual([])
      }),
      RUNS,
    )
  })

  it('walks through them by address, a prefix before those inside it, or through those within one', () => {
    fc.assert(
      fc.property(fc.array(prefix, { maxLength: 40 }), prefix, (all, within) => {
        const tree = createPrefixTree<Prefix>()
        const known = new Map(all.map((each) => [each.cidr, each]))
        for (const each of known.values()) tree.set(each, each)
        const walked: string[] = []
        tree.walk(({ cidr }) => void walked.push(cidr))
        const sorted = [...known.values()].toSorted(compare)
        expect(walked).toEqual(sorted.map(({ cidr }) => cidr))
        const some: string[] = []
        tree.walk(({ cidr }) => void some.push(cidr), within)
        const v4 = within.address.isV4 && within.bits >= 96
        const expected = sorted.filter(
          (each) =>
            each.bits >= within.bits && (each.address.isV4 && each.bits >= 96) === v4 && isWithin(each.address, within),
        )
        expect(some).toEqual(expected.map(({ cidr }) => cidr))
      }),
      RUNS,
    )
  })
})

it('never matches an IPv4 address by a prefix of IPv6, not even ::/0', () => {
  const tree = createPrefixTree<string>()
  for (const cidr of ['::/0', '::/64', '::ffff:0:0/95', '0.0.0.0/0', '::ffff:10.0.0.0/104'])
    tree.set(parsePrefix(cidr)!, cidr)
  expect(matchesOf(tree, parseAddress('10.1.2.3')!)).toEqual(['0.0.0.0/0', '::ffff:10.0.0.0/104'])
  expect(matchesOf(tree, parseAddress('::ffff:10.1.2.3')!)).toEqual(['0.0.0.0/0', '::ffff:10.0.0.0/104'])
  expect(matchesOf(tree, parseAddress('::1')!)).toEqual(['::/0', '::/64'])
})

it('keeps its nodes: putting in and taking out for ever takes no more memory', () => {
  const tree = createPrefixTree<number>()
  const all = Array.from({ length: 1_000 }, (_, index) => parsePrefix(`10.${index >> 8}.${index & 255}.0/24`)!)
  const round = () => {
    for (const each of all) tree.set(each, 1)
    for (const each of all) tree.delete(each)
  }
  for (let warm = 0; warm < 3; warm++) round()
  const before = process.memoryUsage().arrayBuffers
  for (let rounds = 0; rounds < 50; rounds++) round()
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000 * 32 * 10)
})
