import { request } from 'node:http'

import { beforeEach, describe, expect, it } from 'vitest'

import type { DecisionJson } from '../../../src/ratelimit/crowdsec/decision.ts'
import { testDatabase } from '../../support/clickhouse.ts'
import { type Answer, BOUNCER, inHours, NOTHING, OTHER_BOUNCER, type Service, services, values } from './support.ts'

const database = testDatabase()
const start = services()
let service: Service

beforeEach(async () => {
  await database.empty('store_versions')
  service = await start({ clickhouseUrl: database.url })
})

const told = ({ new: fresh, deleted }: Answer) => ({ new: values(fresh), deleted: values(deleted) })
const pull = async (query?: string) => told(await service.pull(query))

describe('a pull', () => {
  it('at the start brings everything in force, and says of what ended lately that it ended', async () => {
    await service.add('203.0.113.7')
    await service.add('198.51.100.0/24')
    await service.remove(await service.add('192.0.2.1'))
    expect(await pull('?startup=true')).toEqual({ new: ['198.51.100.0/24', '203.0.113.7'], deleted: ['192.0.2.1'] })
  })

  it('after that brings what is new and what ended, and nothing twice', async () => {
    const first = await service.add('203.0.113.7')
    expect(await pull('?startup=true')).toEqual({ new: ['203.0.113.7'], deleted: null })
    expect(await pull()).toEqual(NOTHING)
    await service.add('203.0.113.8', { expiresAt: inHours(1) })
    await service.remove(first)
    expect(await pull('?startup=false')).toEqual({ new: ['203.0.113.8'], deleted: ['203.0.113.7'] })
    expect(await pull()).toEqual(NOTHING)
  })

  it('is written in the order of CrowdSec, with null for an empty list', async () => {
    const text = async (query: string) => (await service.get(`/v1/decisions/stream${query}`)).text()
    expect(await text('?startup=true')).toBe('{"deleted":null,"new":null}')
    const id = await service.add('203.0.113.7', { reason: 'tried "passwords"' })
    expect(await text('')).toMatch(
      /^\{"deleted":null,"new":\[\{"duration":"87600h0m0s","id":\d+,"origin":"vedette-manual","scenario":"tried \\"passwords\\"","scope":"Ip","type":"ban","uuid":"[\da-f-]{36}","value":"203\.0\.113\.7"\}\]\}$/,
    )
    await service.remove(id)
    expect(await text('')).toMatch(/^\{"deleted":\[\{"duration":"-\ds",.*"value":"203\.0\.113\.7"\}\],"new":null\}$/)
    expect(await text('')).toBe('{"deleted":null,"new":null}')
  })

  it('without a start before it, by a bouncer that is not known, brings everything', async () => {
    await service.add('203.0.113.7')
    expect(await pull()).toEqual({ new: ['203.0.113.7'], deleted: null })
    expect(await pull()).toEqual(NOTHING)
  })

  it('by HEAD moves nothing', async () => {
    await pull('?startup=true')
    await service.add('203.0.113.7')
    expect((await service.get('/v1/decisions/stream', { method: 'HEAD' })).status).toBe(200)
    expect(await pull()).toEqual({ new: ['203.0.113.7'], deleted: null })
  })

  it('is told apart by key, name, and filter, so that bouncers do not take news from each other', async () => {
    const bouncers = [
      (query: string) => service.pull(query),
      (query: string) => service.pull(query, { key: OTHER_BOUNCER }),
      (query: string) => service.pull(query, { agent: 'another-bouncer/v1' }),
      (query: string) => service.pull(`${query}&type=ban`),
    ]
    for (const each of bouncers) await each('?startup=true')
    await service.add('203.0.113.7')
    for (const each of bouncers) expect(told(await each('?startup=false')).new).toEqual(['203.0.113.7'])
    for (const each of bouncers) expect(await each('?startup=false')).toEqual(NOTHING)
    const sameOfALaterVersion = await service.pull('?startup=false', { agent: 'test-bouncer/v2' })
    expect(sameOfALaterVersion).toEqual(NOTHING)
  })

  it('takes the filters of the list: a bouncer hears only of what it asked for, also that it ended', async () => {
    const filters = ['?scopes=ip', '?origins=vedette-feed', '?type=captcha', '?scenarios_not_containing=password']
    for (const filter of filters) await pull(filter)
    const ids = [
      await service.add('203.0.113.0/24'),
      await service.add('203.0.113.7'),
      await service.add('198.51.100.1', { source: 'FEED', reason: 'list' }),
      await service.add('198.51.100.2', { action: 'CHALLENGE', reason: 'scraping' }),
    ]
    const expected = [
      ['198.51.100.1', '198.51.100.2', '203.0.113.7'],
      ['198.51.100.1'],
      ['198.51.100.2'],
      ['198.51.100.1', '198.51.100.2'],
    ]
    for (const [index, filter] of filters.entries()) expect((await pull(filter)).new).toEqual(expected[index])
    for (const id of ids) await service.remove(id)
    for (const [index, filter] of filters.entries())
      expect([filter, (await pull(filter)).deleted]).toEqual([filter, expected[index]])
  })
})

