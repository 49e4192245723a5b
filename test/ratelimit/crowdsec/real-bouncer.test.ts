import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { temporaryFolder } from '../../support/app.ts'
import { testDatabase } from '../../support/clickhouse.ts'
import { BOUNCER, inHours, type Service, startBouncerApi } from './support.ts'

const SOURCE = fileURLToPath(new URL('../../../load/crowdsec-bouncer/', import.meta.url))
const asked = process.env['VEDETTE_TEST_GO_BOUNCER'] === '1'
const hasGo = asked && spawnSync('go', ['version'], { stdio: 'ignore' }).status === 0
/** The first build downloads and compiles CrowdSec's modules. */
const BUILD_MS = 300_000

interface Line {
  event: 'stream' | 'live'
  address?: string
  new?: Record<string, unknown>[]
  deleted?: Record<string, unknown>[]
  found?: Record<string, unknown>[]
  error?: string
}

const database = testDatabase()

describe('the check by a real bouncer', () => {
  it.runIf(asked)('has Go on PATH, since VEDETTE_TEST_GO_BOUNCER=1 asks for it', () => {
    expect(hasGo).toBe(true)
  })
})

describe.skipIf(!hasGo)('a bouncer made of go-cs-bouncer (only with VEDETTE_TEST_GO_BOUNCER=1 and Go on PATH)', () => {
  const lines: Line[] = []
  let service: Service
  let folder: string
  let bouncer: ChildProcess
  let errors = ''

  beforeAll(async () => {
    folder = await temporaryFolder()
    const binary = join(folder, 'bouncer')
    execFileSync('go', ['build', '-o', binary, '.'], { cwd: SOURCE, stdio: 'inherit' })
    service = await startBouncerApi({ clickhouseUrl: database.url })
    await service.add('203.0.113.7', { expiresAt: inHours(4) })
    await service.add('2001:db8:1::/48', { action: 'CHALLENGE', source: 'AUTOMATIC', reason: 'scraping' })
    bouncer = spawn(binary, ['-url', service.url, '-key', BOUNCER, '-every', '250ms', '-metrics-every', '250ms'], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    createInterface({ input: bouncer.stdout! }).on('line', (text) => lines.push(JSON.parse(text) as Line))
    bouncer.stderr!.on('data', (chunk: Buffer) => {
      errors += chunk
    })
  }, BUILD_MS)
  afterAll(async () => {
    if (bouncer.exitCode === null) {
      const ended = once(bouncer, 'exit')
      bouncer.stdin!.write('end\n')
      await ended
    }
    await service.stop()
    await rm(folder, { recursive: true, force: true })
  })

  const news = (which: 'new' | 'deleted') =>
    lines.filter(({ event }) => event === 'stream').flatMap((line) => line[which] ?? [])
  const lookUp = async (address: string): Promise<Line> => {
    const before = lines.length
    bouncer.stdin!.write(`live ${address}\n`)
    const answer = () => lines.slice(before).find((line) => line.event === 'live' && line.address === address)
    await expect.poll(answer).toBeDefined()
    return answer()!
  }

  it('starts with everything in force', async () => {
    await expect.poll(() => news('new').length).toBe(2)
    const byValue = new Map(news('new').map((decision) => [decision['value'], decision]))
    expect(byValue.get('203.0.113.7')).toMatchObject({
      scope: 'Ip',
      type: 'ban',
      origin: 'vedette-manual',
      scenario: 'tried passwords',
    })
    expect(byValue.get('203.0.113.7')!['seconds']).toBeGreaterThan(14_300)
    expect(byValue.get('2001:db8:1::/48')).toMatchObject({
      scope: 'Range',
      type: 'captcha',
      origin: 'vedette-automatic',
      seconds: 315_360_000,
    })
  })

  it('hears of a new block, of its end, and of neither twice', async () => {
    lines.length = 0
    const id = await service.add('198.51.100.0/24')
    await expect.poll(() => news('new').length).toBe(1)
    await service.remove(id)
    await expect.poll(() => news('deleted').length).toBe(1)
    const [fresh, ended] = [news('new')[0]!, news('deleted')[0]!]
    expect(ended).toMatchObject({ id: fresh['id'], uuid: fresh['uuid'], value: '198.51.100.0/24' })
    expect(ended['seconds']).toBeLessThan(0)
    const seen = lines.length
    await expect.poll(() => lines.length).toBeGreaterThan(seen + 2)
    expect([news('new').length, news('deleted').length]).toEqual([1, 1])
  })

  it('looks addresses up: a list, or none', async () => {
    expect((await lookUp('203.0.113.7')).found).toMatchObject([{ value: '203.0.113.7', type: 'ban' }])
    expect((await lookUp('2001:db8:1::42')).found).toMatchObject([{ value: '2001:db8:1::/48', type: 'captcha' }])
    const none = await lookUp('203.0.113.8')
    expect([none.found, none.error]).toEqual([undefined, undefined])
    expect((await lookUp('nonsense')).error).toContain('API error: ip is "nonsense"; it takes an IPv4')
  })

  it('reports its usage, which /metrics shows', async () => {
    await expect
      .poll(() => service.metrics())
      .toMatch(
        /vedette_bouncer_dropped_total\{.*bouncer="vedette-example-bouncer",unit="request",origin="vedette-manual"\} \d*[369]/,
      )
    expect(errors).toBe('')
  })
})
