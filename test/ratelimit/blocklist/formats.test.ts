import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { type Address, isWithin, parsePrefix, type Prefix } from '../../../src/ratelimit/address.ts'
import { entryId } from '../../../src/ratelimit/blocklist/entries.ts'
import { createInForce } from '../../../src/ratelimit/blocklist/in-force.ts'
import { BLOCK_ACTIONS, type BlockAction, type BlockListEntry, formatBlockList } from '../../../src/ratelimit/index.ts'
import { address, inside, prefix } from './prefixes.ts'

const NOW = Date.parse('2030-01-01T00:00:00Z')

const entryOf = (of: Prefix, action: BlockAction = 'BLOCK', expiresAt: Date | null = null): BlockListEntry => ({
  id: entryId(of.cidr, action, 'MANUAL'),
  cidr: of.cidr,
  prefix: of,
  action,
  source: 'MANUAL',
  reason: 'test',
  createdBy: 'cli',
  createdAt: new Date(NOW),
  expiresAt,
  removedAt: null,
  removedBy: null,
  removedReason: null,
  version: 1,
})

const listOf = (...entries: (readonly [cidr: string, action?: BlockAction, expiresAt?: Date])[]) => {
  const inForce = createInForce()
  for (const [cidr, action, expiresAt] of entries)
    inForce.replace(undefined, entryOf(parsePrefix(cidr)!, action, expiresAt))
  return inForce
}

const example = listOf(
  ['203.0.113.7'],
  ['2001:db8:bad::/48', 'CHALLENGE', new Date(NOW + 3_599_001)],
  ['198.51.100.0/24', 'BLOCK', new Date(NOW + 30 * 86_400_000)],
  ['198.51.100.0/25', 'ALLOW'],
  ['192.0.2.0/24', 'RATE_LIMIT'],
).denied()

describe('the list, sorted, less what is allowed and without what is only limited,', () => {
  it('plain is one CIDR a line and nothing else', () => {
    expect(formatBlockList('plain', example, NOW)).toBe('198.51.100.128/25\n203.0.113.7\n2001:db8:bad::/48\n')
  })

  it('for nginx is deny lines', () => {
    expect(formatBlockList('nginx', example, NOW)).toBe(
      'deny 198.51.100.128/25;\ndeny 203.0.113.7;\ndeny 2001:db8:bad::/48;\n',
    )
  })

  it('for ipset fills new sets, with the time that is left at most 24.8 days, and swaps them in', () => {
    expect(formatBlockList('ipset', example, NOW)).toBe(
      `create vedette-v4 hash:net family inet maxelem 1048576 timeout 0 -exist
create vedette-v4-next hash:net family inet maxelem 1048576 timeout 0 -exist
flush vedette-v4-next
add vedette-v4-next 198.51.100.128/25 timeout 2147483 -exist
add vedette-v4-next 203.0.113.7 -exist
swap vedette-v4-next vedette-v4
destroy vedette-v4-next
create vedette-v6 hash:net family inet6 maxelem 1048576 timeout 0 -exist
create vedette-v6-next hash:net family inet6 maxelem 1048576 timeout 0 -exist
flush vedette-v6-next
add vedette-v6-next 2001:db8:bad::/48 timeout 3600 -exist
swap vedette-v6-next vedette-v6
destroy vedette-v6-next
`,
    )
  })

  it('an empty one empties what was there', () => {
    expect(formatBlockList('plain', [], NOW)).toBe('')
    expect(formatBlockList('nginx', [], NOW)).toBe('')
    expect(formatBlockList('ipset', [], NOW)).toMatch(/flush vedette-v4-next\nswap vedette-v4-next vedette-v4\n/)
  })
})

it('says of a prefix that is left of one and blocked by itself the longer time', () => {
  const denied = listOf(
    ['198.51.100.0/24', 'BLOCK', new Date(NOW + 1_000)],
    ['198.51.100.0/25', 'ALLOW'],
    ['198.51.100.128/25'],
  ).denied()
  expect(denied.map(({ cidr, expiresAt }) => [cidr, expiresAt])).toEqual([['198.51.100.128/25', null]])
})

