import { promises as dns } from 'node:dns'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'

import { sql } from '../../src/clickhouse/index.ts'
import { parsePrefix } from '../../src/ratelimit/index.ts'
import { type Crawlers, createCrawlers } from '../../src/detection/crawlers/crawlers.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'
import { type DnsServer, startDnsServer } from '../support/dns-server.ts'
import { capturedLog } from '../support/log.ts'

const store = testDatabase({ migrated: false })

const GOOGLEBOT = 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)'
const BAIDU = 'Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)'
const TELEGRAM = 'TelegramBot (like TwitterBot)'
const GPTBOT = 'Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.3; +https://openai.com/gptbot)'

let server: DnsServer
let resolver: dns.Resolver

beforeAll(async () => {
  server = await startDnsServer()
  resolver = new dns.Resolver({ timeout: 1_000, tries: 1 })
  resolver.setServers([server.address])
})
afterAll(() => server.close())
beforeEach(() => {
  server.zone.clear()
  server.asked.length = 0
})

const started = async (options: Partial<Parameters<typeof createCrawlers>[0]> = {}): Promise<Crawlers> => {
  const crawlers = createCrawlers({ dns: true, log: silent, resolver, timeoutMs: 200, pollMs: 20, ...options })
  await crawlers.start()
  onTestFinished(() => crawlers.stop())
  return crawlers
}

const verdictOf = async (crawlers: Crawlers, userAgent: string, ip: string): Promise<string | undefined> =>
  (await crawlers.verify([{ address: ip, ip, userAgent }]))[0]?.verdict

