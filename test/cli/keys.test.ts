import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'

import { describe, expect, it } from 'vitest'

import { temporaryFolder, testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { type Outcome, spawnVedette, vedette } from '../support/command.ts'

const database = testDatabase()
const service = testApp(database)

const keys = (...args: string[]): Promise<Outcome> =>
  vedette(['keys', ...args], { CLICKHOUSE_URL: database.url, DATA_DIR: service.dataDir })

const collects = async (url: string, secret: string): Promise<number> => {
  const body = JSON.stringify({ ip: '203.0.113.7', method: 'GET', path: '/', status: 200 })
  const headers = { authorization: `Bearer ${secret}`, 'content-type': 'application/json' }
  return (await fetch(`${url}/v1/requests`, { method: 'POST', headers, body })).status
}

it('makes a key whose secret stands alone on stdout and works in the running service within 2 s, until it is revoked', async () => {
  const made = await keys('create', 'shop, production', '--scope', 'collect,DECIDE', '--service', 'shop')
  expect(made.exitCode).toBe(0)
  expect(made.stdout).toMatch(/^vdt_[0-9A-Za-z]{32}\n$/)
  const [, id] = /^(key_\w+) "shop, production" may COLLECT, DECIDE, services shop, until it is revoked\.$/m.exec(
    made.stderr,
  )!
  const secret = made.stdout.trim()
  await expect.poll(() => service.app.keys.authenticate(secret)?.keyId, { timeout: 2_000 }).toBe(id)
  expect(await collects(service.url, secret)).not.toBe(401)

  const revoked = await keys('revoke', id!)
  expect(revoked).toMatchObject({ exitCode: 0, stderr: '' })
  expect(revoked.stdout).toContain(`${id} "shop, production" is revoked`)
  await expect.poll(() => collects(service.url, secret), { timeout: 2_000 }).toBe(401)
})

it('lists the keys in force, and with --all the others too', async () => {
  const { id } = JSON.parse((await keys('create', 'gone', '-s', 'DECIDE', '--json')).stdout)
  await keys('create', 'here', '-s', 'DECIDE', '--expires', '90d')
  await keys('revoke', id)
  const list = await keys('list')
  expect(list.exitCode).toBe(0)
  expect(list.stdout).toMatch(/^ID +NAME +BEGINS WITH +SCOPES +SERVICES +MADE +EXPIRES +LAST USED\n/)
  expect(list.stdout).toMatch(
    /^key_\w{12} +here +vdt_\w{6} +DECIDE +all +\d{4}-\d\d-\d\d +\d{4}-\d\d-\d\d \d\d:\d\d UTC +never$/m,
  )
  expect(list.stdout).not.toContain('gone')
  const all = await keys('list', '--all')
  expect(all.stdout).toMatch(/^key_\w{12} +gone .* revoked /m)
})

it('prints JSON that holds the secret when it is made and never again', async () => {
  const limits = ['--points-per-hour', '5000', '--posts-per-minute', '60']
  const made = JSON.parse((await keys('create', 'machine', '-s', 'LOGS_READ', ...limits, '--json')).stdout)
  expect(made).toMatchObject({
    pointsPerHour: 5_000,
    postsPerMinute: 60,
    name: 'machine',
    scopes: ['LOGS_READ'],
    services: null,
    state: 'active',
    expiresAt: null,
  })
  expect(made.secret).toMatch(/^vdt_/)
  const list = await keys('list', '--json')
  expect(JSON.parse(list.stdout)).toContainEqual(expect.objectContaining({ id: made.id, prefix: made.prefix }))
  expect(list.stdout).not.toContain(made.secret)
  const revoked = JSON.parse((await keys('revoke', made.id, '--json')).stdout)
  expect(revoked).toMatchObject([{ id: made.id, state: 'revoked', revokedBy: 'cli' }])
})

describe('a misuse is one line on stderr with the way out, nothing on stdout, and exit code 2', () => {
  it.each<[args: string[], line: string | RegExp]>([
    [['kesy'], "vedette: unknown command 'kesy' (Did you mean keys?); see vedette --help\n"],
    [['keys', 'create'], /^vedette: .*; see vedette keys create --help\n$/],
    [
      ['keys', 'create', 'a'],
      "vedette: required option '-s, --scope <scope>' not specified; see vedette keys create --help\n",
    ],
    [['keys', 'create', 'a', '-s', 'WRITE'], /^vedette: scopes: "WRITE" is none of COLLECT, .*ADMIN\n$/],
    [
      ['keys', 'create', 'a', '-s', 'DECIDE', '--expires', 'soon'],
      /argument 'soon' is invalid\. Allowed are 30m, .*; see vedette keys create --help\n$/,
    ],
    [
      ['keys', 'create', 'a', '-s', 'DECIDE', '--expires', '2020-01-01'],
      /^vedette: expiresAt: 2020-01-01T00:00:00\.000Z is over; give a time to come\n$/,
    ],
    [
      ['keys', 'create', 'a', '-s', 'COLLECT', '--posts-per-minute', '0'],
      'vedette: postsPerMinute: 0 is not allowed; give a whole number from 1 to 10000000\n',
    ],
    [['keys', 'revoke'], "vedette: missing required argument 'id'; see vedette keys revoke --help\n"],
    [['keys', 'list', '--frob'], "vedette: unknown option '--frob'; see vedette keys list --help\n"],
  ])('vedette %j', async (args, line) => {
    const { exitCode, stdout, stderr } = await vedette(args, {
      CLICKHOUSE_URL: database.url,
      DATA_DIR: service.dataDir,
    })
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
    expect(stderr).toMatch(line)
    expect(stderr.match(/\n/g)).toHaveLength(1)
  })

  it('a setting that does not fit', async () => {
    const { exitCode, stderr } = await vedette(['keys', 'list'], { PORT: 'x' })
    expect({ exitCode, stderr }).toEqual({
      exitCode: 2,
      stderr: 'vedette: PORT is "x"; allowed is a whole number from 0 to 65535\n',
    })
  })
})

describe('a failure is one line on stderr and exit code 1', () => {
  it('for a key that is not there', async () => {
    expect(await keys('revoke', 'key_none')).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: 'vedette: there is no API key "key_none"\n',
    })
  })

  it('for a ClickHouse that is away: no empty list', async () => {
    const away = { CLICKHOUSE_URL: 'http://user:hunter2@127.0.0.1:1/vedette', DATA_DIR: service.dataDir }
    const { exitCode, stdout, stderr } = await vedette(['keys', 'list'], away)
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' })
    expect(stderr).toMatch(/^vedette: .*; vedette doctor looks at each part\n$/)
    expect(stderr).not.toContain('hunter2')
  })
})

