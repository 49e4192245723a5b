import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { describe, expect, it } from 'vitest'

import { parseAddress } from '../../src/ratelimit/index.ts'
import { testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { type Outcome, vedette } from '../support/command.ts'

const database = testDatabase()
const service = testApp(database, { TRUSTED_PROXIES: '203.0.113.1' })

const run = (...args: string[]): Promise<Outcome> =>
  vedette(args, { CLICKHOUSE_URL: database.url, DATA_DIR: service.dataDir })

const file = async (text: string): Promise<string> => {
  const path = join(service.dataDir, `list-${createHash('sha256').update(text).digest('hex').slice(0, 8)}.txt`)
  await writeFile(path, text)
  return path
}

const actionFor = (address: string): string | undefined => service.app.blockList.lookup(parseAddress(address)!)?.action

const WITHIN = { timeout: 2_000 }

it('blocks prefixes in the running service within 2 s, for a time, until they are unblocked', async () => {
  const made = await run('block', '198.51.100.7', '2001:db8:bad::1/48', '--for', '24h', '--reason', 'stuffing')
  expect(made.exitCode).toBe(0)
  expect(made.stdout).toMatch(
    /^blk_\w{16} 198\.51\.100\.7 is blocked until \d{4}-\d\d-\d\d \d\d:\d\d UTC: stuffing\nblk_\w{16} 2001:db8:bad::\/48 is blocked until .*\n$/,
  )
  await expect.poll(() => actionFor('2001:db8:bad::9'), WITHIN).toBe('BLOCK')
  expect(service.app.blockList.lookup(parseAddress('198.51.100.7')!)).toMatchObject({ createdBy: 'cli' })

  const [id] = /blk_\w{16}/.exec(made.stdout)!
  const ended = await run('unblock', '2001:db8:bad::/48', id, '--reason', 'over')
  expect(ended).toMatchObject({ exitCode: 0 })
  expect(ended.stdout).toMatch(
    /^blk_\w{16} 2001:db8:bad::\/48 \(BLOCK\) is off the block list since .*\nblk_\w{16} 198/,
  )
  await expect.poll(() => actionFor('2001:db8:bad::9'), WITHIN).toBeUndefined()
  await expect.poll(() => actionFor('198.51.100.7'), WITHIN).toBeUndefined()
  const log = await readFile(join(service.dataDir, 'security.log'), 'utf8')
  expect(log.match(/block_list_(added|removed)/g)).toHaveLength(4)
})

it('lists what is in force, all there ever was, what holds an address, and the formats for other programs', async () => {
  await run('block', '192.0.2.0/24', '-r', 'wide')
  await run('block', '192.0.2.8/29', '-a', 'allow')
  await run('block', '192.0.2.77', '-a', 'rate-limit')
  await run('unblock', '192.0.2.77')
  const list = await run('blocklist', '--search', '192.0.2.9')
  expect(list.stdout).toMatch(/^ID +CIDR +ACTION +SOURCE +MADE +BY +EXPIRES +REASON\n/)
  expect(list.stdout).toMatch(/^blk_\w{16} +192\.0\.2\.8\/29 +ALLOW +MANUAL +[\d-]+ +cli +never +by hand$/m)
  expect(list.stdout.trimEnd().split('\n')).toHaveLength(3)
  expect((await run('blocklist')).stdout).not.toContain('192.0.2.77')
  expect((await run('blocklist', '--all')).stdout).toMatch(/192\.0\.2\.77 +RATE_LIMIT +MANUAL +removed /)
  const plain = await run('blocklist', '--format', 'plain')
  expect(plain.stdout.split('\n').slice(0, 3)).toEqual(['192.0.2.0/29', '192.0.2.16/28', '192.0.2.32/27'])
  expect((await run('blocklist', '--format', 'nginx')).stdout).toMatch(/^deny 192\.0\.2\.0\/29;\n/)
  const json = JSON.parse((await run('blocklist', '--all', '--search', '192.0.2.77', '--json')).stdout)
  expect(json).toEqual(
    [
      expect.objectContaining({ cidr: '192.0.2.0/24', state: 'active', reason: 'wide', expiresAt: null }),
      expect.objectContaining({ cidr: '192.0.2.77', state: 'removed', removedBy: 'cli' }),
    ].toSorted((a) => (a.sample.cidr === '192.0.2.77' ? -1 : 1)),
  )
  expect(json[0]).not.toHaveProperty('prefix')
  const none = await run('blocklist', '--search', '8.8.8.8')
  expect(none).toEqual({ exitCode: 0, stdout: '', stderr: 'Nothing on the block list holds 8.8.8.8.\n' })
})

describe('from a file', () => {
  it('takes one CIDR a line, with comments and reasons', async () => {
    const path = await file(
      '# feed\n\n198.18.0.1\n  198.18.1.0/24   a reason of its own # and a comment\r\n198.18.0.1\n',
    )
    const made = await run('block', '--file', path, '--for', '1h', '--json')
    expect(made.exitCode).toBe(0)
    expect(JSON.parse(made.stdout).map(({ cidr, reason }: Record<string, string>) => [cidr, reason])).toEqual([
      ['198.18.0.1', `from ${path}`],
      ['198.18.1.0/24', 'a reason of its own'],
      ['198.18.0.1', `from ${path}`],
    ])
    await expect.poll(() => actionFor('198.18.1.9'), WITHIN).toBe('BLOCK')
  })

  it('with bad lines names each with its number, and writes none', async () => {
    const path = await file('198.18.2.1\nnonsense here\n# 10.0.0.1\n10.0.0.1\n198.18.2.2/33\n203.0.113.1\n')
    const made = await run('block', '--file', path)
    expect(made).toMatchObject({ exitCode: 2, stdout: '' })
    const lines = made.stderr.trimEnd().split('\n')
    expect(lines).toEqual([
      `${path}:2: cidr: "nonsense" is no address; give one such as 203.0.113.7, 192.0.2.0/24 or 2001:db8::/32`,
      `${path}:4: cidr: 10.0.0.1 is of 10.0.0.0/8, private addresses (RFC 1918); if it is meant all the same, give --force`,
      `${path}:5: cidr: "198.18.2.2/33" is no address; give one such as 203.0.113.7, 192.0.2.0/24 or 2001:db8::/32`,
      ...lines.slice(3, -1),
      expect.stringMatching(/^vedette: [34] of 5 cannot be; nothing was written$/),
    ])
    expect((await run('blocklist', '--search', '198.18.2.1')).stdout).toBe('')
  })

  it('takes 20,000, which the service then looks up', async () => {
    const lines = Array.from({ length: 20_000 }, (_, n) => `${64 + (n % 16)}.${(n >> 4) & 255}.${n >> 12}.7`)
    const path = await file(lines.join('\n'))
    const made = await run('block', '--file', path, '--reason', 'feed')
    expect(made).toMatchObject({ exitCode: 0, stdout: '20000 prefixes: each is blocked until it is removed\n' })
    await expect.poll(() => actionFor(lines.at(-1)!)).toBe('BLOCK')
    await expect.poll(() => lines.filter((address) => actionFor(address) !== 'BLOCK')).toEqual([])
    const response = await service.request('/v1/blocklist')
    expect((await response.text()).split('\n').length).toBeGreaterThan(20_000)
    const log = await readFile(join(service.dataDir, 'security.log'), 'utf8')
    expect(log.match(/"reason":"feed"/g)).toHaveLength(20_000)
  }, 120_000)
})

describe('a misuse is one line on stderr with the way out, nothing on stdout, and exit code 2', () => {
  it.each<[args: string[], line: string | RegExp]>([
    [['block'], 'vedette: there is no CIDR; give some, or --file with one a line\n'],
    [
      ['block', 'example.com'],
      /^vedette: example\.com: cidr: "example\.com" is no address; .*; nothing was written\n$/,
    ],
    [['block', '127.0.0.1'], /^vedette: 127\.0\.0\.1: cidr: .* \(loopback\); .*, give --force; nothing was written\n$/],
    [['block', '1.2.3.4', '--for', 'soon'], /'soon' is invalid\. Allowed are 30m, .*; see vedette block --help\n$/],
    [
      ['block', '1.2.3.4', '--for', '1h', '--until', '2099-01-01'],
      /cannot be used with option .*; see vedette block --help\n$/,
    ],
    [['block', '1.2.3.4', '--until', '2020-01-01'], /expiresAt: 2020-01-01T00:00:00\.000Z is over; .*\n$/],
    [['block', '1.2.3.4', '--action', 'deny'], /Allowed choices are block, allow, challenge, rate-limit/],
    [['block', '--file', '/nowhere/at-all'], /^vedette: \/nowhere\/at-all cannot be read: ENOENT/],
    [
      ['unblock', 'example.com'],
      /^vedette: "example\.com" is neither an address, nor a CIDR, nor the ID of an entry\n$/,
    ],
    [['blocklist', '--format', 'csv'], /Allowed choices are plain, nginx, ipset/],
    [
      ['blocklist', '--search', '1.2.3.0/24'],
      /^vedette: --search is "1\.2\.3\.0\/24"; allowed is an IPv4 or IPv6 address\n$/,
    ],
  ])('vedette %j', async (args, line) => {
    const { exitCode, stdout, stderr } = await run(...args)
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
    expect(stderr).toMatch(line)
    expect(stderr.match(/\n/g)).toHaveLength(1)
  })
})

describe('a failure is one line on stderr and exit code 1', () => {
  it('for what is not on the list, is only allowed, or is held by a wider prefix', async () => {
    await run('block', '198.19.0.0/24')
    await run('block', '198.19.1.1', '--action', 'allow')
    const lines = await Promise.all(
      ['198.19.9.9', '198.19.0.7', '198.19.1.1', 'blk_none'].map(async (given) => {
        const { exitCode, stdout, stderr } = await run('unblock', given)
        expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' })
        return stderr
      }),
    )
    expect(lines).toEqual([
      'vedette: 198.19.9.9 is not on the block list\n',
      expect.stringMatching(
        /^vedette: 198\.19\.0\.7 is not on the block list by itself: 198\.19\.0\.0\/24 \(blk_\w+\) holds it; /,
      ),
      expect.stringMatching(
        /^vedette: 198\.19\.1\.1 is not blocked, but allowed; to end that, give its ID: blk_\w{16}\n$/,
      ),
      'vedette: there is no entry "blk_none" on the block list; vedette blocklist --all shows them\n',
    ])
  })

  it('for a ClickHouse that is away: no empty list', async () => {
    const away = { CLICKHOUSE_URL: 'http://user:hunter2@127.0.0.1:1/vedette', DATA_DIR: service.dataDir }
    const { exitCode, stdout, stderr } = await vedette(['blocklist', '--format', 'plain'], away)
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' })
    expect(stderr).toMatch(/^vedette: .*; vedette doctor looks at each part\n$/)
    expect(stderr).not.toContain('hunter2')
  })
})
