import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { simpleParser } from 'mailparser'
import { Registry } from 'prom-client'
import { Webhook } from 'standardwebhooks'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import {
  createDetectionRun,
  createDetectors,
  createExempt,
  createSuspicious,
  readDetectors,
  type Suspicious,
} from '../../src/detection/index.ts'
import { createJobs, type Jobs } from '../../src/jobs/index.ts'
import { createBlockList } from '../../src/ratelimit/index.ts'
import { createRedis } from '../../src/redis/index.ts'
import { createIncidents, createNotices, renderIncident } from '../../src/reports/incident/index.ts'
import { groupsOf, type Suspect } from '../../src/reports/incident/notice.ts'
import { createRollups } from '../../src/rollups/index.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'
import { insertLogs } from '../support/request-logs.ts'
import { PUBLIC_URL } from './fixtures.ts'
import { HOSTILE, startReceiver, WEBHOOK_SECRET } from './incident-support.ts'
import { testDeliveries } from './support.ts'

const HOUR = 3_600_000
const hour = (ago: number) => new Date((Math.floor(Date.now() / HOUR) - ago) * HOUR)
/** Each test has an hour of its own, with others who attack in it: who was flagged within the day before is no news. */
const HOURS = { once: 5, restart: 4, imported: 3, away: 2, inside: 1, next: 0, old: 9 }
const loner = (ago: number) => `203.${10 + ago}.113.7`
const gang = (ago: number) => [1, 2, 3].map((host) => `198.51.${100 + host}.${ago}`)
const FORGIVEN = '203.0.113.99'

const database = testDatabase()
const redis = createRedis([], { log: silent })
const closers: (() => Promise<unknown>)[] = []
let suspicious: Suspicious
let jobs: Jobs

/** The hourly job with one detector, closed when a test says so. */
const hourly = (run: (context: Parameters<ReturnType<typeof createDetectionRun>>[0]) => Promise<unknown>): Jobs =>
  createJobs({
    clickhouse: database.clickhouse,
    redis,
    log: silent,
    registry: new Registry(),
    runsJobs: true,
    jobs: [
      {
        name: 'hourly',
        description: 'Closes an hour.',
        windowSeconds: 3_600,
        settleSeconds: 0,
        catchUp: 'latest',
        run: async (context) => {
          await createRollups({ clickhouse: database.clickhouse }).run(context)
          await run(context)
          return { rowsRead: 0, rowsWritten: 0 }
        },
      },
    ],
  })

beforeAll(async () => {
  await redis.start()
  const { clickhouse } = database
  const stores = { clickhouse, redis, log: silent, dataDir: undefined }
  const blockList = createBlockList({ ...stores, trustedProxies: [] })
  const detectors = createDetectors({ ...stores, files: await readDetectors() })
  suspicious = createSuspicious({ ...stores, detectors, blockList })
  jobs = hourly(
    createDetectionRun({
      clickhouse,
      detectors: () => detectors.list().filter(({ id }) => id === 'command_injection'),
      crawlers: { agents: 'nobody-says-this', verify: () => Promise.resolve([]) },
      exempt: createExempt({ blockList, trustedProxies: [] }),
      block: () => Promise.resolve(0),
      log: silent,
    }),
  )
  closers.push(redis.stop, suspicious.stop, detectors.stop, blockList.stop, () => jobs.stop())
  await Promise.all([blockList.start(), detectors.start(), suspicious.start(), jobs.start()])

  const attack = (ip: string, userAgent: string, path: string, ago: number, row: number) => ({
    timestamp: new Date(hour(ago).getTime() + row * 60_000),
    ip,
    row,
    batch: ago,
    service: 'shop',
    path,
    userAgent,
    country: 'NL',
  })
  for (const ago of Object.values(HOURS))
    await insertLogs(clickhouse, [
      ...(ago === HOURS.next ? [] : gang(ago)).map((ip, index) =>
        attack(ip, `Evil/${ago}`, '/x;cat /etc/passwd', ago, index),
      ),
      attack(loner(ago), 'curl/8', HOSTILE, ago, 0),
      attack(FORGIVEN, 'curl/7', '/y;cat /etc/passwd', ago, 11),
    ])
  await jobs.runNow('hourly', { window: { from: hour(HOURS.old) }, by: 'test' })
  const { id } = (await suspicious.ofIp(FORGIVEN, suspicious.rangeOf(), { services: null, comment: 'test' }))!
  await suspicious.review([id], { status: 'IGNORED', note: 'our own scanner' }, { by: 'test' })
})
afterAll(async () => {
  for (const close of closers.toReversed()) await close()
})

