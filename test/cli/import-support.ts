import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, expect } from 'vitest'

import { type ClickHouse, sql } from '../../src/clickhouse/index.ts'
import { temporaryFolder } from '../support/app.ts'
import type { TestDatabase } from '../support/clickhouse.ts'
import { type Outcome, spawnVedette, vedette } from '../support/command.ts'
import { freePort } from '../support/free-port.ts'
import { type ServiceProcess, startService } from '../support/process.ts'

/** `count` lines of the combined format from the `from`th on. Every fifth line is equal to the one before it. */
export const logLines = (count: number, from = 0, site = 'a'): string[] =>
  Array.from({ length: count }, (_, place) => {
    const n = from + place
    const unique = n % 5 === 4 ? n - 1 : n
    const time = new Date(Date.UTC(2024, 4, 17, 10) + unique * 1000).toISOString()
    const clock = `${time.slice(8, 10)}/May/${time.slice(0, 4)}:${time.slice(11, 19)} +0000`
    const query = unique % 3 === 0 ? `?n=${unique}` : ''
    const bytes = unique % 7 === 0 ? '-' : String(unique)
    return `10.${unique % 200}.${unique % 13}.1 - - [${clock}] "GET /${site}/${unique}${query} HTTP/1.1" ${200 + (unique % 5)} ${bytes} "-" "Agent/${unique % 11}"`
  })

export const textOf = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('')

const countEach = (values: readonly string[]): [string, number][] => {
  const counts = new Map<string, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return [...counts].toSorted(([one], [other]) => (one < other ? -1 : 1))
}

/** The rows of a service, as the lines they came from, each with how often it is there. */
const storedLines = async (clickhouse: ClickHouse, service: string): Promise<[string, number][]> => {
  const { rows } = await clickhouse.query<{ line: string; times: number }>(sql`
    SELECT
      concat(
        replaceOne(toString(ip), '::ffff:', ''), ' - - [', formatDateTime(timestamp, '%d/%b/%Y:%H:%i:%S', 'UTC'), ' +0000] "',
        method, ' ', path, if(query = '', '', concat('?', query)), ' ', protocol, '" ', toString(status_code), ' ',
        ifNull(toString(response_bytes), '-'), ' "', if(referer = '', '-', referer), '" "', user_agent, '"'
      ) AS line,
      count() AS times
    FROM request_logs WHERE service = ${service} GROUP BY line ORDER BY line`)
  return rows.map(({ line, times }) => [line, times])
}

/** Waits until ClickHouse holds just these lines for the service: none missing, none twice, all fields equal. */
export const expectStored = async (
  clickhouse: ClickHouse,
  service: string,
  lines: readonly string[],
): Promise<void> => {
  const count = async () => {
    const { rows } = await clickhouse.query<{ rows: number }>(
      sql`SELECT count() AS rows FROM request_logs WHERE service = ${service}`,
    )
    return rows[0]!.rows
  }
  await expect.poll(count, { timeout: 20_000 }).toBeGreaterThanOrEqual(lines.length)
  expect(await storedLines(clickhouse, service)).toEqual(countEach(lines))
}

export interface Beside {
  readonly service: ServiceProcess
  readonly dataDir: string
  env: () => Record<string, string>
  /** `vedette import` beside the service. */
  importLog: (...args: string[]) => Promise<Outcome>
  spawnImport: (...args: string[]) => ReturnType<typeof spawnVedette>
  restart: (signal: NodeJS.Signals) => Promise<void>
  /** Bytes of files that are in for a service. */
  offset: (name: string) => Promise<number>
}

/** A running service as a process of its own, on the test file's database. */
export const serviceBeside = (database: TestDatabase): Beside => {
  let dataDir = ''
  let port = 0
  let service: ServiceProcess | undefined
  const start = async (): Promise<void> => {
    service = startService({ dataDir, port, env: { CLICKHOUSE_URL: database.url } })
    await service.ready()
  }
  beforeAll(async () => {
    dataDir = await temporaryFolder()
    port = await freePort()
    await start()
  })
  afterAll(async () => {
    await service?.kill('SIGTERM')
    await rm(dataDir, { recursive: true, force: true })
  })
  const env = () => ({ DATA_DIR: dataDir, CLICKHOUSE_URL: database.url })
  return {
    get service() {
      return service!
    },
    get dataDir() {
      return dataDir
    },
    env,
    importLog: (...args) => vedette(['import', ...args], env()),
    spawnImport: (...args) => spawnVedette(['import', ...args], env()),
    restart: async (signal) => {
      await service!.kill(signal)
      await start()
    },
    offset: async (name) => {
      const key = (await readFile(join(dataDir, 'admin-key'), 'utf8')).trim()
      const response = await fetch(`${service!.url}/v1/imports?service=${name}`, {
        headers: { authorization: `Bearer ${key}` },
      })
      const { imports } = (await response.json()) as { imports: { offset: number }[] }
      return imports.reduce((sum, { offset }) => sum + offset, 0)
    },
  }
}