it('prints the version, and help to stdout with exit code 0 when asked for', async () => {
  const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'))
  expect(await vedette(['--version'], {})).toEqual({ exitCode: 0, stdout: `${version}\n`, stderr: '' })
  const help = await vedette(['keys', 'create', '--help'], {})
  expect(help).toMatchObject({ exitCode: 0, stderr: '' })
  expect(help.stdout).toContain('Usage: vedette keys create [options] <name>')
  expect((await vedette(['keys'], {})).exitCode).toBe(2)
})

it('works beside a service on the embedded engine', async () => {
  const DATA_DIR = await temporaryFolder()
  const environment = { DATA_DIR, PORT: '0', LOG_LEVEL: 'error' }
  const serve = spawnVedette(['serve'], environment)
  const ended = new Promise((resolve) => serve.once('close', resolve))
  try {
    const url = async () => JSON.parse(await readFile(join(DATA_DIR, 'service.json'), 'utf8')).url as string
    await expect.poll(() => url().catch(() => undefined), { timeout: 25_000 }).toBeDefined()
    const made = await vedette(['keys', 'create', 'shop', '-s', 'COLLECT', '--json'], { DATA_DIR })
    expect(made).toMatchObject({ exitCode: 0, stderr: '' })
    const { id, secret } = JSON.parse(made.stdout)
    const address = await url()
    await expect.poll(() => collects(address, secret), { timeout: 2_000 }).toBe(202)
    expect((await vedette(['keys', 'revoke', id], { DATA_DIR })).exitCode).toBe(0)
    await expect.poll(() => collects(address, secret), { timeout: 2_000 }).toBe(401)
  } finally {
    serve.kill('SIGTERM')
    await ended
    await rm(DATA_DIR, { recursive: true, force: true })
  }
}, 60_000)
