import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { Registry } from 'prom-client'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'

import {
  backUp,
  BackupError,
  createBackupJob,
  type Part,
  readManifest,
  restore,
  scheduledIn,
} from '../../src/backup/index.ts'
import { raw, sql } from '../../src/clickhouse/index.ts'
import { createRedis, type Redis } from '../../src/redis/index.ts'
import { createApiKeys, createVersions } from '../../src/store/index.ts'
import { temporaryFolder } from '../support/app.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'
import { insertDecisions } from '../support/decisions.ts'
import { insertLogs } from '../support/request-logs.ts'

const store = testDatabase()
let home = ''
let dataDir = ''
let redis: Redis
let folders = 0

beforeAll(async () => {
  home = await temporaryFolder()
  dataDir = join(home, 'data')
  redis = createRedis([], { log: silent })
  await redis.start()
})
afterAll(async () => {
  await redis.stop()
  await rm(home, { recursive: true, force: true })
})
beforeEach(() => store.empty())

const here = () => ({ clickhouse: store.clickhouse, redis, dataDir, log: silent })
const newFolder = (): string => join(home, `backup-${folders++}`)

const TABLES = ['store_versions', 'request_logs', 'decisions', 'job_runs', 'findings_by_run', 'service_sketches_by_run']

/** Every row of a table as text, in an order of its own. */
const textOf = async (table: string): Promise<string[]> => {
  // Of sketches what they answer: their bytes have no order of their own.
  const columns =
    table === 'service_sketches_by_run'
      ? `* EXCEPT (duration_sketch, ip_sketch, path_sketch, user_agent_sketch),
        arrayReduce('quantilesDDMerge(0.005, 0.1, 0.5, 0.99)', [duration_sketch]),
        arrayReduce('uniqCombinedMerge', [path_sketch]), arrayReduce('uniqCombinedMerge', [ip_sketch])`
      : '*'
  const { rows } = await store.clickhouse.query<{ row: string }>(
    raw(`SELECT hex(formatRowNoNewline('RowBinary', ${columns})) AS row FROM ${table} ORDER BY row`),
  )
  return rows.map(({ row }) => row)
}
const everything = async (): Promise<Record<string, string[]>> =>
  Object.fromEntries(await Promise.all(TABLES.map(async (table) => [table, await textOf(table)] as const)))

const versionsOf = <T>(kind: string) =>
  createVersions<T>({ kind, clickhouse: store.clickhouse, redis, log: silent, pollMs: 60_000 })

const write = async (kind: string, id: string, value: unknown): Promise<void> => {
  const versions = versionsOf(kind)
  await versions.start()
  try {
    await versions.write(id, value, { by: 'test' })
  } finally {
    await versions.stop()
  }
}

/** What a process that starts now knows. */
const read = async (kind: string) => {
  const versions = versionsOf(kind)
  await versions.start()
  await versions.stop()
  return versions.list().map(({ id, version, value }) => [id, version, value])
}

/** Odd values in every table: control characters, what is no number, absent values, sketches. */
const fill = async (): Promise<void> => {
  await write('verdict', '192.0.2.1', { note: 'a "quoted"\n line\t' })
  await write('rate_limit_policy', 'p1', { limit: 5 })
  await write('block_list_entry', 'b1', { cidr: '192.0.2.0/24' })
  await write('report_subscription', 's1', { name: 'daily' })
  await insertLogs(
    store.clickhouse,
    [1, 2, 3].map((row) => ({ timestamp: new Date(Date.UTC(2026, row)), ip: `198.51.100.${row}`, batch: 1, row })),
  )
  await insertDecisions(store.clickhouse, [
    {
      timestamp: new Date('2026-11-20T10:00:00Z'),
      outcome: 'limited',
      ip: '192.0.2.1',
      counted: '192.0.2.1',
      batch: 1,
    },
  ])
  await store.clickhouse.command(
    raw(
      `INSERT INTO job_runs (job, window_from, run_id, status, finished_at, recorded_at) VALUES ('hourly', '2026-11-20 10:00:00', 18446744073709551615, 'succeeded', now64(3), now64(6))`,
    ),
  )
  await store.clickhouse.command(
    raw(
      `INSERT INTO findings_by_run (hour, run_id, address, detector, severity, mode, observed, threshold, score, services, target) VALUES ('2026-11-20 10:00:00', 18446744073709551615, '::ffff:192.0.2.1', 'scan', 'HIGH', 'FLAG', nan, inf, 0.1, ['a', 'b'], '/\\r\\n\\x01\\0')`,
    ),
  )
  await store.clickhouse.command(
    raw(
      `INSERT INTO service_sketches_by_run (hour, run_id, service, duration_max, duration_sketch, ip_sketch, path_sketch, user_agent_sketch) SELECT '2026-11-20 10:00:00', 1, 'a', 0.1, quantilesDDState(0.005, 0.5)(toFloat32(number)), uniqCombinedState(toIPv6('::1')), uniqCombinedState(toString(number)), uniqCombinedState(toString(number)) FROM numbers(1000)`,
    ),
  )
}