describe('what has ended', () => {
  it('by its time is told once, with a negative duration', async () => {
    await pull('?startup=true')
    await service.add('203.0.113.7', { expiresAt: new Date(Date.now() + 1_200) })
    const { new: fresh } = await service.pull()
    expect(fresh).toMatchObject([{ value: '203.0.113.7', duration: expect.stringMatching(/^[12]s$/) }])
    const ended: DecisionJson[] = []
    const more = async () => {
      const answer = await service.pull()
      expect(answer.new).toBeNull()
      ended.push(...(answer.deleted ?? []))
      return ended.length
    }
    await expect.poll(more).toBe(1)
    expect(ended[0]).toMatchObject({
      value: '203.0.113.7',
      id: fresh![0]!.id,
      duration: expect.stringMatching(/^-\ds$/),
    })
    expect(await more()).toBe(1)
  })

  it('is not told while another entry denies the same address; then of every origin that a firewall may keep it under', async () => {
    await pull('?startup=true')
    const byHand = await service.add('203.0.113.7')
    expect((await pull()).new).toEqual(['203.0.113.7'])
    const byFeed = await service.add('203.0.113.7', { source: 'FEED' })
    await pull()
    await service.remove(byHand)
    const { new: fresh, deleted } = await service.pull()
    expect(deleted).toBeNull()
    expect(fresh).toMatchObject([{ value: '203.0.113.7', origin: 'vedette-feed' }])
    await service.remove(byFeed)
    const last = await service.pull()
    expect(last.new).toBeNull()
    expect(last.deleted!.map(({ value, origin }) => `${value} ${origin}`).toSorted()).toEqual([
      '203.0.113.7 vedette-feed',
      '203.0.113.7 vedette-manual',
    ])
  })

  it('is told of an address whose wider block goes on, since bouncers keep the two apart', async () => {
    const narrow = await service.add('203.0.113.7')
    await service.add('203.0.113.0/24')
    await pull('?startup=true')
    await service.remove(narrow)
    expect(await pull()).toEqual({ new: null, deleted: ['203.0.113.7'] })
  })
})

