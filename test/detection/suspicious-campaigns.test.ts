import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { campaignsOf, type Traits } from '../../src/detection/index.ts'

const HOUR = 3_600
const START = Date.parse('2026-11-01T00:00:00Z') / 1_000
const CHROME =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36'
const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0'

/** Addresses of networks of their own, unless told otherwise. */
const traits = (number: number, some: Partial<Traits> = {}): Traits => {
  const ip = some.ip ?? `198.51.${number}.1`
  return {
    address: ip.includes(':') ? ip : `::ffff:${ip}`,
    ip,
    asn: null,
    asOrganization: null,
    userAgents: [],
    referers: [],
    groups: [],
    targets: [],
    firstSeenAt: new Date((START + number) * 1_000),
    lastSeenAt: new Date((START + HOUR + number) * 1_000),
    requests: 10,
    ...some,
  }
}
const several = (count: number, make: (number: number) => Partial<Traits>) =>
  Array.from({ length: count }, (_, index) => traits(index + 1, make(index + 1)))
const asked = (path: string, hour: number) => ({ targets: [{ path, hour: START + hour * HOUR }] })

it.each([
  [CHROME, 0],
  [FIREFOX, 0],
  [
    'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36',
    0,
  ],
  [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1',
    0,
  ],
  ['Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko', 0],
  ['Mozilla/5.0', 0],
  ['', 0],
  ['Go-http-client/1.1', 0],
  ['Mozilla/5.0 zgrab/0.x', 1],
  ['Mozilla/5.0 (compatible; SomeInspect/1.1; +https://inspect.example)', 1],
  ['Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/90 Safari/537.36 MyScanner', 1],
  ['kNq3Tz', 1],
])('the user agent %j alone makes %i campaigns', (agent, campaigns) => {
  expect(campaignsOf(several(5, () => ({ userAgents: [agent] })))).toHaveLength(campaigns)
})

describe('addresses are a campaign', () => {
  it.each<[string, Traits[], string, string]>([
    [
      'that share an unusual user agent',
      several(3, () => ({ userAgents: ['Evil/1.0'] })),
      'FINGERPRINT',
      '3 addresses with the user agent "Evil/1.0"',
    ],
    [
      'that share a common user agent and a foreign referer',
      several(3, () => ({ userAgents: [CHROME], referers: ['spam.example'] })),
      'FINGERPRINT',
      `3 addresses with the user agent "${CHROME.slice(0, 80)}…" that say they come from spam.example`,
    ],
    [
      'that share a common user agent and a rare target in the same hours',
      several(4, (number) => ({ userAgents: [FIREFOX], ...asked('/secret', number) })),
      'FINGERPRINT',
      `4 addresses with the user agent "${FIREFOX}" that asked for /secret 2026-11-01 01:00–05:00 UTC`,
    ],
    [
      'that a detector found as one group',
      several(3, () => ({ groups: [{ detector: 'fingerprint_swarm', key: 'a|b' }] })),
      'FINGERPRINT',
      '3 addresses that fingerprint swarm found together: a|b',
    ],
    [
      'that a detector found as one network',
      several(3, () => ({ groups: [{ detector: 'network_swarm', key: '198.51.0.0/16' }] })),
      'NETWORK',
      '3 addresses that network swarm found together: 198.51.0.0/16',
    ],
    ['of one /24', several(3, (number) => ({ ip: `192.0.2.${number}` })), 'NETWORK', '3 addresses of 192.0.2.0/24'],
    [
      'of one /48',
      several(3, (number) => ({ ip: `2001:db8:5:${number}::1` })),
      'NETWORK',
      '3 addresses of 2001:db8:5::/48',
    ],
    [
      'of one AS, where they are many',
      several(20, () => ({ asn: 64500, asOrganization: 'Bad' })),
      'NETWORK',
      '20 addresses of AS64500 (Bad)',
    ],
    [
      'that asked for a rare target in the same hours',
      several(3, (number) => asked('/secret', number)),
      'TARGET',
      '3 addresses that asked for /secret 2026-11-01 01:00–04:00 UTC',
    ],
  ])('%s', (_name, suspects, sharedBy, summary) => {
    const campaigns = campaignsOf(suspects)
    expect(campaigns).toHaveLength(1)
    expect(campaigns[0]!.campaign).toEqual({
      id: expect.stringMatching(/^cmp_[\w-]{16}$/),
      sharedBy,
      summary,
      ips: suspects.map(({ ip }) => ip),
      firstSeenAt: suspects[0]!.firstSeenAt,
      lastSeenAt: suspects.at(-1)!.lastSeenAt,
      requests: 10 * suspects.length,
    })
  })

  it.each<[string, Traits[]]>([
    ['two of them', several(2, () => ({ userAgents: ['Evil/1.0'] }))],
    ['a browser that many have', several(9, () => ({ userAgents: [CHROME, FIREFOX] }))],
    [
      'a library that many use',
      several(9, (number) => ({ userAgents: number % 2 ? ['python-requests/2.31'] : ['curl/8.5.0'] })),
    ],
    ['no user agent at all', several(9, () => ({ userAgents: ['', '-'] }))],
    ['a search engine that they come from', several(9, () => ({ userAgents: [CHROME], referers: ['www.google.com'] }))],
    ['the first page', several(9, (number) => asked('/', number))],
    ['a target that everybody asks for at any time', several(9, (number) => asked('/wp-login.php', 5 * number))],
    ['an AS, where they are few', several(19, () => ({ asn: 64500 }))],
  ])('but not by %s', (_name, suspects) => {
    expect(campaignsOf(suspects)).toEqual([])
  })
})

