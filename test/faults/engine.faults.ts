import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'

import { afterEach, expect, test } from 'vitest'

import { type ClickHouse, type ClickHouseOptions, createClickHouse, raw, sql } from '../../src/clickhouse/index.ts'
import { type EngineAddress, openEmbedded } from '../../src/clickhouse/embedded/index.ts'
import { silent } from '../support/clickhouse.ts'

// Each test has a data folder and an engine of its own; the engine is a real process.
const cleanUps: (() => Promise<unknown> | void)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

const makeFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'vedette-engine-'))
  cleanUps.push(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const open = async (dataDir: string, role: ClickHouseOptions['role'] = 'owner'): Promise<ClickHouse> => {
  const clickhouse = await createClickHouse({ dataDir, role, log: silent })
  cleanUps.push(clickhouse.close)
  return clickhouse
}

const engineOf = (dataDir: string): EngineAddress =>
  JSON.parse(readFileSync(join(dataDir, 'engine.json'), 'utf8')) as EngineAddress

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    // A zombie that nobody has collected yet runs no more.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** Another process of ours that owns the engine of a folder until it is killed. */
const otherOwner = async (dataDir: string): Promise<ChildProcess> => {
  const owner = fork(new URL('../support/engine-owner.ts', import.meta.url), [dataDir], { execArgv: [] })
  cleanUps.push(() => void owner.kill('SIGKILL'))
  await once(owner, 'message')
  return owner
}

const one = async (clickhouse: ClickHouse, text: string): Promise<unknown> => {
  const { rows } = await clickhouse.query<{ value: unknown }>(raw(text))
  return rows[0]?.value
}

const eventually = async (clickhouse: ClickHouse): Promise<void> => {
  await expect
    .poll(
      () =>
        clickhouse.ping().then(
          () => 'answers',
          () => 'away',
        ),
      { timeout: 10_000 },
    )
    .toBe('answers')
}

test('a killed engine comes back on the same port, and the client with it', async () => {
  const folder = makeFolder()
  const clickhouse = await open(folder)
  await clickhouse.command(sql`CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n`)
  await clickhouse.command(sql`INSERT INTO t VALUES (1), (2)`)
  for (let round = 0; round < 3; round += 1) {
    const before = engineOf(folder)
    const inFlight = clickhouse.query(sql`SELECT sleepEachRow(1) FROM numbers(20) SETTINGS max_block_size = 1`)
    await expect.poll(() => one(clickhouse, `SELECT count() AS value FROM system.processes`)).toBe(2)
    process.kill(before.pid, 'SIGKILL')
    await expect(inFlight).rejects.toMatchObject({ name: 'ClickHouseError', kind: 'unavailable' })
    await eventually(clickhouse)
    expect(await one(clickhouse, 'SELECT count() AS value FROM t')).toBe(2)
    const after = engineOf(folder)
    expect(after.address).toBe(before.address)
    expect(after.pid).not.toBe(before.pid)
  }
})

test('a batch sent again after the engine was killed is stored once', async () => {
  const folder = makeFolder()
  const clickhouse = await open(folder)
  await clickhouse.command(sql`
    CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100`)
  const insert = () =>
    clickhouse.insert({ table: 't', columns: ['n'], rows: Buffer.from('[1]\n[2]\n'), deduplicationToken: 'a batch' })
  await insert()
  process.kill(engineOf(folder).pid, 'SIGKILL')
  await expect
    .poll(
      () =>
        insert().then(
          () => 'stored',
          (error: Error) => error.message,
        ),
      { timeout: 10_000 },
    )
    .toBe('stored')
  await insert()
  expect(await one(clickhouse, 'SELECT count() AS value FROM t')).toBe(2)
})

test('a frozen engine is unavailable, not a slow statement, and answers when it thaws', async () => {
  const folder = makeFolder()
  const clickhouse = await open(folder)
  const { pid } = engineOf(folder)
  process.kill(pid, 'SIGSTOP')
  try {
    await expect(clickhouse.ping(AbortSignal.timeout(300))).rejects.toMatchObject({ kind: 'cancelled' })
    await expect(clickhouse.query(sql`SELECT 1`, { maxExecutionSeconds: 0.3 })).rejects.toMatchObject({
      kind: 'unavailable',
    })
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  await eventually(clickhouse)
})

test('Ctrl-C and systemd signal the whole group: the engine lets it pass', async () => {
  const folder = makeFolder()
  const clickhouse = await open(folder)
  const { pid } = engineOf(folder)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(pid, signal)
  expect(await one(clickhouse, 'SELECT 1 AS value')).toBe(1)
  expect(engineOf(folder).pid).toBe(pid)
})

test('closing stops the engine, takes engine.json away, and gives the folder back', async () => {
  const folder = makeFolder()
  const clickhouse = await createClickHouse({ dataDir: folder, log: silent })
  const { pid } = engineOf(folder)
  await clickhouse.close()
  expect(isAlive(pid)).toBe(false)
  expect(existsSync(join(folder, 'engine.json'))).toBe(false)
  await open(folder)
})

test('closing lets a running insert finish and cuts a long query short', async () => {
  const folder = makeFolder()
  const clickhouse = await createClickHouse({ dataDir: folder, log: silent })
  const { pid, address, user, password } = engineOf(folder)
  // Through a client of their own, since closing ours hangs up on what it has under way.
  const other = await createClickHouse({
    url: `http://${user}:${password}@${new URL(address).host}/vedette`,
    dataDir: folder,
    log: silent,
  })
  cleanUps.push(other.close)
  await other.command(sql`CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n`)
  const slow = other.command(
    sql`INSERT INTO t SELECT number + sleepEachRow(0.2) FROM numbers(5) SETTINGS max_block_size = 1`,
  )
  const endless = expect(
    other.query(sql`SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1`),
  ).rejects.toMatchObject({ name: 'ClickHouseError' })
  await expect.poll(() => one(other, `SELECT count() AS value FROM system.processes`)).toBe(3)
  const closed = clickhouse.close()
  await slow
  await endless
  await closed
  expect(isAlive(pid)).toBe(false)
  expect(await one(await open(folder), 'SELECT count() AS value FROM t')).toBe(5)
})

test('a killed owner leaves no engine behind, and the next one starts', async () => {
  const folder = makeFolder()
  const owner = await otherOwner(folder)
  const { pid, ownerPid } = engineOf(folder)
  expect(ownerPid).toBe(owner.pid)
  owner.kill('SIGKILL')
  await expect.poll(() => isAlive(pid), { timeout: 5000 }).toBe(false)
  const clickhouse = await open(folder)
  expect(await one(clickhouse, 'SELECT 1 AS value')).toBe(1)
})

test('a second owner waits, and then says who holds the folder', async () => {
  const folder = makeFolder()
  await open(folder)
  const began = performance.now()
  await expect(openEmbedded({ dataDir: folder, role: 'owner', log: silent, waitMs: 500 })).rejects.toThrow(
    `The data folder ${folder} is in use by process ${process.pid}; stop that one first, or set DATA_DIR to another folder`,
  )
  expect(performance.now() - began).toBeGreaterThan(500)
})

test('a second owner gets the folder when the first one goes in time', async () => {
  const folder = makeFolder()
  const first = await createClickHouse({ dataDir: folder, log: silent })
  const second = open(folder)
  await first.close()
  expect(await one(await second, 'SELECT 1 AS value')).toBe(1)
})

test('a command beside a running service uses its engine, by whatever path it names the folder', async () => {
  const folder = makeFolder()
  const link = join(makeFolder(), 'link')
  symlinkSync(folder, link)
  await otherOwner(folder)
  const attached = await open(link, 'attach')
  expect(await one(attached, 'SELECT 1 AS value')).toBe(1)
  const { pid } = engineOf(folder)
  await attached.close()
  expect(isAlive(pid)).toBe(true)
})

test('without a running service a command starts an engine of its own, past the leavings of a killed one', async () => {
  const folder = makeFolder()
  const owner = await otherOwner(folder)
  owner.kill('SIGKILL')
  await once(owner, 'exit')
  expect(existsSync(join(folder, 'engine.json'))).toBe(true)
  const clickhouse = await open(folder, 'attach')
  expect(await one(clickhouse, 'SELECT 1 AS value')).toBe(1)
  expect(engineOf(folder).ownerPid).toBe(process.pid)
})

test('memory is limited for the engine as a whole and for one statement, on every connection', async () => {
  const clickhouse = await open(makeFolder())
  const whole = Number(
    await one(clickhouse, `SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'`),
  )
  expect(whole).toBeLessThanOrEqual(totalmem() / 2)
  for (let time = 0; time < 2; time += 1) {
    expect(await one(clickhouse, `SELECT getSetting('max_memory_usage') AS value`)).toBe(Math.floor(whole * 0.6))
  }
})

test('the password is in engine.json, for its owner only, and on no command line', async () => {
  const folder = makeFolder()
  await open(folder)
  const { pid, password } = engineOf(folder)
  expect(statSync(join(folder, 'engine.json')).mode & 0o777).toBe(0o600)
  expect(password).toMatch(/^[\w-]{32}$/)
  expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).not.toContain(password)
  expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).not.toContain(password)
})

test('a folder that cannot be used is told of with the reason', async () => {
  const folder = makeFolder()
  mkdirSync(join(folder, 'clickhouse'), { recursive: true })
  mkdirSync(join(folder, 'clickhouse', 'status'))
  await expect(open(folder)).rejects.toThrow(/The embedded ClickHouse engine did not start: .+/)
})
