import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, it } from 'vitest'

import { raw } from '../../src/clickhouse/index.ts'
import { REQUEST_LOGS } from '../../src/collector/index.ts'
import { temporaryFolder, testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { vedette } from '../support/command.ts'
import { maxmindCity, writeMmdb } from '../support/mmdb.ts'
import { freePort } from '../support/free-port.ts'

interface Finding {
  part: string
  state: 'ok' | 'warning' | 'failed'
  what: string
  remedy: string
}

const database = testDatabase()
const service = testApp(database)
let folder = ''
let cityDb = ''
beforeAll(async () => {
  folder = await temporaryFolder()
  cityDb = join(folder, 'city.mmdb')
  const networks = { '192.0.2.0/24': maxmindCity('NL', 'Utrecht', 52, 5) }
  await writeFile(cityDb, writeMmdb({ type: 'GeoLite2-City', ipVersion: 6, networks, buildDate: new Date() }))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const doctor = async (env: Record<string, string> = {}) => {
  const { exitCode, stdout, stderr } = await vedette(['doctor', '--json'], {
    DATA_DIR: service.dataDir,
    CLICKHOUSE_URL: database.url,
    GEOIP_CITY_DB: cityDb,
    ...env,
  })
  expect(stderr).toBe('')
  const findings = JSON.parse(stdout) as Finding[]
  const of = (part: string): Finding | undefined => findings.find((finding) => finding.part === part)
  return { exitCode, findings, of }
}

it('says of a healthy service that each part is well, and exits with 0', async () => {
  const { exitCode, findings, of } = await doctor()
  expect(exitCode).toBe(0)
  expect(findings.map(({ part }) => part)).toEqual([
    'service',
    'disk',
    'clickhouse',
    'tables',
    'redis',
    'geo city',
    'quarantine',
    'jobs',
    'backup',
  ])
  // How full this disk is, is not for the test to say.
  expect(findings.filter(({ part, state }) => part !== 'disk' && state !== 'ok')).toEqual([])
  expect(of('service')!.what).toBe(`ready at ${service.url}`)
  expect(of('clickhouse')!.what).toMatch(/^127\.0\.0\.1:\d+, version \d+\.\d+/)
  expect(of('tables')!.what).toMatch(/^\d+ migrations applied$/)
  expect(of('geo city')!.what).toBe('GeoLite2-City, 0 days old')
})

it('prints a line for each part, and an arrow with what to do', async () => {
  const { exitCode, stdout } = await vedette(['doctor'], {
    DATA_DIR: join(folder, 'none'),
    CLICKHOUSE_URL: database.url,
  })
  expect(exitCode).toBe(0)
  expect(stdout).toMatch(/^warning {2}service {5}none runs on .+\n +→ start it with: vedette serve\n/)
  expect(stdout).toMatch(/^ok {7}quarantine {2}empty$/m)
})

it('names a ClickHouse that is away, and what happens to the rows meanwhile', async () => {
  const port = await freePort()
  const { exitCode, of } = await doctor({ CLICKHOUSE_URL: `http://someone:s3cret@127.0.0.1:${port}/vedette` })
  expect(exitCode).toBe(1)
  expect(of('clickhouse')).toEqual({
    part: 'clickhouse',
    state: 'failed',
    what: expect.stringMatching(new RegExp(`^127\\.0\\.0\\.1:${port}: ClickHouse does not answer: .*ECONNREFUSED`)),
    remedy: 'see that the server runs and that CLICKHOUSE_URL is right; rows wait in the spool meanwhile',
  })
  expect(JSON.stringify(of('clickhouse'))).not.toContain('s3cret')
})

it('names a Redis that is away', async () => {
  const port = await freePort()
  const { exitCode, of } = await doctor({ REDIS_URL: `redis://127.0.0.1:${port}` })
  expect(exitCode).toBe(1)
  expect(of('redis')).toMatchObject({
    state: 'failed',
    what: expect.stringContaining(`127.0.0.1:${port}`),
    remedy: expect.stringContaining('REDIS_URL'),
  })
})

it('names a broken geo file, and a missing one', async () => {
  const broken = join(folder, 'broken.mmdb')
  await writeFile(broken, 'this is no database')
  for (const path of [broken, join(folder, 'missing.mmdb')]) {
    const { exitCode, of } = await doctor({ GEOIP_CITY_DB: path })
    expect(exitCode).toBe(1)
    expect(of('geo city')).toMatchObject({
      state: 'failed',
      what: expect.stringContaining(path),
      remedy: 'mend it or set GEOIP_CITY_DB',
    })
  }
})

it('names what is in quarantine with its reason, until it was replayed', async () => {
  const { spool, clickhouse } = service.app
  const meta = { batch: '1', rows: 1, partitions: [0] }
  await spool.append(REQUEST_LOGS.name, { meta, rows: [Buffer.from('["no row"]\n')] })
  await expect.poll(() => spool.state().obstacle, { timeout: 10_000 }).toBeDefined()
  expect((await service.post([{ ip: '192.0.2.1', method: 'GET', path: '/', status: 200 }])).status).toBe(202)
  await expect.poll(() => spool.quarantined(), { timeout: 10_000 }).toHaveLength(1)

  const { exitCode, of } = await doctor()
  expect(exitCode).toBe(1)
  const [entry] = await spool.quarantined()
  expect(of('quarantine')).toEqual({
    part: 'quarantine',
    state: 'failed',
    what: `1 rows of request_logs in ${entry!.id}: ${entry!.reason}`,
    remedy: `mend the reason, then: vedette spool replay ${entry!.id}`,
  })
  const env = { DATA_DIR: service.dataDir, CLICKHOUSE_URL: database.url }
  expect((await vedette(['spool', 'quarantine'], env)).stdout).toContain(entry!.id)
  const replayed = await vedette(['spool', 'replay', entry!.id], env)
  expect(replayed).toEqual({ exitCode: 0, stdout: `${entry!.id} is on its way again\n`, stderr: '' })
  expect(await vedette(['spool', 'replay', 'no-such'], env)).toMatchObject({
    exitCode: 1,
    stderr: expect.stringMatching(/^vedette: no-such: No segment "no-such" is in quarantine; .+\n$/),
  })
  expect(await clickhouse.query(raw('SELECT count() AS rows FROM request_logs'))).toMatchObject({ rows: [{ rows: 1 }] })
})

it('names tables that are missing', async () => {
  await database.clickhouse.command(raw('TRUNCATE TABLE schema_migrations'))
  const { exitCode, of } = await doctor()
  expect(exitCode).toBe(0)
  expect(of('tables')).toMatchObject({ state: 'warning', remedy: 'run: vedette migrate' })
})