test('everything that was destroyed comes back as it was, byte for byte, and the secret with it', async () => {
  await fill()
  const keys = createApiKeys({ clickhouse: store.clickhouse, redis, log: silent, dataDir })
  await keys.start()
  const { secret } = await keys.create({ name: 'one', scopes: ['COLLECT'], by: 'test' })
  await keys.stop()
  await writeFile(join(dataDir, 'secret'), 'a secret of thirty-two characters or more\n', { mode: 0o600 })
  const before = await everything()
  expect(Math.min(...Object.values(before).map((rows) => rows.length))).toBeGreaterThan(0)
  const folder = newFolder()
  await mkdir(folder)
  const manifest = await backUp(here(), folder)
  expect(manifest.files.find(({ table }) => table === 'request_logs')).toMatchObject({ part: 'logs', rows: 3 })
  expect((await stat(join(folder, 'keys.jsonl.zst'))).mode & 0o777).toBe(0o600)

  await store.empty()
  await rm(dataDir, { recursive: true })
  await restore(here(), folder)
  expect(await everything()).toEqual(before)
  expect(await readFile(join(dataDir, 'secret'), 'utf8')).toBe('a secret of thirty-two characters or more\n')
  const again = createApiKeys({ clickhouse: store.clickhouse, redis, log: silent, dataDir })
  await again.start()
  expect(again.authenticate(secret)).toMatchObject({ name: 'one' })
  await again.stop()
  // The admin key's clear text stays where it was.
  expect(await readdir(folder)).not.toContain('admin-key')
  const { rows } = await store.clickhouse.query<{ name: string }>(
    sql`SELECT name FROM system.tables WHERE database = currentDatabase() AND match(name, '_(frozen|restoring)$')`,
  )
  expect(rows).toEqual([])
})

test('chosen parts come back alone, and what was written after the back-up can be written again', async () => {
  await write('verdict', 'v', { note: 'one' })
  await write('rate_limit_policy', 'p', { limit: 1 })
  const folder = newFolder()
  await backUp(here(), folder, { only: ['verdicts', 'policies'] })
  await write('verdict', 'v', { note: 'two' })
  await write('verdict', 'later', { note: 'later' })
  await write('rate_limit_policy', 'p', { limit: 2 })
  await write('block_list_entry', 'b', { cidr: '192.0.2.0/24' })
  await restore(here(), folder, { only: ['verdicts'], replace: true })
  expect(await read('verdict')).toEqual([['v', 1, { note: 'one' }]])
  expect(await read('rate_limit_policy')).toEqual([['p', 2, { limit: 2 }]])
  expect(await read('block_list_entry')).toHaveLength(1)
  await write('verdict', 'v', { note: 'another two' })
  expect(await read('verdict')).toEqual([['v', 2, { note: 'another two' }]])
})

test('findings bring roll-ups and the records of runs along, since they count by these', async () => {
  const { files, parts } = await backUp(here(), newFolder(), { only: ['findings'] })
  expect(parts).toEqual(['findings', 'rollups'])
  expect(files.map(({ table }) => table)).toEqual(
    expect.arrayContaining(['job_runs', 'findings_by_run', 'service_hours_by_run']),
  )
})

test('a restore refuses what is no whole back-up, is of another major version, or is damaged, and touches nothing', async () => {
  await fill()
  const folder = newFolder()
  await backUp({ ...here(), version: '1.4.0' }, folder, { only: ['logs', 'verdicts'] })
  const before = await everything()
  const refusal = (options = {}, version = '1.9.0') =>
    restore({ ...here(), version }, folder, { replace: true, ...options }).catch((error: Error) => error)
  expect(await refusal({}, '2.0.0')).toMatchObject({
    name: 'BackupError',
    message: expect.stringContaining('restore it with a version 1'),
  })
  expect(await refusal({ replace: false })).toMatchObject({
    message: expect.stringMatching(/something here already: .*request_logs|verdicts \(1 rows\)/),
  })
  const only: Part[] = ['logs']
  const logs = join(folder, 'request_logs.jsonl.zst')
  const bytes = await readFile(logs)
  bytes[bytes.length >> 1]! ^= 1
  await chmod(logs, 0o600)
  await writeFile(logs, bytes)
  expect(await refusal({ only })).toMatchObject({ message: expect.stringContaining('is damaged') })
  await rm(logs)
  expect(await refusal({ only })).toMatchObject({ message: expect.stringContaining('is missing') })
  await rm(join(folder, 'manifest.json'))
  expect(await refusal()).toMatchObject({ message: expect.stringContaining('holds no manifest.json') })
  expect(await everything()).toEqual(before)
})

