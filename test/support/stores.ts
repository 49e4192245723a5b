import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import pino from 'pino'
import type { TestProject } from 'vitest/node'

import { openEmbedded } from '../../src/clickhouse/embedded/index.ts'
import { freePort } from './free-port.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** With credentials and a database; tests make their own database by `testDatabase()`. */
    clickhouseUrl: string
    /** Of the embedded engine; undefined where the tests run on a server. */
    clickhouseDataDir: string | undefined
    redisUrl: string
    /** A folder with a file for each database that a test file may take over. */
    spareDatabases: string
  }
}

type Stop = () => Promise<void>

/** One engine for the whole run, or the server that VEDETTE_TEST_CLICKHOUSE_URL names. */
const startClickHouse = async (folder: string): Promise<{ url: string; dataDir: string | undefined; stop: Stop }> => {
  const given = process.env['VEDETTE_TEST_CLICKHOUSE_URL']
  if (given) return { url: given, dataDir: undefined, stop: async () => {} }
  const log = pino({ level: 'warn' }, pino.destination(2))
  const dataDir = join(folder, 'data')
  const engine = await openEmbedded({ dataDir, role: 'owner', log })
  const url = new URL(`/${engine.database}`, engine.address)
  url.username = engine.user
  url.password = engine.password
  return { url: url.href, dataDir, stop: engine.stop }
}

const onPath = (command: string): boolean => spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined

const installRedis = (): void => {
  const root = process.getuid?.() === 0
  if (onPath('apt-get') && (root || spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0)) {
    const [command, ...before]: [string, ...string[]] = root ? ['apt-get'] : ['sudo', '-n', 'apt-get']
    console.log('redis-server is not on PATH; installing it with apt-get, since the tests run on a real Redis')
    spawnSync(command, [...before, 'update', '-qq'], { stdio: 'inherit' })
    spawnSync(command, [...before, 'install', '-y', '-qq', '--no-install-recommends', 'redis-server'], {
      stdio: 'inherit',
    })
  }
  if (!onPath('redis-server')) {
    throw new Error(
      'The tests need a Redis: put redis-server on PATH (such as "sudo apt-get install redis-server" or "brew install redis"), or set REDIS_URL to one that may be emptied',
    )
  }
}

const answersPing = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1', () => socket.write('PING\r\n'))
    socket.once('data', (data) => {
      socket.destroy()
      resolve(data.toString().startsWith('+PONG'))
    })
    socket.once('error', () => resolve(false))
  })

const startRedis = async (folder: string): Promise<{ url: string; stop: Stop }> => {
  const given = process.env['VEDETTE_TEST_REDIS_URL'] ?? process.env['REDIS_URL']
  if (given) return { url: given, stop: async () => {} }
  if (!onPath('redis-server')) installRedis()
  const port = await freePort()
  const redis = spawn(
    'redis-server',
    ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder],
    { stdio: 'ignore' },
  )
  const exited = once(redis, 'exit')
  while (!(await answersPing(port))) {
    if (redis.exitCode !== null) throw new Error(`redis-server ended with ${redis.exitCode} on port ${port}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    stop: async () => {
      redis.kill()
      await exited
    },
  }
}

/** Starts both stores before the first test and stops them after the last. */
export default async function setup(project: TestProject): Promise<Stop> {
  const folder = mkdtempSync(join(tmpdir(), 'vedette-test-'))
  const spareDatabases = join(folder, 'spare')
  mkdirSync(spareDatabases)
  project.provide('spareDatabases', spareDatabases)
  const [clickhouse, redis] = await Promise.all([startClickHouse(folder), startRedis(folder)])
  project.provide('clickhouseUrl', clickhouse.url)
  project.provide('clickhouseDataDir', clickhouse.dataDir)
  project.provide('redisUrl', redis.url)
  return async () => {
    await Promise.all([clickhouse.stop(), redis.stop()])
    rmSync(folder, { recursive: true, force: true })
  }
}
