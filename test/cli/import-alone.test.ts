import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, readlink, realpath, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, it } from 'vitest'

import { createClickHouse, raw } from '../../src/clickhouse/index.ts'
import { temporaryFolder } from '../support/app.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'
import { vedette } from '../support/command.ts'
import { expectStored, logLines, textOf } from './import-support.ts'

const database = testDatabase()
const APACHE = fileURLToPath(new URL('../../../shared/data/access-logs/apache-combined.log', import.meta.url))
const hasApache = existsSync(APACHE)
let folder = ''
beforeAll(async () => {
  folder = await realpath(await temporaryFolder())
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Processes that have a file open below a folder. */
const processesOn = async (path: string): Promise<string[]> => {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async (pid) => {
      const fds = await readdir(`/proc/${pid}/fd`).catch(() => [])
      const files = await Promise.all(fds.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')))
      return files.some((file) => file.startsWith(`${path}/`)) ? [pid] : []
    }),
  )
  return found.flat()
}

it('without a running service works by itself on the embedded engine and leaves nothing running', async () => {
  const dataDir = join(folder, 'alone')
  const lines = logLines(5000)
  const path = join(folder, 'alone.log')
  await writeFile(path, textOf(lines))
  const running = vedette(['import', path, '--service', 'alone'], { DATA_DIR: dataDir })
  // The command and its engine.
  await expect.poll(() => processesOn(dataDir), { interval: 20, timeout: 20_000 }).toHaveLength(2)
  const first = await running
  expect(first).toMatchObject({ exitCode: 0, stderr: '', stdout: expect.stringContaining('5,000 rows taken') })
  expect(await processesOn(dataDir)).toEqual([])
  for (const name of ['service.json', 'engine.json']) expect(existsSync(join(dataDir, name))).toBe(false)
  const again = await vedette(['import', path, '--service', 'alone'], { DATA_DIR: dataDir })
  expect(again).toMatchObject({ exitCode: 0, stdout: expect.stringContaining(': 0 rows taken') })

  const clickhouse = await createClickHouse({ dataDir, log: silent })
  try {
    await expectStored(clickhouse, 'alone', lines)
  } finally {
    await clickhouse.close()
  }
})

/** The 20 most frequent of what an awk program prints, as `[value, count]`; equal counts in the order of their bytes. */
const byAwk = (program: string): [string, number][] => {
  const script = `awk '${program}' "$1" | LC_ALL=C sort | uniq -c | LC_ALL=C sort -k1,1nr -k2 | head -20`
  const { stdout, stderr } = spawnSync('sh', ['-c', script, 'sh', APACHE], { encoding: 'utf8' })
  expect(stderr).toBe('')
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [, times, value] = /^ *(\d+) (.*)$/.exec(line)!
      return [value!, Number(times)]
    })
}

if (!hasApache) console.log(`stands aside: the counts of a real access log, since ${APACHE} is not there`)

it.skipIf(!hasApache)('a real Apache log: counts equal to those of awk, and age counts from arrival', async () => {
  const env = { DATA_DIR: join(folder, 'apache'), CLICKHOUSE_URL: database.url }
  const outcome = await vedette(['import', APACHE, '--service', 'apache', '--json'], env)
  expect(JSON.parse(outcome.stdout)).toMatchObject({ accepted: 10_000, rejected: 0, leftBytes: 0 })

  const { clickhouse } = database
  const byClickHouse = async (value: string): Promise<[string, number][]> => {
    const { rows } = await clickhouse.query<{ value: string; times: number }>(
      raw(
        `SELECT ${value} AS value, count() AS times FROM request_logs GROUP BY value ORDER BY times DESC, value LIMIT 20`,
      ),
    )
    return rows.map((row) => [row.value, row.times])
  }
  const expectEqualCounts = async (): Promise<void> => {
    expect(await byClickHouse('toString(status_code)')).toEqual(byAwk('{ print $9 }'))
    expect(await byClickHouse('method')).toEqual(byAwk('{ print substr($6, 2) }'))
    expect(await byClickHouse('path')).toEqual(byAwk('{ path = $7; sub(/[?].*/, "", path); print path }'))
    expect(await byClickHouse(`replaceOne(toString(ip), '::ffff:', '')`)).toEqual(byAwk('{ print $1 }'))
  }
  await expectEqualCounts()

  // Its lines are of 2015; ClickHouse removes by the time of arrival, and OPTIMIZE FINAL applies what is due.
  const { rows } = await clickhouse.query<{ table: string }>(
    raw(`SELECT engine_full AS table FROM system.tables WHERE database = currentDatabase() AND name = 'request_logs'`),
  )
  expect(rows[0]!.table).toMatch(/ TTL ingested_at \+ toIntervalDay\(30\) /)
  await clickhouse.command(raw('OPTIMIZE TABLE request_logs FINAL'))
  await expectEqualCounts()
  const again = await vedette(['import', APACHE, '--service', 'apache', '--json'], env)
  expect(JSON.parse(again.stdout)).toMatchObject({ accepted: 0, rejected: 0 })
})
