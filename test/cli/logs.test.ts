import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'

import { createSecurityLog, type SecurityEvent } from '../../src/securitylog/index.ts'
import { temporaryFolder } from '../support/app.ts'
import { silent } from '../support/clickhouse.ts'
import { spawnVedette, vedette } from '../support/command.ts'

let dataDir = ''
beforeEach(async () => {
  dataDir = await temporaryFolder()
})
afterEach(() => rm(dataDir, { recursive: true, force: true }))

const logs = (...args: string[]) => vedette(['logs', ...args], { DATA_DIR: dataDir })

const blocked = (ip: string, more: object = {}): SecurityEvent => ({
  event: 'blocked',
  ip,
  counted: '',
  service: 'shop',
  policyId: '',
  entryId: 'blk_0123456789abcdef',
  method: 'GET',
  path: '/wp-login.php',
  count: 1,
  ...more,
})
const LIMITED: SecurityEvent = {
  event: 'limited',
  ip: '2001:db8::7334',
  counted: 'user:42',
  service: 'shop',
  policyId: 'default',
  entryId: '',
  method: 'POST',
  path: '/login',
  count: 12,
}
const REFUSED: SecurityEvent = {
  event: 'key_refused',
  ip: '192.0.2.44',
  method: 'POST',
  path: '/graphql',
  reason: 'no key',
  count: 1,
}
const ADDED: SecurityEvent = {
  event: 'block_list_added',
  entryId: 'blk_0123456789abcdef',
  cidr: '198.51.100.0/24',
  action: 'BLOCK',
  source: 'MANUAL',
  reason: 'scans',
  by: 'cli',
  expiresAt: '2027-01-31T12:00:00.000Z',
}
const CHANGED: SecurityEvent = {
  event: 'policy_changed',
  policyId: 'pol_0123456789ab',
  name: 'Login',
  mode: 'ENFORCE',
  by: 'key_first',
}

/** As the service writes them. */
const write = async (events: readonly SecurityEvent[], options: { maxBytes?: number } = {}): Promise<void> => {
  const securityLog = createSecurityLog({ dataDir, log: silent, ...options })
  for (const event of events) securityLog.write(event)
  await securityLog.stop()
}

/** A line of some time past. */
const lineAt = (time: Date, event: SecurityEvent): string =>
  `${JSON.stringify({ time: time.toISOString(), ...event })}\n`

const hoursAgo = (hours: number): Date => new Date(Date.now() - hours * 3_600_000)

const paths = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, n) => `/${from + n}`)
const events = (from: number, to: number): SecurityEvent[] =>
  paths(from, to).map((path) => blocked('10.0.0.1', { path }))

/** What the command prints with --json. */
const entries = async (...args: string[]): Promise<any[]> =>
  (await logs('--security', '--json', ...args)).stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line))
const shown = async (...args: string[]) =>
  (await entries(...args)).map(({ event, ip, cidr }) => `${event} ${ip ?? cidr}`)
const shownPaths = async (...args: string[]) => (await entries(...args)).map(({ path }) => path)
const shownAddresses = async (...args: string[]) => (await entries(...args)).map(({ ip }) => ip)

