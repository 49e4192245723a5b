import { beforeAll, expect, test } from 'vitest'

import { generateDay, type Day, type DemoEvent } from '../../src/demo/index.ts'
import { addressKind, createGeo } from '../../src/geo/index.ts'

let full: Day
let events: readonly DemoEvent[]
let benign: DemoEvent[]
beforeAll(() => {
  full = generateDay({ seed: 7, day: new Date('2026-11-18T00:00:00Z') })
  events = full.events()
  const hostile = new Set(full.truth.attackers.map(({ ip }) => ip))
  benign = events.filter(({ ip }) => !hostile.has(ip))
})

const machines = (role: string): string[] =>
  [...full.truth.machines].filter(([, each]) => each === role).map(([ip]) => ip)

const decoded = (text: string): string => decodeURIComponent(text.replaceAll('+', ' '))

test('honest requests carry no payloads and no names of scanners', () => {
  const hostile =
    /\.\.[/\\]|<script|onerror=|union\s+(all\s+)?select|sleep\(|\$\{jndi|etc\/passwd|;\s*(id|cat|wget)|\{\{|\.env|\.git\/|sqlmap|nikto|nuclei|masscan|zgrab/i
  const guilty = benign.filter((event) =>
    hostile.test(decoded(`${event.path} ${event.query ?? ''} ${event.userAgent ?? ''} ${event.referer ?? ''}`)),
  )
  expect(guilty).toEqual([])
})

test('an office works behind one address', () => {
  const [office] = machines('office')
  const requests = benign.filter(({ ip }) => ip === office)
  expect(new Set(requests.map(({ userId }) => userId)).size).toBeGreaterThan(15)
  expect(new Set(requests.map(({ userAgent }) => userAgent)).size).toBeGreaterThan(5)
})

test('gallery visitors fetch hundreds of files and few pages in an hour', () => {
  const hours = Map.groupBy(
    benign.filter(({ service }) => service === 'blog'),
    ({ ip, timestamp }) => ip + timestamp.slice(0, 13),
  )
  const watched = [...hours.values()].filter((requests) => requests.length > 100)
  expect(watched.length).toBeGreaterThan(5)
  for (const requests of watched) {
    expect(requests.filter(({ path }) => !path.startsWith('/wp-content/')).length).toBeLessThan(30)
  }
})

test('people mistype passwords and follow dead links, and services fail now and then', () => {
  expect(benign.filter(({ status, path }) => status === 401 && path === '/login').length).toBeGreaterThan(10)
  expect(benign.filter(({ status }) => status === 404).length).toBeGreaterThan(100)
  expect(benign.filter(({ status }) => status === 304).length).toBeGreaterThan(5_000)
  expect(benign.filter(({ status }) => status === 301 || status === 302).length).toBeGreaterThan(100)
  const failed = benign.filter(({ status }) => status >= 500)
  expect(failed.length).toBeGreaterThan(30)
  // A deployment makes a short wave: most of the shop's failures lie within a few minutes.
  const minutes = Map.groupBy(
    failed.filter(({ service }) => service === 'shop'),
    ({ timestamp }) => timestamp.slice(0, 15),
  )
  expect(Math.max(...[...minutes.values()].map((requests) => requests.length))).toBeGreaterThan(20)
})

test('every kind of honest machine sends', () => {
  const senders = new Set(benign.map(({ ip }) => ip))
  for (const role of ['search_engine', 'crawler', 'monitor', 'feed_reader', 'webhook', 'internal']) {
    expect([role, machines(role).some((ip) => senders.has(ip))]).toEqual([role, true])
  }
})

test('people sleep at night, and answers have slow tails', () => {
  const people = benign.filter(({ ip }) => !full.truth.machines.has(ip))
  const hours = Map.groupBy(people, ({ timestamp }) => Number(timestamp.slice(11, 13)))
  const between = (from: number, to: number): number => {
    let sum = 0
    for (let hour = from; hour < to; hour++) sum += hours.get(hour)?.length ?? 0
    return sum
  }
  expect(between(17, 21) / between(1, 5)).toBeGreaterThan(2)
  const products = events
    .filter(({ route }) => route === '/p/:product')
    .map(({ durationMs }) => durationMs)
    .sort((a, b) => a - b)
  const at = (share: number) => products[Math.floor(share * products.length)]!
  expect(at(0.99) / at(0.5)).toBeGreaterThan(2.5)
  expect(at(0.999) / at(0.5)).toBeGreaterThan(8)
})

test('the geo database knows at least 95 % of the public addresses, in many countries and cities', async () => {
  const geo = createGeo({ cityDbs: [], asnDbs: [], log: { info: () => {}, warn: () => {} } })
  await geo.start()
  try {
    const ips = [...new Set(events.map(({ ip }) => ip))].filter((ip) => addressKind(ip) === 'public')
    const located = ips.map((ip) => geo.lookup(ip)).filter(({ country }) => country !== '')
    expect(located.length / ips.length).toBeGreaterThan(0.95)
    expect(new Set(located.map(({ country }) => country)).size).toBeGreaterThan(20)
    expect(new Set(located.map(({ city }) => city)).size).toBeGreaterThan(400)
    const six = ips.filter((ip) => ip.includes(':')).length / ips.length
    expect(six).toBeGreaterThan(0.1)
    expect(six).toBeLessThan(0.5)
  } finally {
    await geo.stop()
  }
})
