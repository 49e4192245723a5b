import { EventEmitter } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { type ParsedMail, simpleParser } from 'mailparser'
import { Registry } from 'prom-client'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

import { createDetectors, createSuspicious, readDetectors, type Suspicious } from '../../src/detection/index.ts'
import type { JobRun } from '../../src/jobs/index.ts'
import { createBlockList } from '../../src/ratelimit/index.ts'
import { createRedis } from '../../src/redis/index.ts'
import { createIncidents, createNotices, type Notices, renderIncident } from '../../src/reports/incident/index.ts'
import { createSubscriptions, type Subscriptions } from '../../src/reports/subscriptions.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'
import { insertFindings } from '../support/findings.ts'
import { PUBLIC_URL } from './fixtures.ts'
import { startReceiver, WEBHOOK_SECRET } from './incident-support.ts'
import { testDeliveries } from './support.ts'

const HOUR = 3_600_000
const hour = (ago: number) => new Date((Math.floor(Date.now() / HOUR) - ago) * HOUR)
const database = testDatabase()
const redis = createRedis([], { log: silent })
const closers: (() => Promise<unknown>)[] = []
let suspicious: Suspicious
let subscriptions: Subscriptions
let notices: Notices

beforeAll(async () => {
  await redis.start()
  const stores = { clickhouse: database.clickhouse, redis, log: silent, dataDir: undefined }
  const blockList = createBlockList({ ...stores, trustedProxies: [] })
  const detectors = createDetectors({ ...stores, files: await readDetectors() })
  suspicious = createSuspicious({ ...stores, detectors, blockList })
  subscriptions = createSubscriptions(stores)
  notices = createNotices(stores)
  const all = [blockList, detectors, suspicious, subscriptions, notices]
  closers.push(redis.stop, ...all.map(({ stop }) => stop))
  await Promise.all(all.map(({ start }) => start()))
})
afterAll(async () => {
  for (const close of closers.toReversed()) await close()
})

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close()
})
const startDeliveries = testDeliveries(database)

const start = async ({ to = [], urls = [] }: { to?: string[]; urls?: string[] }) => {
  const { deliveries, dataDir } = await startDeliveries({
    redis,
    render: ({ content }, options) =>
      Promise.resolve(renderIncident(content, { ...options, publicUrl: PUBLIC_URL, attributions: [] })),
    isUnsubscribed: subscriptions.isUnsubscribed,
  })
  deliveries.start()
  const hours = new EventEmitter<{ closed: [JobRun] }>()
  const incidents = createIncidents({
    notices,
    subscriptions,
    redis,
    log: silent,
    registry: new Registry(),
    // Hours are closed by hand.
    jobs: {
      onChange: (listener) => {
        hours.on('closed', listener)
        return () => void hours.off('closed', listener)
      },
      runs: () => Promise.resolve({ runs: [], total: 0 }) as never,
    },
    suspicious,
    deliveries,
    incidentTo: to,
    incidentWebhooks: urls,
    incidentWebhookSecret: WEBHOOK_SECRET,
    incidentWebhookAllow: ['127.0.0.0/8'],
    findingRetentionDays: 30,
    publicUrl: PUBLIC_URL,
    sends: true,
    retryAfterMs: [60_000],
    pollMs: 60_000,
  })
  incidents.start()
  open.push(incidents.stop)
  const close = (ago: number): void => {
    const window = { from: hour(ago), to: hour(ago - 1) }
    hours.emit('closed', { job: 'hourly', status: 'SUCCEEDED', runId: String(ago), window } as JobRun)
  }
  const mails = async (): Promise<ParsedMail[]> => {
    const folder = join(dataDir, 'outbox')
    const files = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.eml'))
    return Promise.all(files.map(async (name) => simpleParser(await readFile(join(folder, name)))))
  }
  return { incidents, deliveries, close, mails }
}

/** In one hour they want the same, and so are one campaign. */
const attack = (ago: number, found: readonly (readonly [ip: string, service: string])[]) =>
  insertFindings(
    database.clickhouse,
    found.map(([address, service]) => ({
      hour: hour(ago),
      address,
      detector: 'command_injection',
      severity: 'CRITICAL',
      score: 90,
      services: [service],
      target: `/${ago};id`,
    })),
    { runId: ago },
  )

it('a webhook that does not answer keeps no other and no newer incident waiting, and a stop does not wait for it', async () => {
  const receiver = await startReceiver()
  open.push(receiver.stop)
  const { incidents, close } = await start({ urls: ['/hang', '/hook'].map((path) => receiver.url + path) })
  const { port } = receiver
  const seen = () => ['/hang', '/hook'].map((path) => receiver.of(path).length)
  for (const ago of [5, 4]) {
    await attack(ago, [[`203.0.113.${ago}`, 'shop']])
    close(ago)
    // Each goes out while all to the one that hangs are under way, and is begun once.
    await expect.poll(seen).toEqual(ago === 5 ? [1, 1] : [2, 2])
  }
  await expect
    .poll(() => notices.list(null).map(({ posts }) => posts.map(({ state }) => state).toSorted()))
    .toEqual([
      ['QUEUED', 'SENT'],
      ['QUEUED', 'SENT'],
    ])
  expect(await redis.acquire('incident_webhooks')).toBeUndefined()
  const before = performance.now()
  await incidents.stop()
  expect(performance.now() - before).toBeLessThan(2_000)
  const lease = await redis.acquire('incident_webhooks')
  expect(lease).toBeDefined()
  await lease!.release()
  expect(seen()).toEqual([2, 2])
  expect(notices.list(null)[0]!.posts).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ recipient: `webhook 127.0.0.1:${port}`, state: 'SENT', attempts: 1 }),
    ]),
  )
})