describe('vedette logs --security', () => {
  it('shows when, what, who and why in columns', async () => {
    await write([LIMITED, blocked('198.51.100.23'), REFUSED, ADDED, CHANGED])
    const { exitCode, stdout, stderr } = await logs('--security')
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    const time = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z`
    expect(stdout.replaceAll(new RegExp(`^${time}`, 'gm'), 'TIME')).toBe(
      [
        'TIME  limited             2001:db8::7334   POST /login ×12                   policy default, service shop, counted user:42',
        'TIME  blocked             198.51.100.23    GET /wp-login.php                 entry blk_0123456789abcdef, service shop',
        'TIME  key_refused         192.0.2.44       POST /graphql                     no key',
        'TIME  block_list_added    198.51.100.0/24  BLOCK until 2027-01-31T12:00:00Z  scans, by cli, MANUAL, blk_0123456789abcdef',
        'TIME  policy_changed      -                pol_0123456789ab ENFORCE          "Login", by key_first',
        '',
      ].join('\n'),
    )
  })

  it('prints with --json the lines as they stand in the file', async () => {
    await write([LIMITED, REFUSED])
    const lines = (await logs('--security', '--json')).stdout.trim().split('\n')
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { time: expect.any(String), ...LIMITED },
      { time: expect.any(String), ...REFUSED },
    ])
  })

  it('chooses by event and by address; a block list entry is found by what lies in it and by what it lies in', async () => {
    await write([LIMITED, blocked('198.51.100.23'), blocked('203.0.113.5'), REFUSED, ADDED, CHANGED])
    expect(await shown('--event', 'limited,key_refused')).toEqual(['limited 2001:db8::7334', 'key_refused 192.0.2.44'])
    expect(await shown('--ip', '198.51.100.23')).toEqual(['blocked 198.51.100.23', 'block_list_added 198.51.100.0/24'])
    expect(await shown('--ip', '198.51.0.0/16', '--event', 'block_list_added')).toEqual([
      'block_list_added 198.51.100.0/24',
    ])
    expect(await shown('--ip', '2001:db8::/64')).toEqual(['limited 2001:db8::7334'])
  })

  it('shows the newest hundred, or as many as are asked for, from rotated files too', async () => {
    await write(
      Array.from({ length: 1_700 }, (_, n) => blocked(`10.0.${n >> 8}.${n & 255}`, { path: `/${n}` })),
      { maxBytes: 150_000 },
    )
    expect(await shownPaths()).toEqual(paths(1_600, 1_700))
    expect(await shownPaths('-n', '3')).toEqual(paths(1_697, 1_700))
    expect(await shownPaths('-n', '1200')).toEqual(paths(500, 1_700))
    expect(await shownPaths('--since', '1h')).toEqual(paths(0, 1_700))
    expect(await shownPaths('--ip', '10.0.0.0/31')).toEqual(['/0', '/1'])
  })

  it('begins with --since where it is told, and passes over lines that were cut off', async () => {
    const path = join(dataDir, 'security.log')
    await writeFile(`${path}.1`, lineAt(hoursAgo(5), blocked('10.0.0.5')) + lineAt(hoursAgo(3), blocked('10.0.0.3')))
    await writeFile(
      path,
      `${lineAt(hoursAgo(2), blocked('10.0.0.2')).slice(0, 60)}\n${lineAt(hoursAgo(1), blocked('10.0.0.1'))}`,
    )
    expect(await shownAddresses('--since', '6h')).toEqual(['10.0.0.5', '10.0.0.3', '10.0.0.1'])
    expect(await shownAddresses('--since', '4h')).toEqual(['10.0.0.3', '10.0.0.1'])
    expect(await shownAddresses('--since', hoursAgo(2).toISOString())).toEqual(['10.0.0.1'])
    expect(await shownAddresses('--since', '30m')).toEqual([])
  })

  it('shows nothing that would move the cursor of a terminal', async () => {
    await write([blocked('10.0.0.1', { path: '/\u001b[2J\u202e\n/x' })])
    expect((await logs('--security')).stdout).toContain(String.raw`GET /\u001b[2J\u202e\u000a/x`)
  })

  it('says where it looked when there is none yet', async () => {
    expect(await logs('--security')).toEqual({
      exitCode: 0,
      stdout: '',
      stderr: `there is no ${join(dataDir, 'security.log')} yet: nothing has happened\n`,
    })
  })
})

describe('a misuse is one line on stderr with the way out, and exit code 2', () => {
  it.each<[args: string[], line: RegExp]>([
    [
      [],
      /^vedette: add --security for the security log; the log of requests is asked by GraphQL, as requestLogs at \/graphql\n$/,
    ],
    [['--security', '--event', 'nope'], /Allowed are limited, shadow_limited, .*; see vedette logs --help\n$/],
    [['--security', '--ip', 'localhost'], /'localhost' is invalid\. Allowed are an address or a CIDR/],
  ])('vedette logs %j', async (args, line) => {
    const { exitCode, stdout, stderr } = await logs(...args)
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
    expect(stderr).toMatch(line)
    expect(stderr.match(/\n/g)).toHaveLength(1)
  })
})

/** A running `vedette logs --security --follow`. */
const follow = (...args: string[]) => {
  const child: ChildProcess = spawnVedette(['logs', '--security', '--follow', '--json', ...args], { DATA_DIR: dataDir })
  onTestFinished(() => void child.kill('SIGKILL'))
  let stdout = ''
  let stderr = ''
  child.stdout!.on('data', (chunk: Buffer) => (stdout += chunk))
  child.stderr!.on('data', (chunk: Buffer) => (stderr += chunk))
  return {
    paths: (): string[] =>
      stdout
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line).path),
    stderr: () => stderr,
    end: async (signal: NodeJS.Signals) => {
      child.kill(signal)
      const [exitCode] = await once(child, 'close')
      return exitCode as number
    },
  }
}
describe('--follow', () => {
  it('waits for a file that is not there yet, goes on through rotation, and ends with 0 at Ctrl-C', async () => {
    const followed = follow()
    await expect.poll(followed.stderr).toBe(`waiting: there is no ${join(dataDir, 'security.log')} yet\n`)
    await write(events(0, 3))
    await expect.poll(followed.paths).toEqual(paths(0, 3))
    // Over several files at once.
    await write(events(3, 2_000), { maxBytes: 100_000 })
    await expect.poll(followed.paths).toEqual(paths(0, 2_000))
    await write(events(2_000, 2_001))
    await expect.poll(followed.paths).toEqual(paths(0, 2_001))
    expect(await followed.end('SIGINT')).toBe(0)
  })

  it('shows the last ten first, then only what comes, and ends with 0 at SIGTERM', async () => {
    await write(events(0, 50))
    const followed = follow()
    await expect.poll(followed.paths).toEqual(paths(40, 50))
    await write(events(50, 52))
    await expect.poll(followed.paths).toEqual(paths(40, 52))
    expect(await followed.end('SIGTERM')).toBe(0)
  })

  it('shows a line once it is whole, follows a file that was begun anew, and repeats nothing of rotated ones', async () => {
    const path = join(dataDir, 'security.log')
    await write(events(0, 2))
    await rename(path, `${path}.1`)
    await write(events(2, 3))
    const followed = follow('-n', '1')
    await expect.poll(followed.paths).toEqual(['/2'])
    const line = lineAt(new Date(), events(3, 4)[0]!)
    await appendFile(path, line.slice(0, 30))
    await appendFile(path, line.slice(30))
    await expect.poll(followed.paths).toEqual(['/2', '/3'])
    await rm(path)
    await write(events(4, 5))
    await expect.poll(followed.paths).toEqual(['/2', '/3', '/4'])
    expect(await followed.end('SIGINT')).toBe(0)
  })

  it('chooses what it shows, as without it', async () => {
    const followed = follow('--event', 'blocked', '--ip', '10.0.0.1')
    await expect.poll(followed.stderr).toContain('waiting')
    await write([REFUSED, blocked('10.0.0.2', { path: '/no' }), ...events(0, 1)])
    await expect.poll(followed.paths).toEqual(['/0'])
    expect(await followed.end('SIGINT')).toBe(0)
  })
})
