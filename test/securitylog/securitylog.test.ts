import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { Registry } from 'prom-client'
import { afterEach, expect, it } from 'vitest'

import { createSecurityLog, type SecurityEvent, type SecurityLogDependencies } from '../../src/securitylog/index.ts'
import { capturedLog } from '../support/log.ts'

const run = promisify(execFile)
const undo: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step()
})

const folder = async (): Promise<string> => {
  const path = await mkdtemp(join(tmpdir(), 'vedette-security-'))
  undo.push(() => rm(path, { recursive: true, force: true }))
  return path
}

const create = async (options: Partial<SecurityLogDependencies> = {}) => {
  const dataDir = options.dataDir ?? (await folder())
  const { log, text } = capturedLog()
  const securityLog = createSecurityLog({ dataDir, log, ...options })
  undo.push(() => securityLog.stop())
  return { securityLog, path: join(dataDir, 'security.log'), dataDir, logged: text }
}

const refused = (path: string, more: object = {}): SecurityEvent => ({
  event: 'key_refused',
  ip: '203.0.113.7',
  method: 'GET',
  path,
  reason: 'no key',
  count: 1,
  ...more,
})

const paths = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, n) => `/${from + n}`)

const linesOf = async (path: string): Promise<string[]> =>
  (await readFile(path, 'utf8').catch(() => '')).split('\n').slice(0, -1)
const entriesOf = async (path: string): Promise<any[]> => (await linesOf(path)).map((line) => JSON.parse(line))

it('writes one JSON object a line with the time first, within a second and for its owner alone', async () => {
  const { securityLog, path } = await create()
  const before = Date.now()
  securityLog.write(refused('/graphql'))
  securityLog.write({
    event: 'block_list_added',
    entryId: 'blk_1',
    cidr: '203.0.113.0/24',
    action: 'BLOCK',
    source: 'MANUAL',
    reason: 'scans',
    by: 'cli',
    expiresAt: null,
  })
  await expect.poll(() => linesOf(path), { timeout: 1_000 }).toHaveLength(2)
  const [line] = await linesOf(path)
  expect(line).toMatch(
    /^\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","event":"key_refused","ip":"203\.0\.113\.7",/,
  )
  const [first, second] = await entriesOf(path)
  expect(Date.parse(first.time)).toBeGreaterThanOrEqual(before)
  expect(Date.parse(first.time)).toBeLessThanOrEqual(Date.now())
  expect(first).toEqual({ time: first.time, ...refused('/graphql') })
  expect(second).toMatchObject({ event: 'block_list_added', cidr: '203.0.113.0/24', expiresAt: null })
  expect((await stat(path)).mode & 0o777).toBe(0o600)
})

it('writes at its stop what it holds, and goes on behind it at the next start', async () => {
  const { securityLog, path, dataDir } = await create()
  for (let n = 0; n < 1_200; n++) securityLog.write(refused(`/${n}`))
  await securityLog.stop()
  const again = (await create({ dataDir })).securityLog
  again.write(refused('/1200'))
  await again.stop()
  expect((await entriesOf(path)).map((entry) => entry.path)).toEqual(paths(0, 1_201))
})

it('what strangers send can make no line of its own, hide nothing, and is bounded', async () => {
  const { securityLog, path } = await create()
  const nasty = '/a\n{"event":"blocked"}\r\u001b[2J\u0000\u007f\u0085\u2028\u202e\u{e0041}"\\é😀'
  securityLog.write(refused(nasty, { reason: `x${'y'.repeat(10_000)}`, ip: '::1' }))
  securityLog.write(refused(`/${'long/'.repeat(1_000)}`))
  await securityLog.stop()
  const text = await readFile(path, 'utf8')
  expect(text.split('\n')).toHaveLength(3)
  expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
  const [first, second] = await entriesOf(path)
  expect(first.path).toBe(nasty)
  expect(first.reason).toHaveLength(501)
  expect(second.path).toMatch(/^\/long\/.*…$/)
  expect(second.path).toHaveLength(501)
})

it('holds no secret: a query is left out, and of a key no more than its prefix', async () => {
  const { securityLog, path } = await create()
  const secret = 'vdt_AbCdEf0123456789AbCdEf0123456789'
  securityLog.write(refused(`/hooks/${secret}?token=hunter2`, { reason: `revoked key ${secret}` }))
  await securityLog.stop()
  const [entry] = await entriesOf(path)
  expect(entry).toMatchObject({ path: '/hooks/vdt_AbCdEf…', reason: 'revoked key vdt_AbCdEf…' })
  expect(await readFile(path, 'utf8')).not.toMatch(/hunter2|Ef0123/)
})