it('denies, for any list, exactly the addresses that a look-up denies', () => {
  const action = fc.constantFrom(...BLOCK_ACTIONS)
  const entries = fc.array(fc.tuple(prefix, action), { maxLength: 15 })
  fc.assert(
    fc.property(entries, fc.array(address, { minLength: 3, maxLength: 6 }), (given, others) => {
      const inForce = createInForce()
      const known = new Set<string>()
      for (const [each, what] of given) {
        const entry = entryOf(each, what)
        if (!known.has(entry.id)) inForce.replace(undefined, entry)
        known.add(entry.id)
      }
      const denied = inForce.denied().map(({ cidr }) => parsePrefix(cidr)!)
      const asked: Address[] = [...others, ...given.flatMap(([each]) => others.flatMap((one) => inside(each, one)))]
      for (const one of asked) {
        const found = inForce.lookup(one)?.action
        const expected = found === 'BLOCK' || found === 'CHALLENGE'
        expect([one.text, denied.some((each) => isWithin(one, each))]).toEqual([one.text, expected])
      }
      inForce.stop()
    }),
    { numRuns: 500 },
  )
})

const runs = (command: string, ...args: string[]): boolean => spawnSync(command, args).error === undefined

/** The programs themselves read it, where they are installed; nothing else can say that they do. */
describe('is read by', () => {
  const all = listOf(
    ['0.0.0.0/0'],
    ['::/0'],
    ['203.0.113.7', 'BLOCK', new Date(NOW + 90 * 86_400_000)],
    ['2001:db8::/32'],
    ['198.51.100.0/24'],
  ).denied()

  it.skipIf(!runs('nginx', '-v'))('nginx, in http, server and location', () => {
    const folder = mkdtempSync(join(tmpdir(), 'vedette-nginx-'))
    try {
      writeFileSync(join(folder, 'block.conf'), formatBlockList('nginx', all, NOW))
      const include = `include ${join(folder, 'block.conf')};`
      writeFileSync(
        join(folder, 'nginx.conf'),
        `pid ${folder}/pid; error_log ${folder}/log; events {} http { access_log off; ${include} server { listen 127.0.0.1:1; ${include} location / { ${include} } } }`,
      )
      const { stderr } = spawnSync('nginx', ['-t', '-c', join(folder, 'nginx.conf'), '-p', folder])
      expect(stderr.toString()).toContain('syntax is ok')
      expect(stderr.toString()).not.toMatch(/emerg.*deny|warn/)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it.skipIf(spawnSync('ipset', ['list', '-name']).status !== 0)('ipset restore, also over the last one', ({ skip }) => {
    const names = ['vedette-v4', 'vedette-v6']
    const before = spawnSync('ipset', ['list', '-name']).stdout.toString()
    // A machine that uses them is not to lose them to a test.
    if (names.some((name) => before.includes(name))) skip('this machine has such sets of its own')
    try {
      for (const denied of [example, all]) {
        const { status, stderr } = spawnSync('ipset', ['restore'], { input: formatBlockList('ipset', denied, NOW) })
        expect([status, stderr.toString()]).toEqual([0, ''])
      }
      const listed = spawnSync('ipset', ['save']).stdout.toString()
      expect(listed.match(/^add \S+ \S+/gm)!.toSorted()).toEqual([
        'add vedette-v4 0.0.0.0/1',
        'add vedette-v4 128.0.0.0/1',
        'add vedette-v4 198.51.100.0/24',
        'add vedette-v4 203.0.113.7',
        'add vedette-v6 2001:db8::/32',
        'add vedette-v6 8000::/1',
        'add vedette-v6 ::/1',
      ])
    } finally {
      for (const name of names) spawnSync('ipset', ['destroy', name])
    }
  })
})