it('a fingerprint goes before a network, and that before a target; nobody is in two', () => {
  const all = [
    ...several(3, (number) => ({ ip: `192.0.2.${number}`, userAgents: ['Evil/1.0'], ...asked('/secret', 1) })),
    ...several(3, (number) => ({ ip: `192.0.2.${10 + number}`, ...asked('/secret', 1) })),
    ...several(3, (number) => ({ ip: `198.18.${number}.1`, ...asked('/secret', 1) })),
  ]
  const campaigns = campaignsOf(all)
  expect(campaigns.map(({ campaign }) => `${campaign.sharedBy} ${campaign.ips.length}`).toSorted()).toEqual([
    'FINGERPRINT 3',
    'NETWORK 3',
    'TARGET 3',
  ])
})

it('are the same whatever the order, with the same id when one joins, and nobody in two', () => {
  const some = fc.record({
    ip: fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 1, max: 30 })).map(([c, d]) => `192.0.${c}.${d}`),
    userAgents: fc.subarray(['Evil/1.0', CHROME, 'Worse/2']),
    referers: fc.subarray(['spam.example', 'google.com']),
    targets: fc.array(
      fc.record({
        path: fc.constantFrom('/a', '/b'),
        hour: fc.integer({ min: 0, max: 9 }).map((hour) => START + hour * HOUR),
      }),
      { maxLength: 3 },
    ),
  })
  fc.assert(
    fc.property(fc.uniqueArray(some, { selector: ({ ip }) => ip, maxLength: 25 }), (given) => {
      const suspects = given.map((one, index) => traits(index, one))
      const campaigns = campaignsOf(suspects)
      expect(campaignsOf(suspects.toReversed())).toEqual(campaigns)
      const members = campaigns.flatMap(({ addresses }) => addresses)
      expect(new Set(members).size).toBe(members.length)
      for (const { addresses } of campaigns) expect(addresses.length).toBeGreaterThanOrEqual(3)
    }),
    { numRuns: 200 },
  )
  const [three] = campaignsOf(several(3, () => ({ userAgents: ['Evil/1.0'] })))
  const [four] = campaignsOf(several(4, () => ({ userAgents: ['Evil/1.0'] })))
  expect(four!.campaign.id).toBe(three!.campaign.id)
})