let receiver: Awaited<ReturnType<typeof startReceiver>>
let answer: (path: string, nth: number) => number
beforeEach(async () => {
  answer = () => 204
  receiver = await startReceiver((path, nth) => answer(path, nth))
})
const open: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close()
  await receiver.stop()
})
const startDeliveries = testDeliveries(database)

const start = async ({
  paths = ['/hook'],
  to = ['ann@example.com'],
  allow = ['127.0.0.0/8'],
  retryAfterMs = [10, 10, 10],
} = {}) => {
  const { deliveries, dataDir } = await startDeliveries({
    redis,
    render: ({ content }) => Promise.resolve(renderIncident(content, { publicUrl: PUBLIC_URL, attributions: [] })),
  })
  deliveries.start()
  const registry = new Registry()
  const notices = createNotices({ clickhouse: database.clickhouse, redis, log: silent })
  await notices.start()
  open.push(notices.stop)
  const incidents = createIncidents({
    notices,
    subscriptions: { list: () => [], isUnsubscribed: () => false },
    redis,
    log: silent,
    registry,
    jobs,
    suspicious,
    deliveries,
    incidentTo: to,
    incidentWebhooks: paths.map((path) =>
      path === '/slack' ? `slack+${receiver.url}${path}` : `${receiver.url}${path}`,
    ),
    incidentWebhookSecret: WEBHOOK_SECRET,
    incidentWebhookAllow: allow,
    findingRetentionDays: 400,
    publicUrl: PUBLIC_URL,
    sends: true,
    retryAfterMs,
    pollMs: 100,
  })
  incidents.start()
  open.push(incidents.stop)
  const counted = async (channel: string, outcome: string) =>
    (await registry.getSingleMetric('vedette_incidents_total')!.get()).values.find(
      ({ labels }) => labels['channel'] === channel && labels['outcome'] === outcome,
    )?.value ?? 0
  /** Of an hour: what an earlier test left unsent comes too. */
  const mails = async (ago: number) => {
    const folder = join(dataDir, 'outbox')
    const files = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.eml'))
    const all = await Promise.all(files.map(async (name) => simpleParser(await readFile(join(folder, name)))))
    const [day, time] = hour(ago).toISOString().split('T')
    return all.filter(({ text }) => text!.includes(`${day} ${time!.slice(0, 5)}–`))
  }
  return { incidents, mails, counted, deliveries }
}
const closeHour = (ago: number) => jobs.runNow('hourly', { window: { from: hour(ago) }, by: 'test' })

