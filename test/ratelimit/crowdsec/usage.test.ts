import { Registry } from 'prom-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { createBouncers } from '../../../src/ratelimit/crowdsec/bouncers.ts'
import { testDatabase } from '../../support/clickhouse.ts'
import { type Service, startBouncerApi } from './support.ts'

const database = testDatabase()
let service: Service

beforeAll(async () => {
  service = await startBouncerApi({ clickhouseUrl: database.url })
})
afterAll(() => service.stop())

const post = async (body: unknown) => {
  const response = await service.get('/v1/usage-metrics', {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'content-type': 'application/json', 'user-agent': 'crowdsec-nginx-bouncer/v1.1.0' },
  })
  return { status: response.status, body: await response.text() }
}

const item = (name: string, value: number, labels?: Record<string, string>, unit = 'request') => ({
  name,
  unit,
  value,
  ...(labels && { labels }),
})

/** As go-cs-bouncer sends it. */
const report = (items: unknown[], component: Record<string, unknown> = {}) => ({
  log_processors: null,
  remediation_components: [
    {
      feature_flags: [],
      metrics: [{ items, meta: { utc_now_timestamp: 1_700_000_000, window_size_seconds: 900 } }],
      os: { name: 'debian', version: '13' },
      utc_startup_timestamp: 1_699_999_000,
      version: 'v1.1.0',
      type: 'crowdsec-nginx-bouncer',
      ...component,
    },
  ],
})

const line = async (name: string, labels: string) =>
  (await service.metrics()).split('\n').find((each) => each.startsWith(`${name}{`) && each.includes(labels))
const OF = 'key="edge",ip="127.0.0.1",bouncer="crowdsec-nginx-bouncer"'

describe('a report', () => {
  it('is answered with 201 and nothing, and its numbers add up in /metrics', async () => {
    const items = [
      item('processed', 100),
      item('dropped', 7, { origin: 'vedette-manual', ip_type: 'ipv4' }),
      item('dropped', 2, { origin: 'vedette-manual', ip_type: 'ipv6' }),
      item('dropped', 4, { origin: 'vedette-feed', ip_type: 'ipv4' }),
      item('active_decisions', 30, { origin: 'vedette-manual', ip_type: 'ipv4' }, 'ip'),
      item('active_decisions', 3, { origin: 'vedette-manual', ip_type: 'ipv6' }, 'ip'),
    ]
    expect(await post(report(items))).toEqual({ status: 201, body: '' })
    expect(await post(report([item('processed', 11), item('dropped', 1, { origin: 'vedette-feed' })]))).toEqual({
      status: 201,
      body: '',
    })
    expect(await line('vedette_bouncer_processed_total', OF)).toBe(
      `vedette_bouncer_processed_total{${OF},unit="request"} 111`,
    )
    expect(await line('vedette_bouncer_dropped_total', 'origin="vedette-manual"')).toBe(
      `vedette_bouncer_dropped_total{${OF},unit="request",origin="vedette-manual"} 9`,
    )
    expect(await line('vedette_bouncer_dropped_total', 'origin="vedette-feed"')).toMatch(/ 5$/)
    // The second report has none any more.
    expect(await line('vedette_bouncer_active_decisions', 'origin="vedette-manual"')).toMatch(/ 0$/)
  })

  it('of a new version takes the place of the old one', async () => {
    await post(report([]))
    await post(report([], { version: 'v1.2.0' }))
    const lines = (await service.metrics()).split('\n').filter((each) => each.startsWith('vedette_bouncer_info{'))
    expect(lines).toEqual([`vedette_bouncer_info{${OF},type="crowdsec-nginx-bouncer",version="v1.2.0"} 1`])
  })

  it('without metrics, system, type or flags is taken: CrowdSec asks for none of them', async () => {
    const bare = { remediation_components: [{ version: 'v1', utc_startup_timestamp: 1_699_999_000 }] }
    expect((await post(bare)).status).toBe(201)
    expect((await post(report([], { metrics: null, feature_flags: null, os: null }))).status).toBe(201)
  })
})