const folder = async (files: Record<string, string>): Promise<string> => {
  const dir = await mkdtemp(join(tmpdir(), 'vedette-crawlers-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text)
  return dir
}

describe('the bundled list', () => {
  test('every entry is complete, its ranges are exact and no pattern claims what browsers send', async () => {
    const crawlers = (await started()).list()
    expect(new Set(crawlers.map(({ name }) => name)).size).toBe(crawlers.length)
    for (const { name, userAgent, ranges, source, date } of crawlers) {
      expect(name).toMatch(/^[a-z0-9-]+$/)
      expect(userAgent).toBe(userAgent.toLowerCase())
      expect(source).toMatch(/^https:/)
      expect(date).toMatch(/^\d{4}-\d{2}-\d{2}$/)
      for (const range of ranges) expect(parsePrefix(range)!.cidr.replace(/^([\d.]+)$/, '$1/32')).toBe(range)
    }
  })

  test.each([
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36',
    'Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130 YaBrowser/24.10 Yowser/2.5 Safari/537.36',
    'Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [Pinterest/iOS]',
    // An iPhone shows a link in a message.
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0',
  ])('a person claims nothing: %s', async (userAgent) => {
    expect(await verdictOf(await started(), userAgent, '192.0.2.1')).toBe(undefined)
  })

  test('ClickHouse reads `agents` as we do', async () => {
    const crawlers = await started()
    for (const [userAgent, claims] of [
      [GOOGLEBOT, 1],
      [TELEGRAM, 1],
      ['Mozilla/5.0 (Macintosh) Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0', 0],
    ] as const) {
      const { rows } = await store.clickhouse.query(
        sql`SELECT toUInt8(match(lower(${userAgent}), ${crawlers.agents})) AS claims`,
      )
      expect(rows).toEqual([{ claims }])
    }
  })
})

describe('an address', () => {
  test.each([
    [GOOGLEBOT, '66.249.66.1'],
    [GOOGLEBOT, '2001:4860:4801:10::1f'],
    ['Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)', '157.55.39.12'],
    ['DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)', '40.88.21.235'],
    [TELEGRAM, '149.154.161.3'],
    [GPTBOT, '20.171.207.9'],
  ])('within the published ranges is verified without a question: %s', async (userAgent, ip) => {
    expect(await verdictOf(await started(), userAgent, ip)).toBe('verified')
    expect(server.asked).toEqual([])
  })

  test('is verified by a name of the owner that leads back to it, and asked for once', async () => {
    server.zone.set('PTR 198.51.100.7', ['baiduspider-7.crawl.baidu.com'])
    server.zone.set('A baiduspider-7.crawl.baidu.com', ['198.51.100.6', '198.51.100.7'])
    server.zone.set('PTR 2001:db8::7', ['v6.crawl.baidu.jp'])
    server.zone.set('AAAA v6.crawl.baidu.jp', ['2001:db8:0:0::7'])
    const crawlers = await started()
    expect(await verdictOf(crawlers, BAIDU, '198.51.100.7')).toBe('verified')
    expect(await verdictOf(crawlers, BAIDU, '2001:db8::7')).toBe('verified')
    const { length } = server.asked
    expect(await verdictOf(crawlers, BAIDU, '198.51.100.7')).toBe('verified')
    expect(server.asked).toHaveLength(length)
  })

  test('with no name, a foreign name or a name that leads elsewhere is false', async () => {
    server.zone.set('PTR 198.51.100.2', ['crawl.baidu.com.evil.example', 'notcrawl.baidu.com'])
    server.zone.set('PTR 198.51.100.3', ['spider.crawl.baidu.com'])
    server.zone.set('A spider.crawl.baidu.com', ['203.0.113.9'])
    server.zone.set('PTR 198.51.100.4', ['gone.crawl.baidu.com'])
    const crawlers = await started()
    for (const ip of ['198.51.100.1', '198.51.100.2', '198.51.100.3', '198.51.100.4'])
      expect(await verdictOf(crawlers, BAIDU, ip)).toBe('false')
  })

  test('is unknown while the name server fails or says nothing, and asked for again', async () => {
    server.zone.set('PTR 198.51.100.1', 'fails')
    server.zone.set('PTR 198.51.100.2', 'is silent')
    server.zone.set('PTR 198.51.100.3', ['spider.crawl.baidu.com'])
    server.zone.set('A spider.crawl.baidu.com', 'fails')
    const crawlers = await started()
    const verdicts = () =>
      Promise.all(['198.51.100.1', '198.51.100.2', '198.51.100.3'].map((ip) => verdictOf(crawlers, BAIDU, ip)))
    expect(await verdicts()).toEqual(['unknown', 'unknown', 'unknown'])
    server.zone.set('A spider.crawl.baidu.com', ['198.51.100.3'])
    server.zone.delete('PTR 198.51.100.1')
    expect(await verdicts()).toEqual(['false', 'unknown', 'verified'])
  })

  test('with names off is false only where all ranges are listed', async () => {
    const crawlers = await started({ dns: false })
    expect(await verdictOf(crawlers, TELEGRAM, '192.0.2.1')).toBe('false')
    expect(await verdictOf(crawlers, GPTBOT, '192.0.2.1')).toBe('unknown')
    expect(await verdictOf(crawlers, GOOGLEBOT, '192.0.2.1')).toBe('unknown')
    expect(server.asked).toEqual([])
  })

  test('is one finding for each crawler that it says to be', async () => {
    const address = '2001:db8::'
    const claims = [
      { address, ip: '2001:db8::1', userAgent: TELEGRAM },
      { address, ip: '2001:db8::2', userAgent: TELEGRAM },
      { address, ip: '2001:db8::2', userAgent: GPTBOT },
    ]
    expect(await (await started()).verify(claims)).toEqual([
      { address, crawler: 'telegram', verdict: 'false' },
      { address, crawler: 'gptbot', verdict: 'unknown' },
    ])
  })
})

test('a call asks for the names of 500 at most, leaves the rest unknown, and can be cut off', async () => {
  const claims = Array.from({ length: 520 }, (_, i) => {
    const ip = `198.51.${i >> 8}.${i & 255}`
    return { address: ip, ip, userAgent: BAIDU }
  })
  const crawlers = await started()
  const verdicts = (await crawlers.verify(claims)).map(({ verdict }) => verdict)
  expect(verdicts.filter((verdict) => verdict === 'false')).toHaveLength(500)
  expect(verdicts.slice(500)).toEqual(Array.from({ length: 20 }, () => 'unknown'))
  const controller = new AbortController()
  controller.abort(new Error('lease lost'))
  await expect(crawlers.verify(claims, controller.signal)).rejects.toThrow('lease lost')
})

test('a name server that is away costs a few lookups, not all of them', async () => {
  const claims = Array.from({ length: 200 }, (_, i) => {
    server.zone.set(`PTR 203.0.113.${i}`, 'is silent')
    return { address: `203.0.113.${i}`, ip: `203.0.113.${i}`, userAgent: BAIDU }
  })
  const crawlers = await started({ timeoutMs: 50 })
  expect(new Set((await crawlers.verify(claims)).map(({ verdict }) => verdict))).toEqual(new Set(['unknown']))
  expect(server.asked.length).toBeLessThan(40)
})

describe("an operator's folder", () => {
  test("takes the owners' formats, CIDRs one a line and lists with comments, and says where a list comes from", async () => {
    const dir = await folder({
      'gptbot.json': JSON.stringify({
        creationTime: '2026-11-20T01:02:03.0',
        prefixes: [{ ipv4Prefix: '192.0.2.0/28' }, { ipv6Prefix: '2001:db8:1::/48' }],
      }),
      'UptimeRobot.txt': '# probes\n192.0.2.77\n192.0.2.80/30 # new\n',
      'acme.json':
        '# Acme - https://acme.example\n{"name":"acmebot","user_agent":"acme(?:bot|spider)","ranges":["192.0.2.128/25"],"rdns":["(^|\\\\.)crawl\\\\.acme\\\\.example$"]}\n',
      'notes.md': 'not a list',
    })
    server.zone.set('PTR 198.51.100.1', ['a.crawl.acme.example'])
    server.zone.set('A a.crawl.acme.example', ['198.51.100.1'])
    const crawlers = await started({ dir })
    expect(await verdictOf(crawlers, GPTBOT, '192.0.2.3')).toBe('verified')
    expect(await verdictOf(crawlers, GPTBOT, '2001:db8:1::9')).toBe('verified')
    // The operator's list is the whole, so what the bundled one had is false.
    expect(await verdictOf(crawlers, GPTBOT, '20.171.207.9')).toBe('false')
    expect(
      await verdictOf(crawlers, 'Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)', '192.0.2.82'),
    ).toBe('verified')
    expect(await verdictOf(crawlers, 'AcmeSpider/1.0', '192.0.2.200')).toBe('verified')
    expect(await verdictOf(crawlers, 'AcmeSpider/1.0', '198.51.100.1')).toBe('verified')
    expect(crawlers.list().find(({ name }) => name === 'gptbot')).toMatchObject({
      date: '2026-11-20',
      source: join(dir, 'gptbot.json'),
    })
    expect(crawlers.agents).toContain('acme(?:bot|spider)')
  })

  test('is followed while it changes; a broken file is named and its last good list stays', async () => {
    const dir = await folder({ 'gptbot.txt': '192.0.2.0/28\n', 'yandex.txt': '0.0.0.0/0\n' })
    const { log, lines } = capturedLog()
    const crawlers = await started({ dir, log })
    const told = (pattern: RegExp) => lines.filter((line) => pattern.test(line)).length
    expect(told(/yandex\.txt: 0\.0\.0\.0\/0 is wider.*left out/)).toBe(1)
    expect(await verdictOf(crawlers, GPTBOT, '192.0.2.3')).toBe('verified')
    await writeFile(join(dir, 'gptbot.txt'), '192.0.2.0/28\n198.51.100.0/999\n')
    await expect.poll(() => told(/gptbot\.txt: .*0\/999.* is neither.*last good/)).toBe(1)
    expect(await verdictOf(crawlers, GPTBOT, '192.0.2.3')).toBe('verified')
    await writeFile(join(dir, 'gptbot.txt'), '198.51.100.0/24\n')
    await expect.poll(() => verdictOf(crawlers, GPTBOT, '198.51.100.9')).toBe('verified')
    expect(await verdictOf(crawlers, GPTBOT, '192.0.2.3')).toBe('false')
    await rm(join(dir, 'gptbot.txt'))
    await expect.poll(() => verdictOf(crawlers, GPTBOT, '20.171.207.9')).toBe('verified')
  })

  test.each([
    ['a.json', '{"prefixes":[]}', /no prefixes/],
    ['a.json', '{"prefixes":[{}]}', /neither ipv4Prefix/],
    ['a.json', '[]', /not a JSON object/],
    ['a.json', '{', /JSON/],
    ['a.json', '{"name":"a"}', /neither ranges nor rdns/],
    ['a.json', '{"name":"a","ranges":["192.0.2.1"],"user_agent":"a(?=b)"}', /RE2/],
    ['a.json', '{"name":"a","rdns":["("]}', /Invalid regular expression/],
    ['a.txt', '# nothing\n', /empty/],
    ['a b.txt', '192.0.2.1\n', /the name/],
  ])('a file %s with %s is refused with its reason', async (name, text, reason) => {
    const { log, lines } = capturedLog()
    await started({ dir: await folder({ [name]: text }), log })
    expect(lines.filter((line) => reason.test(line) && line.includes(name))).toHaveLength(1)
  })
})
