import { beforeAll, expect, test } from 'vitest'

import {
  ATTACK_KINDS,
  encodeNdjson,
  generateDay,
  type AttackKind,
  type Day,
  type DemoEvent,
} from '../../src/demo/index.ts'
import { createGeo } from '../../src/geo/index.ts'

const DAY = new Date('2026-11-18T00:00:00Z')

let full: Day
let events: readonly DemoEvent[]
beforeAll(() => {
  full = generateDay({ seed: 7, day: DAY })
  events = full.events()
})

const requestsOf = (kind: AttackKind): DemoEvent[] => {
  const ips = new Set(full.truth.attackers.filter(({ kinds }) => kinds.includes(kind)).map(({ ip }) => ip))
  return events.filter(({ ip }) => ips.has(ip))
}

const distinct = (events: DemoEvent[], by: (event: DemoEvent) => unknown): number => new Set(events.map(by)).size

/** All places where a payload can be, with what is not UTF-8 left as it is. */
const payload = ({ path, query, userAgent, referer }: DemoEvent): string =>
  decodeURIComponent(`${path}?${query} ${userAgent} ${referer}`.replaceAll(/%(?![2-7][0-9a-f])/gi, '%25'))

test('every kind that a detector looks for is there', () => {
  const kinds = new Set(full.truth.attackers.flatMap(({ kinds }) => kinds))
  expect([...kinds].sort()).toEqual([...ATTACK_KINDS].sort())
})

test('the truth counts just the requests that are in the events', () => {
  const byAddress = Map.groupBy(events, ({ ip }) => ip)
  for (const { ip, kinds, first, last, requests } of full.truth.attackers) {
    const own = byAddress.get(ip)!
    expect(own.some(({ timestamp }) => timestamp === first)).toBe(true)
    expect(own.some(({ timestamp }) => timestamp === last)).toBe(true)
    // Only the partner is honest at other hours; any other attacker's address belongs to no one else.
    if (kinds.includes('volume_anomaly')) expect(own.length).toBeGreaterThan(requests)
    else expect([ip, own.length]).toEqual([ip, requests])
  }
})

test('they are from 5 to 10 % of the traffic: some addresses send hundreds, most a handful', () => {
  const sizes = full.truth.attackers.map(({ requests }) => requests).sort((a, b) => a - b)
  const share = sizes.reduce((sum, n) => sum + n, 0) / events.length
  expect(share).toBeGreaterThan(0.05)
  expect(share).toBeLessThan(0.1)
  expect(sizes.at(-1)).toBeGreaterThan(700)
  expect(sizes[Math.floor(sizes.length / 2)]).toBeLessThan(20)
})

test('nothing in an event says that it is one', () => {
  const text = encodeNdjson(events)
  expect(ATTACK_KINDS.filter((kind) => text.includes(`"${kind}"`))).toEqual([])
})

test('the smallest day still has every kind, and a larger one repeats them from other addresses', () => {
  const small = generateDay({ seed: 11, day: DAY, requests: 5_000 })
  expect(new Set(small.truth.attackers.flatMap(({ kinds }) => kinds)).size).toBe(ATTACK_KINDS.length)
  const double = generateDay({ seed: 11, day: DAY, requests: 200_000 })
  const bruteForcers = double.truth.attackers.filter(({ kinds }) => kinds.includes('login_brute_force_200'))
  expect(bruteForcers).toHaveLength(4)
})

test('a day that ends at any hour has every kind, and no attack is cut off by its end', () => {
  for (const hour of ['02', '09', '16', '21']) {
    const { truth } = generateDay({ seed: 4, end: new Date(`2026-11-18T${hour}:20:00Z`), requests: 30_000 })
    expect([hour, new Set(truth.attackers.flatMap(({ kinds }) => kinds)).size]).toEqual([hour, ATTACK_KINDS.length])
    const fake = truth.attackers.filter(({ kinds }) => kinds.includes('fake_search_engine'))
    expect(fake).toHaveLength(3)
  }
})

test('a quiet day has none of them', () => {
  const quiet = generateDay({ seed: 7, day: DAY, requests: 10_000, attacks: false })
  expect(quiet.truth.attackers).toEqual([])
  expect(quiet.events().some(({ status }) => status === 429)).toBe(false)
})