describe('exceptions', () => {
  it('that cover a block end it, and bring it back when they go', async () => {
    await service.add('203.0.113.7')
    await pull('?startup=true')
    const allow = await service.add('203.0.113.0/28', { action: 'ALLOW' })
    const { deleted, new: fresh } = await service.pull()
    expect(fresh).toBeNull()
    expect(deleted).toMatchObject([{ value: '203.0.113.7', duration: '-1s' }])
    expect(await pull()).toEqual(NOTHING)
    await service.remove(allow)
    expect(await pull()).toEqual({ new: ['203.0.113.7'], deleted: null })
  })

  it('within a block leave the parts around them, which go when the block or the exception goes', async () => {
    const block = await service.add('203.0.113.0/30')
    await pull('?startup=true')
    const parts = ['203.0.113.0/31', '203.0.113.2']
    const allow = await service.add('203.0.113.3', { action: 'ALLOW' })
    expect(await pull()).toEqual({ new: parts, deleted: ['203.0.113.0/30'] })
    await service.remove(allow)
    expect(await pull()).toEqual({ new: ['203.0.113.0/30'], deleted: parts })
    await service.add('203.0.113.3', { action: 'ALLOW' })
    await pull()
    await service.remove(block)
    expect(await pull()).toEqual({ new: null, deleted: parts })
  })

  it('that came and went are made up for when it is not known what the bouncer holds', async () => {
    const block = await service.add('203.0.113.0/30')
    const allow = await service.add('203.0.113.3', { action: 'ALLOW' })
    await service.remove(allow)
    await service.remove(block)
    expect((await pull('?startup=true')).deleted).toEqual(['203.0.113.0/30', '203.0.113.0/31', '203.0.113.2'])
  })
})

describe('changes of an entry are told as new', () => {
  it('another end', async () => {
    await service.add('203.0.113.7', { expiresAt: inHours(1) })
    await pull('?startup=true')
    await service.add('203.0.113.7', { expiresAt: inHours(2) })
    const { new: fresh, deleted } = await service.pull()
    expect(deleted).toBeNull()
    expect(fresh).toMatchObject([{ value: '203.0.113.7', duration: expect.stringMatching(/^(2h0m0s|1h59m5\ds)$/) }])
    expect(await pull()).toEqual(NOTHING)
  })

  it('removed and added again between two pulls', async () => {
    const id = await service.add('203.0.113.7')
    await pull('?startup=true')
    await service.remove(id)
    await service.add('203.0.113.7')
    expect(await pull()).toEqual({ new: ['203.0.113.7'], deleted: null })
  })

  it('a captcha in place of the ban', async () => {
    const ban = await service.add('203.0.113.7')
    await pull('?startup=true')
    await service.add('203.0.113.7', { action: 'CHALLENGE' })
    expect(await pull()).toEqual(NOTHING)
    await service.remove(ban)
    const { new: fresh, deleted } = await service.pull()
    expect(deleted).toBeNull()
    expect(fresh).toMatchObject([{ value: '203.0.113.7', type: 'captcha' }])
  })
})

/** Ends the connection after the first bytes of the answer. @returns what came */
const cutShort = (url: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const asked = request(url, { headers: { 'x-api-key': BOUNCER, 'user-agent': 'test-bouncer/v1' } }, (response) => {
      response.once('data', (chunk: Buffer) => {
        asked.destroy()
        resolve(chunk.toString())
      })
    })
    asked.on('error', reject).end()
  })

it('an answer of which only a part went out counts as perhaps not arrived: nothing of it is missed', async () => {
  const only = await service.add('203.0.113.7')
  await pull('?startup=true')
  const many = Array.from({ length: 20_000 }, (_, index) => ({
    cidr: `198.${18 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`,
    reason: 'many',
  }))
  await service.blockList.addMany(many, { by: 'test' })
  await service.remove(only)
  expect(await cutShort(`${service.url}/v1/decisions/stream`)).toMatch(/^\{"deleted":/)
  // What came in part may be held; this one has ended since.
  await service.remove(service.blockList.list().find(({ cidr }) => cidr === '198.18.0.1')!.id)
  const { new: fresh, deleted } = await service.pull()
  expect(fresh).toHaveLength(19_999)
  expect(values(deleted)).toEqual(['198.18.0.1', '203.0.113.7'])
  expect(await pull()).toEqual(NOTHING)
})
