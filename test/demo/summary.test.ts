import { beforeAll, expect, test } from 'vitest'

import { generateDay, send, summary, trial, type DemoEvent } from '../../src/demo/index.ts'
import { parseAddress } from '../../src/ratelimit/index.ts'
import { testGraphql } from '../graphql/support.ts'
import { testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'

const database = testDatabase()
const collector = testApp(database)
const api = testGraphql(database)

const from = new Date('2026-11-18T00:00:00Z')
const to = new Date('2026-11-19T00:00:00Z')

let events: readonly DemoEvent[]
let text: string
beforeAll(async () => {
  events = generateDay({ seed: 1, day: from, requests: 15_000 }).events()
  await send({ url: collector.url, key: collector.key, events })
  text = await summary({ url: api.url, key: await api.key(['ANALYTICS_READ']), from, to, rows: 30 })
})

const number = (value: number): string => value.toLocaleString('en')

/** The cells of a table's lines; columns are two blanks apart. */
const tableOf = (title: string): string[][] => {
  const lines = text.split('\n\n').find((part) => part.startsWith(`${title}\n`))!
  return lines
    .split('\n')
    .slice(2)
    .map((line) => line.trim().split(/ {2,}/))
}

const counted = (of: (event: DemoEvent) => string): Map<string, number> =>
  new Map([...Map.groupBy(events, of)].map(([name, group]) => [name, group.length]))

test('the tables say what was sent', () => {
  const addresses = new Set(events.map(({ ip }) => ip)).size
  const errors = events.filter(({ status }) => status >= 400).length
  const share = ((errors / events.length) * 100).toFixed(1)
  expect(text.split('\n')[0]).toBe(
    `${number(events.length)} requests from ${number(addresses)} addresses, ${share} % errors`,
  )
  const services = counted(({ service }) => service)
  expect(tableOf('Services')).toHaveLength(5)
  for (const [service, requests] of tableOf('Services')) expect(requests).toBe(number(services.get(service!)!))
  const statuses = counted(({ status }) => String(status))
  for (const [status, requests] of tableOf('Statuses')) expect(requests).toBe(number(statuses.get(status!)!))
  const ips = counted(({ ip }) => ip)
  for (const [ip, , requests] of tableOf('Addresses')) expect(requests).toBe(number(ips.get(ip!)!))
  const paths = counted(({ service, path }) => `${service} ${path}`)
  for (const [service, path, requests] of tableOf('Paths, without files')) {
    expect(requests).toBe(number(paths.get(`${service} ${path}`)!))
    expect(path).not.toMatch(/^\/(assets|images|wp-content)\//)
  }
})

test('countries have names, and private addresses say what they are', () => {
  expect(tableOf('Countries').map(([country]) => country)).toContain('Germany')
  expect(tableOf('Addresses').find(([ip]) => ip === '10.0.3.11')?.[1]).toBe('private')
})

test('the trial of a limit stops what a fixed window by address would have stopped, one request after the other', async () => {
  const limit = 30
  const windows = new Map<string, { begins: number; seen: number }>()
  const stopped = new Map<string, number>()
  for (const event of [...events].sort((a, b) => Date.parse(a.timestamp) - Date.parse(b.timestamp))) {
    const [client, at] = [parseAddress(event.ip)!.counted, Date.parse(event.timestamp)]
    const open = windows.get(client)
    const window = open && at < open.begins + 60_000 ? open : { begins: at, seen: 0 }
    windows.set(client, window)
    if (++window.seen > limit) stopped.set(client, (stopped.get(client) ?? 0) + 1)
  }
  const tried = await trial({ url: api.url, key: await api.key(['ADMIN']), from, to, limit, rows: 50 })
  const total = [...stopped.values()].reduce((sum, each) => sum + each, 0)
  const [title, , ...lines] = tried.split('\n')
  expect(title).toBe(
    `A limit of 30 a minute and address, tried on this day: ${number(total)} of ${number(events.length)} requests stopped, of ${stopped.size} addresses`,
  )
  expect(lines.length).toBeGreaterThan(3)
  for (const line of lines) {
    const [client, , denied] = line.trim().split(/ {2,}/)
    expect([client, denied]).toEqual([client, number(stopped.get(client!)!)])
  }
})

test('what the API refuses is told in its own words', async () => {
  await expect(summary({ url: api.url, key: 'of-nobody', from, to })).rejects.toThrow(
    /\/graphql: 401 .*unknown, expired/,
  )
  const key = await api.key(['COLLECT'])
  await expect(summary({ url: api.url, key, from, to })).rejects.toThrow(/ANALYTICS_READ/)
  await expect(summary({ url: 'http://127.0.0.1:9', key, from, to })).rejects.toThrow(
    'the summary could not be read from http://127.0.0.1:9/graphql: fetch failed',
  )
})