test('injections carry payloads, and one of them gets an answer', () => {
  const all = (kind: AttackKind, pattern: RegExp) =>
    requestsOf(kind)
      .filter(({ path }) => path !== '/robots.txt')
      .filter((event) => !pattern.test(payload(event)))
  expect(all('sql_injection', /select|or \d|sleep|drop|waitfor|extractvalue/i)).toEqual([])
  expect(all('cross_site_scripting', /script|on\w+=|prompt|confirm/i)).toEqual([])
  expect(all('path_traversal', /\.\.|%2e|%c0|%252f|\/proc\//i)).toEqual([])
  expect(
    requestsOf('attack_succeeded').filter(({ status, responseBytes }) => status === 200 && responseBytes > 0).length,
  ).toBeGreaterThan(3)
})

test('log-ins are attacked in each way', () => {
  const wordpress = requestsOf('login_brute_force_200')
  expect(wordpress.every(({ status, method }) => status === 200 && method === 'POST')).toBe(true)
  expect(distinct(requestsOf('credential_stuffing'), ({ userId }) => userId)).toBeGreaterThan(100)
  expect(distinct(requestsOf('distributed_login'), ({ ip }) => ip)).toBeGreaterThan(20)
  const sprayed = Map.groupBy(requestsOf('password_spraying'), ({ userId }) => userId)
  for (const attempts of sprayed.values()) expect(distinct(attempts, ({ ip }) => ip)).toBeGreaterThanOrEqual(5)
})

test('swarms share what makes them one', () => {
  expect(distinct(requestsOf('network_swarm'), ({ ip }) => ip.split('.').slice(0, 3).join('.'))).toBe(1)
  expect(distinct(requestsOf('network_swarm'), ({ ip }) => ip)).toBeGreaterThan(5)
  expect(distinct(requestsOf('fingerprint_swarm'), ({ userAgent, referer }) => `${userAgent} ${referer}`)).toBe(1)
  expect(distinct(requestsOf('user_agent_rotation'), ({ userAgent }) => userAgent)).toBeGreaterThan(40)
})

test('what is timed has its rhythm', () => {
  const hours = Map.groupBy(requestsOf('low_and_slow'), ({ ip, timestamp }) => ip + timestamp.slice(0, 13))
  expect(Math.max(...[...hours.values()].map((requests) => requests.length))).toBeLessThan(4)
  const beats = requestsOf('beaconing').map(({ timestamp }) => Date.parse(timestamp))
  const gaps = beats.slice(1).map((at, i) => at - beats[i]!)
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length
  expect(mean).toBeGreaterThan(10_000)
  expect(Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length) / mean).toBeLessThan(0.2)
  const seconds = Map.groupBy(requestsOf('cache_busting'), ({ timestamp }) => timestamp.slice(0, 19))
  expect(
    Math.max(...[...seconds.values()].map((requests) => distinct(requests, ({ query }) => query))),
  ).toBeGreaterThan(30)
})

test('the limit and the proxy are tried', () => {
  const limited = requestsOf('limit_violator').filter(({ action }) => action === 'rate_limited')
  expect(limited.length).toBeGreaterThan(20)
  expect(limited.every(({ status, policyId }) => status === 429 && policyId === 'default')).toBe(true)
  const proxied = requestsOf('open_proxy_probe')
  expect(proxied.some(({ method }) => method === 'CONNECT')).toBe(true)
  expect(proxied.some(({ path }) => path.startsWith('http://'))).toBe(true)
})

test('a user taken over is at home and in another country on the same day', async () => {
  const geo = createGeo({ cityDbs: [], asnDbs: [], log: { info: () => {}, warn: () => {} } })
  await geo.start()
  try {
    for (const kind of ['impossible_travel', 'new_country'] as const) {
      for (const user of new Set(requestsOf(kind).map(({ userId }) => userId))) {
        const logins = events.filter(
          ({ userId, route, status }) => userId === user && route === '/login' && status === 302,
        )
        expect(new Set(logins.map(({ ip }) => geo.lookup(ip).country)).size).toBe(2)
      }
    }
  } finally {
    await geo.stop()
  }
})
