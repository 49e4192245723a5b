import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { MIGRATIONS, raw } from '../../src/clickhouse/index.ts'
import { splitStatements } from '../../src/clickhouse/split.ts'
import { testDatabase } from '../support/clickhouse.ts'

const server = (path: string): Promise<string> =>
  readFile(new URL(`../../clickhouse/server/${path}`, import.meta.url), 'utf8')

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vedette-rights-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** What the engine answers to each, asked by somebody with that user's rights; `refused: …` where it does not. */
const ask = async (user: 'vedette' | 'bi' | 'everything', statements: readonly string[]): Promise<string[]> => {
  const child = spawn(process.execPath, [fileURLToPath(new URL('rights.ts', import.meta.url)), user, folder], {
    env: { ...process.env, BI_ROWS: "service = 'shop'" },
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  child.stdin.end(JSON.stringify(statements))
  return (await json(child.stdout)) as string[]
}

const migrations = async (): Promise<string[]> => {
  const statements: string[] = []
  for (const name of (await readdir(MIGRATIONS)).toSorted())
    if (name.endsWith('.sql')) statements.push(...splitStatements(await readFile(join(MIGRATIONS, name), 'utf8')))
  return statements
}

const row = (service: string, ip: string) =>
  `INSERT INTO request_logs (timestamp, ingested_at, batch, row, service, ip) VALUES (now(), now(), 1, 1, '${service}', '${ip}')`

describe('the users of clickhouse/server', () => {
  it('vedette may do what Vedette does to its database, and nothing beside it', async () => {
    expect(await ask('everything', ['CREATE DATABASE vedette ENGINE = Atomic'])).toEqual([''])
    const allowed = [
      'USE vedette',
      ...(await migrations()),
      row('shop', '203.0.113.7'),
      row('auth', '203.0.113.8'),
      'ALTER TABLE request_logs MODIFY TTL ingested_at + INTERVAL 60 DAY',
      'CREATE TABLE IF NOT EXISTS request_logs_aside AS request_logs',
      'ALTER TABLE request_logs_aside REMOVE TTL',
      'ALTER TABLE request_logs_aside ATTACH PARTITION ALL FROM request_logs',
      "ALTER TABLE request_logs_aside MOVE PARTITION ID '19700101' TO TABLE request_logs",
      "ALTER TABLE request_logs_aside DROP PARTITION ID '19700101'",
      'TRUNCATE TABLE request_logs_aside SYNC',
      'DROP TABLE IF EXISTS request_logs_aside SYNC',
      "ALTER TABLE request_logs DELETE WHERE ip = '203.0.113.9'",
      "KILL QUERY WHERE query_id = 'nobody' ASYNC",
      ...['parts', 'tables', 'columns', 'disks', 'mutations'].map((table) => `SELECT 1 FROM system.${table} LIMIT 0`),
    ]
    expect((await ask('vedette', allowed)).filter((answer) => answer.startsWith('refused'))).toEqual([])

    const refused = [
      'CREATE DATABASE other',
      'DROP DATABASE vedette',
      'CREATE TABLE default.t (a UInt8) ENGINE = MergeTree ORDER BY a',
      'SELECT name FROM system.users',
      'SELECT query FROM system.query_log',
      "SELECT * FROM file('/etc/passwd', 'LineAsString')",
      "SELECT * FROM url('http://127.0.0.1/', 'LineAsString')",
      'CREATE USER somebody',
      'GRANT SELECT ON *.* TO default',
    ]
    expect((await ask('vedette', refused)).map((answer) => answer.slice(0, 8))).toEqual(refused.map(() => 'refused:'))
  })

  it('bi reads its services’ requests without what names a person, and changes nothing', async () => {
    const [shop, ...rest] = await ask('bi', [
      'SELECT groupArray(service) FROM vedette.request_logs',
      'SELECT sum(requests) FROM vedette.service_hours',
      'SELECT count() FROM vedette.route_days',
      'SELECT ip FROM vedette.request_logs',
      'SELECT * FROM vedette.request_logs',
      'SELECT body FROM vedette.store_versions',
      row('shop', '203.0.113.7'),
      'DROP TABLE vedette.request_logs',
      'SELECT 1 SETTINGS max_execution_time = 600',
      'SELECT 1 SETTINGS max_execution_time = 10',
    ])
    expect(shop).toBe("['shop']")
    expect(rest.map((answer) => (answer.startsWith('refused: ') ? 'refused' : answer))).toEqual([
      '0',
      '0',
      ...Array.from({ length: 6 }, () => 'refused'),
      '1',
    ])
  })
})

describe('the settings of clickhouse/server', () => {
  const database = testDatabase({ migrated: false })
  const names = async (table: string): Promise<string[]> => {
    const { rows } = await database.clickhouse.query<{ name: string }>(raw(`SELECT name FROM system.${table}`))
    return rows.map(({ name }) => name)
  }

  it('are known to the engine, so that none is a slip of the pen', async () => {
    const config = (await server('config.d/vedette.xml')).replaceAll(/<!--.*?-->/gs, '')
    const serverSettings = [...config.matchAll(/^ {4}<(\w+)>[^<]+<\/\1>$/gm)].map(([, name]) => name!)
    expect(serverSettings).toHaveLength(4)
    expect(await names('server_settings')).toEqual(expect.arrayContaining(serverSettings))
    const known = await names('settings')
    for (const file of ['vedette', 'bi']) {
      const [profile] = /<profiles>.*<\/profiles>/s.exec(await server(`users.d/${file}.xml`))!
      const settings = [...profile.matchAll(/<(\w+)>[^<]+<\/\1>/g)]
        .map(([, name]) => name!)
        .filter((name) => !['max', 'min'].includes(name))
      expect(known).toEqual(expect.arrayContaining(settings))
    }
  })

  it('give every log that the server keeps of itself an end', async () => {
    const config = await server('config.d/vedette.xml')
    const kept = [...config.matchAll(/<(\w+_log) replace="1">(.*?)<\/\1>/gs)]
    expect(kept.map(([, name]) => name)).toEqual(['query_log', 'part_log', 'error_log'])
    for (const [, , body] of kept) expect(body).toMatch(/<ttl>event_date \+ INTERVAL \d+ DAY DELETE<\/ttl>/)
  })
})