it('is rotated by size, keeps so many files, and loses no line between two of them', async () => {
  // Lines are written 500 at once, which are some 70 kB.
  const { securityLog, path, dataDir } = await create({ maxBytes: 80_000, keep: 3 })
  const names = async () => (await readdir(dataDir)).toSorted()
  const all = async () =>
    (await Promise.all(['.3', '.2', '.1', ''].map((end) => entriesOf(path + end)))).flat().map((entry) => entry.path)

  for (const line of paths(0, 2_000)) securityLog.write(refused(line))
  await expect.poll(all).toHaveLength(2_000)
  expect(await names()).toEqual(['security.log', 'security.log.1', 'security.log.2', 'security.log.3'])
  expect(await all()).toEqual(paths(0, 2_000))

  for (const line of paths(2_000, 3_500)) securityLog.write(refused(line))
  await securityLog.stop()
  expect(await names()).toHaveLength(4)
  expect(await all()).toEqual(paths(1_500, 3_500))
  for (const name of await names()) expect((await stat(join(dataDir, name))).size).toBeLessThanOrEqual(80_000)
})

it('goes on in a new file when somebody else has rotated or removed the old one', async () => {
  const { securityLog, path } = await create()
  securityLog.write(refused('/before'))
  await expect.poll(() => linesOf(path)).toHaveLength(1)
  await unlink(path)
  securityLog.write(refused('/after'))
  await expect.poll(async () => (await entriesOf(path)).map((entry) => entry.path)).toEqual(['/after'])
})

it('begins a line of its own where a crash has cut the last one off', async () => {
  const { securityLog, path } = await create()
  await writeFile(path, '{"time":"2026-01-01T00:00:00.000Z","eve')
  securityLog.write(refused('/whole'))
  await securityLog.stop()
  const lines = await linesOf(path)
  expect(lines).toHaveLength(2)
  expect(JSON.parse(lines[1]!)).toMatchObject({ path: '/whole' })
})

it('two processes on one folder write into one file, each line whole', async () => {
  const first = await create()
  const second = await create({ dataDir: first.dataDir })
  for (let n = 0; n < 700; n++) for (const { securityLog } of [first, second]) securityLog.write(refused(`/${n}`))
  await Promise.all([first.securityLog.stop(), second.securityLog.stop()])
  expect(await entriesOf(first.path)).toHaveLength(1_400)
})

it('a full disk costs no line: one warning, and it goes on when there is room', async () => {
  const registry = new Registry()
  const { securityLog, path, logged } = await create({ registry })
  // Takes nothing, as a disk that is full: ENOSPC.
  await symlink('/dev/full', path)
  securityLog.write(refused('/1'))
  await expect.poll(logged).toContain('the security log cannot be written')
  expect(logged()).toContain('ENOSPC')
  securityLog.write(refused('/2'))
  await unlink(path)
  await expect.poll(async () => (await entriesOf(path)).map((entry) => entry.path)).toEqual(['/1', '/2'])
  expect(logged().match(/cannot be written/g)).toHaveLength(1)
  expect(logged()).toContain('the security log is written again')
  expect(await registry.metrics()).toContain('vedette_security_log_lines_total{event="key_refused"} 2')
})

it('what it can neither write nor hold is counted, and never throws', async () => {
  const registry = new Registry()
  const { securityLog, path } = await create({ registry })
  await mkdir(path)
  for (let n = 0; n < 50_010; n++) securityLog.write(refused('/'))
  expect(await registry.metrics()).toContain('vedette_security_log_lost_total 10')
  await securityLog.stop()
  securityLog.write(refused('/too late'))
  expect(await registry.metrics()).toContain('vedette_security_log_lost_total 50011')
})

/** How large a file this process may write, in bytes: past it a write is cut off, as on a full disk. Linux, without root. */
const limitFiles = async (bytes: number | 'unlimited'): Promise<void> => {
  await run('prlimit', [`--fsize=${bytes}:`, '--pid', String(process.pid)])
}

it('a write that is cut off in the middle of a line costs no line, and doubles none', async () => {
  const { securityLog, path, logged } = await create()
  undo.push(() => limitFiles('unlimited'))
  await limitFiles(5_000)
  for (const line of paths(0, 60)) securityLog.write(refused(line))
  await expect.poll(logged).toContain('the security log cannot be written')
  expect((await stat(path)).size).toBe(5_000)
  await limitFiles('unlimited')
  const whole = async () =>
    (await linesOf(path)).flatMap((line) => {
      try {
        return [JSON.parse(line).path as string]
      } catch {
        return []
      }
    })
  await expect.poll(whole).toEqual(paths(0, 60))
})