describe('what is no report is refused with {"message": …}', () => {
  const long = 'x'.repeat(256)
  it.each<[string, unknown, number, string]>([
    ['no JSON', '{"remediation_components":', 400, 'The body is not JSON'],
    ['a list', [], 422, 'the body is []; it takes an object'],
    ['no bouncer', { remediation_components: [] }, 400, 'remediation_components has 0 items; it takes one'],
    ['nothing of a bouncer', {}, 400, 'remediation_components has 0 items'],
    ['two bouncers', { remediation_components: [{}, {}] }, 400, 'remediation_components has 2 items'],
    ['a log processor', { ...report([]), log_processors: [{}] }, 400, 'log_processors: they report to CrowdSec itself'],
    ['no version', report([], { version: undefined }), 422, 'remediation_components.0.version is missing'],
    ['a long version', report([], { version: long }), 422, 'at most 255 characters'],
    ['no start', report([], { utc_startup_timestamp: null }), 422, 'utc_startup_timestamp is null; it takes a whole'],
    [
      'a system without name',
      report([], { os: { version: '13' } }),
      422,
      'remediation_components.0.os.name is missing',
    ],
    ['a flag that is no text', report([], { feature_flags: [1] }), 422, 'feature_flags.0 is 1'],
    ['metrics without time', report([], { metrics: [{ items: [] }] }), 422, 'metrics.0.meta is missing'],
    ['an item without value', report([{ name: 'dropped', unit: 'byte' }]), 422, 'metrics.0.items.0.value is missing'],
    ['a value without end', JSON.stringify(report([item('dropped', 7)])).replace('7', '1e999'), 422, 'value is'],
    ['a label that is no text', report([item('dropped', 1, { origin: 5 as never })]), 422, 'labels.origin is 5'],
  ])('%s', async (_, body, status, message) => {
    const answer = await post(body)
    expect(answer.status).toBe(status)
    expect(Object.keys(JSON.parse(answer.body) as object)).toEqual(['message'])
    expect((JSON.parse(answer.body) as { message: string }).message).toContain(message)
  })

  it('more than a mebibyte', async () => {
    const answer = await post(`{"x":"${'x'.repeat(1024 * 1024)}"}`)
    expect(answer).toEqual({ status: 413, body: '{"message":"The body is longer than 1048576 bytes."}' })
  })

  it('no body', async () => {
    const response = await service.get('/v1/usage-metrics', { method: 'POST' })
    expect([response.status, await response.text()]).toEqual([400, '{"message":"The body is empty; it takes JSON."}'])
  })
})

it('a pull and a look-up show when the bouncer was last heard of', async () => {
  const before = Date.now() / 1000
  await service.pull('', { agent: 'crowdsec-firewall-bouncer/v0.0.34' })
  await service.get('/v1/decisions?ip=203.0.113.7', { headers: { 'user-agent': 'lua-bouncer/1' } })
  for (const product of ['crowdsec-firewall-bouncer', 'lua-bouncer']) {
    const found = await line('vedette_bouncer_last_pull_timestamp_seconds', `bouncer="${product}"`)
    expect(Number(found?.split(' ').at(-1))).toBeGreaterThanOrEqual(before)
  }
})

const bouncer = (ip: string) => ({ keyId: 'key', keyName: 'edge', ip, product: 'bouncer' })
const usage = (items: ReturnType<typeof item>[]) => ({
  version: 'v1',
  type: '',
  items: items.map((each) => ({ labels: {}, ...each })),
})

describe('metrics stay bounded', () => {
  it('by 200 bouncers: the one that was silent longest goes with all that was said of it', async () => {
    const registry = new Registry()
    const bouncers = createBouncers(registry)
    for (let index = 0; index < 201; index++) {
      const from = bouncer(`203.0.113.${index}`)
      bouncers.pulled(from, 'nothing')
      bouncers.reported(from, usage([item('processed', 1), item('dropped', 1, { origin: 'a' })]))
    }
    const text = await registry.metrics()
    expect(text).not.toContain('ip="203.0.113.0"')
    expect(text.match(/ip="203\.0\.113\.1"/g)).toHaveLength(4)
    expect(text.match(/^vedette_bouncer_info\{/gm)).toHaveLength(200)
    expect(text).toContain('vedette_bouncer_pulls_total{answer="nothing"} 201')
  })

  it('by 30 origins of a bouncer: more count as other', async () => {
    const registry = new Registry()
    const bouncers = createBouncers(registry)
    const many = Array.from({ length: 40 }, (_, index) => item('dropped', 1, { origin: `origin-${index}` }))
    bouncers.reported(bouncer('203.0.113.7'), usage(many))
    bouncers.reported(bouncer('203.0.113.7'), usage(many))
    const lines = (await registry.metrics())
      .split('\n')
      .filter((each) => each.startsWith('vedette_bouncer_dropped_total{'))
    expect(lines).toHaveLength(31)
    expect(lines.find((each) => each.includes('origin="other"'))).toMatch(/ 20$/)
    expect(lines.find((each) => each.includes('origin="origin-29"'))).toMatch(/ 2$/)
  })
})
