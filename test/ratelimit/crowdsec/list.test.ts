import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { DecisionJson } from '../../../src/ratelimit/crowdsec/decision.ts'
import { testDatabase } from '../../support/clickhouse.ts'
import { inHours, READER, type Service, startBouncerApi, values } from './support.ts'

const database = testDatabase()
let service: Service

beforeAll(async () => {
  service = await startBouncerApi({ clickhouseUrl: database.url })
  await service.add('203.0.113.7', { reason: 'tried passwords', expiresAt: inHours(4) })
  await service.add('198.51.100.0/24', { reason: 'Swarm of <bots> & co', source: 'AUTOMATIC' })
  await service.add('198.51.100.64/26', { reason: 'published list', source: 'FEED', expiresAt: inHours(24) })
  await service.add('2001:db8:1::/48', { reason: 'scraping', action: 'CHALLENGE' })
  await service.add('192.0.2.0/29', { reason: 'swarm of bots' })
  await service.add('192.0.2.3', { reason: 'our monitor', action: 'ALLOW' })
  await service.add('192.0.2.128', { reason: 'too many requests', action: 'RATE_LIMIT' })
  await service.remove(await service.add('192.0.2.200', { reason: 'a mistake' }))
})
afterAll(() => service.stop())

const ask = async (query: string): Promise<DecisionJson[] | null> => {
  const response = await service.get(`/v1/decisions${query}`)
  expect(response.status).toBe(200)
  return (await response.json()) as DecisionJson[] | null
}
const found = async (query: string): Promise<string[] | null> => values(await ask(query))

const WITHOUT_MONITOR = ['192.0.2.0/31', '192.0.2.2', '192.0.2.4/30']
const ALL = ['198.51.100.0/24', '198.51.100.64/26', '2001:db8:1::/48', '203.0.113.7', ...WITHOUT_MONITOR].toSorted()

describe('a decision', () => {
  it('is written as CrowdSec writes it, field for field', async () => {
    const response = await service.get('/v1/decisions?ip=203.0.113.7')
    expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(await response.text()).toMatch(
      /^\[\{"duration":"(4h0m0s|3h59m5\ds)","id":[1-9]\d{0,15},"origin":"vedette-manual","scenario":"tried passwords","scope":"Ip","type":"ban","uuid":"[\da-f-]{36}","value":"203\.0\.113\.7"\}\]$/,
    )
  })

  it('tells of ranges, captchas, sources, and of what never ends', async () => {
    const [challenge] = (await ask('?ip=2001:db8:1::5'))!
    expect(challenge).toMatchObject({
      duration: '87600h0m0s',
      origin: 'vedette-manual',
      scope: 'Range',
      type: 'captcha',
      value: '2001:db8:1::/48',
    })
    const swarm = (await ask('?ip=198.51.100.70'))!
    expect(swarm.map(({ origin }) => origin).toSorted()).toEqual(['vedette-automatic', 'vedette-feed'])
  })

  it('is not there for an address that nothing denies: the literal null', async () => {
    for (const ip of ['203.0.113.8', '2001:db8:2::1', '192.0.2.3', '192.0.2.128', '192.0.2.200']) {
      const response = await service.get(`/v1/decisions?ip=${ip}`)
      expect([ip, response.status, await response.text()]).toEqual([ip, 200, 'null'])
    }
  })

  it('of a block with an exception in it comes in parts, each with an id of its own', async () => {
    const parts = (await ask('?range=192.0.2.0/24&contains=false'))!
    expect(values(parts)).toEqual(WITHOUT_MONITOR.toSorted())
    expect(new Set(parts.map(({ id }) => id)).size).toBe(3)
    expect(parts.map(({ scope, value }) => `${value} ${scope}`).toSorted()).toEqual([
      '192.0.2.0/31 Range',
      '192.0.2.2 Ip',
      '192.0.2.4/30 Range',
    ])
  })
})