test('rows that do not come out as they went in are noticed before anything is replaced', async () => {
  await fill()
  const folder = newFolder()
  const manifest = await backUp(here(), folder, { only: ['logs', 'verdicts'] })
  const before = await everything()
  const files = manifest.files.map((file) => (file.part === 'logs' ? { ...file, checksum: '1' } : file))
  await writeFile(join(folder, 'manifest.json'), JSON.stringify({ ...manifest, files }))
  await expect(restore(here(), folder, { replace: true })).rejects.toThrow(/request_logs_restoring: 3 rows/)
  expect(await everything()).toEqual(before)
})

test('a back-up that fails leaves no folder of its name, and one at a time is at work', async () => {
  await write('verdict', 'v', { note: 'one' })
  const folder = newFolder()
  const cut = new AbortController()
  const first = backUp(here(), folder, { signal: cut.signal }).catch((error: unknown) => error)
  await expect(backUp(here(), newFolder())).rejects.toThrow(/another back-up or restore is at work/)
  await expect.poll(() => readdir(home)).toContain(`${folder.split('/').at(-1)}.unfinished`)
  cut.abort()
  expect(await first).toBeInstanceOf(Error)
  expect((await readdir(home)).filter((name) => folder.endsWith(name.replace('.unfinished', '')))).toEqual([])
  await backUp(here(), folder, { only: ['verdicts'] })
  await expect(backUp(here(), folder)).rejects.toThrow(BackupError)
})

test('rows that came in while it was written are not in it, and those before all are', async () => {
  await insertLogs(store.clickhouse, [{ timestamp: new Date('2026-11-20T10:00:00Z'), ip: '192.0.2.1', batch: 1 }])
  const done = new AbortController()
  const busy = (async () => {
    for (let batch = 2; !done.signal.aborted; batch++)
      await insertLogs(store.clickhouse, [{ timestamp: new Date('2026-11-20T10:00:00Z'), ip: '192.0.2.1', batch }])
    return (await store.clickhouse.query<{ n: number }>(sql`SELECT count() AS n FROM request_logs`)).rows[0]!.n
  })()
  const folder = newFolder()
  const { files } = await backUp(here(), folder, { only: ['logs'] })
  done.abort()
  const rows = files[0]!.rows
  expect(rows).toBeGreaterThanOrEqual(1)
  expect(rows).toBeLessThan(await busy)
  await store.empty()
  await restore(here(), folder)
  expect(await textOf('request_logs')).toHaveLength(rows)
})

test('the job makes one when the schedule has fired since the last, keeps the newest, and removes what was cut off', async () => {
  const registry = new Registry()
  const folder = join(home, 'scheduled')
  const job = (schedule: string, registry = new Registry()) =>
    createBackupJob({ ...here(), registry }, { folder, schedule, keep: 2 })
  const context = { window: { from: new Date(0), to: new Date(0) }, signal: new AbortController().signal }
  await write('verdict', 'v', { note: 'one' })
  const hourly = job('15 * * * *', registry)
  expect(hourly.settleSeconds).toBe(900)
  expect(await registry.metrics()).not.toMatch(/^vedette_backup/m)
  expect(await hourly.run(context)).toEqual({ rowsRead: 1, rowsWritten: 0 })
  const [first] = await scheduledIn(folder)
  expect(await registry.metrics()).toContain(
    `vedette_backup_last_success_timestamp_seconds ${first!.takenAt.getTime() / 1000}`,
  )
  // Next year: nothing is due.
  expect(await job('0 0 1 1 *').run(context)).toEqual({ rowsRead: 0, rowsWritten: 0 })

  const manifest = await readManifest(first!.path)
  const old = async (name: string, takenAt: string): Promise<void> => {
    await mkdir(join(folder, name))
    await writeFile(join(folder, name, 'manifest.json'), JSON.stringify({ ...manifest, takenAt }))
  }
  await rm(first!.path, { recursive: true })
  await old('vedette-2026-01-01T03-00-00Z', '2026-01-01T03:00:00Z')
  await old('vedette-2026-01-02T03-00-00Z', '2026-01-02T03:00:00Z')
  for (const name of ['vedette-2026-01-03T03-00-00Z', 'vedette-2026-01-04T03-00-00Z.unfinished', 'of-somebody-else'])
    await mkdir(join(folder, name))
  await hourly.run(context)
  const left = (await readdir(folder)).sort()
  expect(left).toEqual(['of-somebody-else', 'vedette-2026-01-02T03-00-00Z', expect.stringMatching(/^vedette-20\d\d-/)])
})
