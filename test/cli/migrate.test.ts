import { rm } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, it } from 'vitest'

import { raw } from '../../src/clickhouse/index.ts'
import { temporaryFolder } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { type Outcome, vedette } from '../support/command.ts'
import { freePort } from '../support/free-port.ts'

const database = testDatabase({ migrated: false })
let folder = ''
beforeAll(async () => {
  folder = await temporaryFolder()
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const migrate = (args: readonly string[] = [], env: Record<string, string> = {}): Promise<Outcome> =>
  vedette(['migrate', ...args], { DATA_DIR: join(folder, 'data'), CLICKHOUSE_URL: database.url, ...env })

it('makes the tables; a second time there is nothing to do', async () => {
  const first = await migrate()
  expect(first).toMatchObject({ exitCode: 0, stderr: '' })
  expect(first.stdout).toMatch(/^0001_request_logs\.sql applied$/m)
  expect(await migrate()).toEqual({ exitCode: 0, stdout: 'nothing to do\n', stderr: '' })
  expect(JSON.parse((await migrate(['--json'])).stdout)).toEqual({
    applied: [],
    retentionDays: 30,
    retentionChanged: false,
  })
})

it('sets how long request logs are kept, once', async () => {
  const days = { RETENTION_DAYS: '7' }
  expect((await migrate([], days)).stdout).toBe('request logs are now kept for 7 days\n')
  expect((await migrate([], days)).stdout).toBe('nothing to do\n')
  const { rows } = await database.clickhouse.query<{ table: string }>(
    raw(`SELECT engine_full AS table FROM system.tables WHERE database = currentDatabase() AND name = 'request_logs'`),
  )
  expect(rows[0]!.table).toContain('TTL ingested_at + toIntervalDay(7)')
})

it('stops at a file that was changed after it had been applied, and says which', async () => {
  await database.clickhouse.command(
    raw(
      `ALTER TABLE schema_migrations UPDATE checksum = 'another' WHERE name = '0001_request_logs.sql' SETTINGS mutations_sync = 2`,
    ),
  )
  const { exitCode, stdout, stderr } = await migrate()
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' })
  expect(stderr).toMatch(/^vedette: .*0001_request_logs\.sql.*\n$/)
})

it('says in one line where to look when ClickHouse is away', async () => {
  const { exitCode, stderr } = await migrate([], { CLICKHOUSE_URL: `http://127.0.0.1:${await freePort()}/vedette` })
  expect(exitCode).toBe(1)
  expect(stderr).toMatch(/^vedette: ClickHouse does not answer: .+; vedette doctor looks at each part\n$/)
})