describe('filters', () => {
  it.each<[string, string[] | null]>([
    ['', ALL],
    ['?ip=198.51.100.1', ['198.51.100.0/24']],
    ['?ip=198.51.100.65', ['198.51.100.0/24', '198.51.100.64/26']],
    ['?ip=::ffff:203.0.113.7', ['203.0.113.7']],
    ['?ip=2001:DB8:1:0::9', ['2001:db8:1::/48']],
    ['?ip=198.51.100.65&contains=true', ['198.51.100.0/24', '198.51.100.64/26']],
    ['?ip=198.51.100.65&contains=false', null],
    ['?range=198.51.100.64/27', ['198.51.100.0/24', '198.51.100.64/26']],
    ['?range=198.51.100.64/27&contains=0', null],
    ['?range=198.51.0.0/16&contains=false', ['198.51.100.0/24', '198.51.100.64/26']],
    ['?range=198.51.0.0/16', null],
    ['?range=0.0.0.0/0&contains=false&type=captcha', null],
    ['?range=::/0&contains=false', ['2001:db8:1::/48']],
    ['?scope=ip', ['192.0.2.2', '203.0.113.7']],
    ['?scopes=Ip', ['192.0.2.2', '203.0.113.7']],
    ['?scopes=range,country', ALL.filter((value) => value.includes('/'))],
    ['?scopes=country', null],
    ['?scope=ip&value=203.0.113.7', ['203.0.113.7']],
    ['?scope=range&value=203.0.113.7', null],
    ['?value=2001:db8:0001::/48', ['2001:db8:1::/48']],
    ['?value=user-42', null],
    ['?type=captcha', ['2001:db8:1::/48']],
    ['?type=ban&ip=2001:db8:1::1', null],
    ['?type=throttle', null],
    ['?origins=vedette-feed', ['198.51.100.64/26']],
    ['?origins=vedette-feed,vedette-automatic', ['198.51.100.0/24', '198.51.100.64/26']],
    ['?origins=CAPI', null],
    ['?scenarios_containing=SWARM', ['198.51.100.0/24', ...WITHOUT_MONITOR].toSorted()],
    ['?scenarios_containing=scraping,password', ['2001:db8:1::/48', '203.0.113.7']],
    ['?scenarios_not_containing=swarm,list', ['2001:db8:1::/48', '203.0.113.7']],
    ['?scenarios_containing=swarm&scenarios_not_containing=bots%3E', WITHOUT_MONITOR.toSorted()],
    ['?simulated=true&community_pull=false&whatever=1', ALL],
    ['?ip=203.0.113.7&ip=192.0.2.2', ['203.0.113.7']],
  ])('%s', async (query, expected) => {
    expect(await found(query)).toEqual(expected)
  })

  it('page by id: limit, offset, id_gt', async () => {
    const ids = (await ask(''))!.map(({ id }) => id).toSorted((a, b) => a - b)
    const page = async (query: string) => (await ask(query))?.map(({ id }) => id)
    expect(await page('?limit=3')).toEqual(ids.slice(0, 3))
    expect(await page('?limit=3&offset=2')).toEqual(ids.slice(2, 5))
    expect(await page(`?limit=2&id_gt=${ids[3]}`)).toEqual(ids.slice(4, 6))
    expect(await page(`?id_gt=${ids.at(-1)}`)).toBeUndefined()
  })
})

describe('what does not fit is refused with {"message": …} that names it', () => {
  it.each([
    ['?ip=203.0.113', 'ip is "203.0.113"; it takes an IPv4 or IPv6 address'],
    ['?ip=', 'ip is ""; it takes'],
    ['?range=203.0.113.0/33', 'range is "203.0.113.0/33"; it takes'],
    ['?ip=203.0.113.7&contains=maybe', 'contains is "maybe"; it takes true or false'],
    ['?limit=-1', 'limit is "-1"; it takes a whole number'],
    ['/stream?startup=perhaps', 'startup is "perhaps"; it takes true or false'],
    ['/stream?ip=fe80::1%25eth0', 'ip is "fe80::1%eth0"; it takes'],
  ])('%s', async (query, message) => {
    const response = await service.get(`/v1/decisions${query}`)
    expect(response.status).toBe(400)
    expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8')
    const body = (await response.json()) as { message: string }
    expect(Object.keys(body)).toEqual(['message'])
    expect(body.message).toContain(message)
  })
})

describe('keys', () => {
  const routes: [string, string][] = [
    ['GET', '/v1/decisions?ip=203.0.113.7'],
    ['GET', '/v1/decisions/stream?startup=true'],
    ['HEAD', '/v1/decisions'],
    ['HEAD', '/v1/decisions/stream'],
    ['POST', '/v1/usage-metrics'],
  ]
  it.each(routes)('unknown, none and without DECIDE are refused alike: %s %s', async (method, path) => {
    const refused: [string, Record<string, string>][] = [
      ['none', {}],
      ['unknown', { 'x-api-key': 'vdt_nobody00000000000000000000' }],
      ['without the scope', { 'x-api-key': READER }],
      ['unknown, as Bearer', { authorization: 'Bearer vdt_nobody00000000000000000000' }],
    ]
    for (const [which, headers] of refused) {
      const body = method === 'POST' ? '{}' : null
      const response = await fetch(`${service.url}${path}`, { method, headers, body })
      expect([which, response.status]).toEqual([which, 403])
      expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8')
      if (method !== 'HEAD') expect(await response.text()).toBe('{"message":"access forbidden"}')
    }
  })

  it('that are refused are noted for the security log', async () => {
    service.refused.length = 0
    await service.get('/v1/decisions/stream?startup=true', { headers: { 'x-api-key': READER } })
    expect(service.refused).toEqual([
      {
        ip: '127.0.0.1',
        method: 'GET',
        path: '/v1/decisions/stream',
        reason: 'key key_test has no scope DECIDE',
      },
    ])
  })

  it('with DECIDE may HEAD, which says nothing and takes the same query', async () => {
    for (const path of ['/v1/decisions?ip=203.0.113.7', '/v1/decisions/stream?startup=true']) {
      const response = await service.get(path, { method: 'HEAD' })
      expect([path, response.status, await response.text()]).toEqual([path, 200, ''])
    }
    expect((await service.get('/v1/decisions?ip=x', { method: 'HEAD' })).status).toBe(400)
  })

  it('are taken as Authorization too', async () => {
    const response = await fetch(`${service.url}/v1/decisions?ip=203.0.113.8`, {
      headers: { authorization: `Bearer vdt_bouncer000000000000000000000` },
    })
    expect([response.status, await response.text()]).toEqual([200, 'null'])
  })
})
