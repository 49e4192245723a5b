import { describe, expect, it } from 'vitest'

import { parsePrefix } from '../../../src/ratelimit/address.ts'
import { createRefusal } from '../../../src/ratelimit/index.ts'
import { testDatabase } from '../../support/clickhouse.ts'
import { blockLists } from './support.ts'

const database = testDatabase()
const { start } = blockLists()
const refusal = createRefusal(['203.0.113.0/29', '2001:db8:1::1'])

describe('a prefix is refused with the reason', () => {
  it.each([
    ['10.1.2.3', '10.1.2.3 is of 10.0.0.0/8, private addresses (RFC 1918)'],
    ['172.16.0.0/12', '172.16.0.0/12 is private addresses (RFC 1918)'],
    ['192.168.0.0/15', '192.168.0.0/15 contains 192.168.0.0/16, private addresses (RFC 1918)'],
    ['::ffff:127.0.0.1', '127.0.0.1 is of 127.0.0.0/8, this machine itself (loopback)'],
    ['::1', '::1 is this machine itself (loopback)'],
    ['169.254.169.254', '169.254.169.254 is of 169.254.0.0/16, link-local addresses'],
    ['fe80::1', 'fe80::1 is of fe80::/10, link-local addresses'],
    ['fd00::/8', 'fd00::/8 is of fc00::/7, private addresses (unique local, RFC 4193)'],
    ['100.100.0.0/16', "100.100.0.0/16 is of 100.64.0.0/10, addresses within a carrier's network (CGNAT, RFC 6598)"],
    ['0.0.0.0', '0.0.0.0 is of 0.0.0.0/8, addresses that mean "unspecified" or "this network"'],
    ['::', ':: is the unspecified address'],
    ['203.0.113.7', '203.0.113.7 is of 203.0.113.0/29, a trusted proxy (TRUSTED_PROXIES)'],
    ['203.0.112.0/23', '203.0.112.0/23 contains 203.0.113.0/29, a trusted proxy (TRUSTED_PROXIES)'],
    ['2001:db8:1::/48', '2001:db8:1::/48 contains 2001:db8:1::1, a trusted proxy (TRUSTED_PROXIES)'],
    ['64.0.0.0/7', '64.0.0.0/7 is broader than /8, which is more than any one network has'],
    ['2400::/15', '2400::/15 is broader than /16, which is more than any one network has'],
  ])('%s', (cidr, reason) => {
    expect(refusal(parsePrefix(cidr)!)).toBe(reason)
  })

  it.each(['0.0.0.0/0', '::/0', '::/1', '8.0.0.0/5'])('%s, which holds some of all', (cidr) => {
    expect(refusal(parsePrefix(cidr)!)).toMatch(/contains|broader/)
  })
})

it.each([
  '11.0.0.0/8',
  '172.15.0.0/16',
  '172.32.0.1',
  '100.63.255.255',
  '2001:db8:1::2',
  '203.0.113.8',
  '2400::/16',
  '::2',
])('nothing speaks against %s', (cidr) => expect(refusal(parsePrefix(cidr)!)).toBeUndefined())

it('refuses what denies or limits, takes it when forced, and lets anything be allowed', async () => {
  const { blockList } = await start({ url: database.url, trustedProxies: ['203.0.113.1'] })
  for (const action of ['BLOCK', 'CHALLENGE', 'RATE_LIMIT'] as const)
    await expect(blockList.add({ cidr: '203.0.113.1', action, reason: 'test' }, { by: 'cli' })).rejects.toMatchObject({
      code: 'INVALID',
      field: 'cidr',
    })
  await blockList.add({ cidr: '10.0.0.0/8', action: 'ALLOW', reason: 'ours' }, { by: 'cli' })
  await blockList.add({ cidr: '0.0.0.0/0', action: 'ALLOW', reason: 'all' }, { by: 'cli' })
  const forced = await blockList.add({ cidr: '203.0.113.1', reason: 'meant', force: true }, { by: 'cli' })
  expect(blockList.isActive(forced)).toBe(true)
})