describe('an hour with critical findings', () => {
  it('is told by mail, webhook and Slack, once for each campaign, whatever is run again or started beside it', async () => {
    const first = await start({ paths: ['/hook', '/slack'] })
    const second = await start({ paths: ['/hook', '/slack'] })
    await closeHour(HOURS.once)
    await expect.poll(() => [receiver.of('/hook').length, receiver.of('/slack').length]).toEqual([2, 2])
    const mails = async () => [...(await first.mails(HOURS.once)), ...(await second.mails(HOURS.once))]
    await expect.poll(async () => (await mails()).length).toBe(2)

    const told = receiver
      .of('/hook')
      .map(({ body, headers }) => new Webhook(WEBHOOK_SECRET).verify(body, headers as Record<string, string>))
    expect(told).toHaveLength(2)
    expect(told).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          type: 'incident',
          data: expect.objectContaining({
            subject: 'CAMPAIGN',
            campaign: { id: expect.stringMatching(/^cmp_/), summary: '3 addresses with the user agent "Evil/5"' },
            addressCount: 3,
            addresses: gang(HOURS.once).map((ip) => expect.objectContaining({ ip, country: 'NL', isBlocked: false })),
            sightings: [expect.objectContaining({ detector: 'command_injection', threshold: 3, addresses: 3 })],
            services: ['shop'],
          }),
        }),
        expect.objectContaining({
          data: expect.objectContaining({ subject: 'ADDRESS', campaign: null, addressCount: 1, target: HOSTILE }),
        }),
      ]),
    )
    const slack = receiver.of('/slack').find(({ body }) => body.includes(loner(HOURS.once)))
    expect(slack!.body).not.toMatch(/<!channel>|evil\.example|<script/)

    const ofLoner = (await mails()).find(({ subject }) => subject!.includes(loner(HOURS.once)))!
    expect(ofLoner).toMatchObject({
      subject: `Vedette incident: ${loner(HOURS.once)}: Command injection`,
      to: { text: 'ann@example.com' },
    })
    for (const body of [ofLoner.html as string, ofLoner.text!]) {
      expect(body).toContain('http[:]//evil[.]example')
      expect(body).toContain('Netherlands')
    }
    expect(ofLoner.html).not.toContain('<script')
    expect(ofLoner.headers.has('list')).toBe(false)

    await closeHour(HOURS.once)
    const third = await start({ paths: ['/hook', '/slack'] })
    // The next hour is told of after this one.
    await closeHour(HOURS.next)
    await expect.poll(() => [receiver.of('/hook').length, receiver.of('/slack').length]).toEqual([3, 3])
    const sent = await Promise.all([first, second, third].map(({ counted }) => counted('webhook', 'sent')))
    expect(sent.reduce((sum, count) => sum + count)).toBe(3)
    expect([...(await mails()), ...(await third.mails(HOURS.once))]).toHaveLength(2)
  })

  it('of long ago is an import, and told to nobody', async () => {
    const { mails } = await start()
    await closeHour(HOURS.old)
    await closeHour(HOURS.imported)
    await expect.poll(() => receiver.of('/hook').length).toBe(2)
    await expect.poll(async () => (await mails(HOURS.imported)).length).toBe(2)
    expect(await mails(HOURS.old)).toEqual([])
  })

  it('is told again to a webhook that was away, with the same id, and not to one that says no', async () => {
    answer = (path, nth) => (path === '/no' ? 400 : nth <= 3 ? 503 : 200)
    const { counted } = await start({ paths: ['/hook', '/no'], to: [] })
    await closeHour(HOURS.away)
    await expect
      .poll(async () => [await counted('webhook', 'sent'), await counted('webhook', 'failed')])
      .toEqual([2, 2])
    const ids = receiver.of('/hook').map(({ headers }) => headers['webhook-id'])
    expect(new Set(ids).size).toBe(2)
    expect(ids).toHaveLength(5)
    expect(receiver.of('/no')).toHaveLength(2)
  })

  it('is told after a start by what was not told before a stop', async () => {
    answer = () => 503
    const before = await start({ to: [], retryAfterMs: [60_000] })
    await closeHour(HOURS.restart)
    await expect.poll(() => receiver.of('/hook').length).toBeGreaterThan(0)
    await before.incidents.stop()
    const tried = receiver.of('/hook').length
    answer = () => 200
    const after = await start({ to: [] })
    await expect.poll(() => after.counted('webhook', 'sent')).toBe(2)
    const ids = receiver.of('/hook').map(({ headers }) => headers['webhook-id'])
    expect(new Set(ids.slice(tried)).size).toBe(2)
    expect(ids.slice(tried)).toEqual(expect.arrayContaining(ids.slice(0, tried)))
  })

  it('is not told to a webhook that lies within', async () => {
    const { counted, mails } = await start({ allow: [] })
    await closeHour(HOURS.inside)
    await expect.poll(() => counted('webhook', 'refused')).toBe(2)
    await expect.poll(async () => (await mails(HOURS.inside)).length).toBe(2)
    expect(receiver.received).toEqual([])
  })
})

const suspects = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ address: { address: `::ffff:203.0.113.${index}` } }) as Suspect)

it('many that belong to no campaign are told of together, few each by itself', () => {
  expect(groupsOf(suspects(5), []).map(({ subject }) => subject)).toEqual(Array(5).fill('ADDRESS'))
  expect(groupsOf(suspects(6), []).map(({ subject, suspects }) => [subject, suspects.length])).toEqual([['REST', 6]])
})