const save = (name: string, recipients: string[], services: string[] = [], more: object = {}) =>
  subscriptions.save({ name, kind: 'INCIDENT', recipients, services, ...more }, { by: 'test' })

describe('an incident', () => {
  it('is mailed at once to subscriptions of services that it touches, about these alone, and to nobody twice', async () => {
    const all = await save('all', ['ann@example.com', 'Bob@example.com'])
    const shop = await save('shop', ['bob@example.com', 'cat@example.com', 'dan@example.com'], ['shop'])
    const blog = await save('blog', ['dan@example.com'], ['blog'])
    const other = await save('other', ['eve@example.com'], ['other'])
    await save('off', ['eve@example.com'], [], { enabled: false })
    await subscriptions.unsubscribe({ subscriptionId: shop.id, address: 'dan@example.com' })
    const shopIps = [1, 2, 3, 4].map((host) => `198.51.${host}.7`)
    const blogIps = [5, 6, 7].map((host) => `198.51.${host}.7`)
    await attack(3, [...shopIps.map((ip) => [ip, 'shop'] as const), ...blogIps.map((ip) => [ip, 'blog'] as const)])
    const first = await start({ to: ['ann@example.com'] })
    first.close(3)
    const told = async (at: number) =>
      (await first.deliveries.list(notices.list(null)[at]?.id ?? ''))
        .map(({ recipient, subscriptionId, state }) => `${recipient} ${subscriptionId} ${state}`)
        .toSorted()
    await expect
      .poll(() => told(0))
      .toEqual(
        [
          'ann@example.com null SENT',
          `Bob@example.com ${all.id} SENT`,
          `cat@example.com ${shop.id} SENT`,
          `dan@example.com ${shop.id} SUPPRESSED`,
          `dan@example.com ${blog.id} SENT`,
        ].toSorted(),
      )
    const mails = await first.mails()
    const mailTo = (name: string) => mails.find(({ to }) => [to].flat()[0]!.text.startsWith(name))!
    const ipsIn = (name: string) =>
      [...new Set(mailTo(name).text!.match(/^- (198\.51\.\d\.7)/gm))].map((line) => line.slice(2)).toSorted()
    expect(ipsIn('ann')).toEqual([...shopIps, ...blogIps])
    expect(ipsIn('cat')).toEqual(shopIps)
    expect(ipsIn('dan')).toEqual(blogIps)
    expect(JSON.stringify(mailTo('cat'))).not.toMatch(/blog|198\.51\.[567]/)
    expect(mailTo('ann').headers.has('list')).toBe(false)
    expect(mailTo('cat').headers.get('list')).toMatchObject({
      unsubscribe: { url: expect.stringContaining(`${PUBLIC_URL}/unsubscribe/${shop.id}.`) },
    })
    expect(mailTo('cat').text).toContain(`Unsubscribe: ${PUBLIC_URL}/unsubscribe/${shop.id}.`)

    // Whoever comes later has not subscribed to what was before, whoever tells of it once more.
    const later = await save('later', ['fay@example.com'])
    const second = await start({ to: ['ann@example.com', 'gus@example.com'] })
    second.close(3)
    await attack(2, [['192.0.2.9', 'other']])
    second.close(2)
    await expect
      .poll(() => told(0))
      .toEqual([
        `Bob@example.com ${all.id} SENT`,
        'ann@example.com null SENT',
        `eve@example.com ${other.id} SENT`,
        `fay@example.com ${later.id} SENT`,
        'gus@example.com null SENT',
      ])
    expect(await told(1)).toHaveLength(5)
  })

  it('is kept as long as the findings that it tells of', async () => {
    const { value } = notices.stored.list()[0]!
    for (const days of [29, 31]) {
      const hour = { ...value!.notice.hour, to: new Date(Date.now() - days * 24 * HOUR).toISOString() }
      const old = { ...value!, notice: { ...value!.notice, id: `inc_${days}`, hour } }
      await notices.stored.write(old.notice.id, old, { by: 'test' })
    }
    await start({})
    await expect.poll(() => notices.get('inc_31', null)).toBeUndefined()
    expect(notices.get('inc_29', null)).toBeDefined()
    await notices.stored.write('inc_29', undefined, { by: 'test' })
  })

  it('is for those who may see some services no more than what touches these', () => {
    const [other, seven] = notices.list(['other', 'blog'])
    expect(other).toMatchObject({ notice: { subject: 'ADDRESS' }, services: ['other'] })
    expect(seven).toMatchObject({
      services: ['blog'],
      notice: { addressCount: 3, target: '/3;id', campaign: null, sightings: [{ addresses: 3 }] },
    })
    expect(JSON.stringify(seven!.notice)).not.toMatch(/shop|198\.51\.[1-4]/)
    expect(seven!.suspiciousIpIds).toHaveLength(3)
    expect(notices.get(other!.id, ['shop'])).toBeUndefined()
    expect(notices.list(['none'])).toEqual([])
  })
})

it('a webhook that is busy is shown as tried, with what it said', async () => {
  const receiver = await startReceiver(() => 503)
  open.push(receiver.stop)
  const { close } = await start({ urls: [`${receiver.url}/busy`] })
  await attack(6, [['203.0.113.6', 'busy']])
  close(6)
  await expect
    .poll(() => notices.list(['busy']).map(({ posts }) => posts))
    .toMatchObject([[{ state: 'QUEUED', attempts: 1, sentAt: null, error: 'it answered 503; it is tried again' }]])
})
