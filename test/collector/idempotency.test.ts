import { createHash, randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'

import { afterEach, beforeEach, expect, inject, test } from 'vitest'

import { type App, startApp } from '../../src/app.ts'
import { sql } from '../../src/clickhouse/index.ts'
import { receiptKey } from '../../src/collector/idempotency.ts'
import { loadConfig } from '../../src/config.ts'
import { createRedis } from '../../src/redis/index.ts'
import { temporaryFolder } from '../support/app.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'

const KEY = 'idempotency-tests-share-this-key-00'
const database = testDatabase()
const folders: string[] = []
const apps: App[] = []

const start = async (environment: Record<string, string>, folder?: string): Promise<App & { folder: string }> => {
  const dataDir = folder ?? (await temporaryFolder())
  folders.push(dataDir)
  const app = await startApp(
    loadConfig({ DATA_DIR: dataDir, PORT: '0', CLICKHOUSE_URL: database.url, VEDETTE_ADMIN_KEY: KEY, ...environment }),
    silent,
  )
  apps.push(app)
  return { ...app, folder: dataDir }
}
beforeEach(() => database.empty('request_logs'))
afterEach(async () => {
  for (const app of apps.splice(0)) await app.stop()
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})

const post = async (app: App, key: string, path = '/a') => {
  const response = await fetch(`${app.url}/v1/requests?wait=stored`, {
    method: 'POST',
    body: JSON.stringify({ ip: '8.8.8.8', method: 'GET', path, status: 200 }),
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', 'idempotency-key': key },
  })
  return { status: response.status, body: (await response.json()) as { batchId?: string } }
}
const count = async (): Promise<number> =>
  (await database.clickhouse.query<{ n: number }>(sql`SELECT count() AS n FROM request_logs`)).rows[0]!.n

test('without Redis a key is known again after a restart on the same data folder', async () => {
  const key = randomUUID()
  const first = await start({})
  const before = await post(first, key)
  await first.stop()
  const second = await start({}, first.folder)
  expect(await post(second, key)).toEqual(before)
  expect((await post(second, key, '/other')).status).toBe(422)
  expect(await count()).toBe(1)
})

test('with Redis a key that one process knows gets the same answer from another, and stores nothing there', async () => {
  const key = randomUUID()
  const [one, other] = [await start({ REDIS_URL: inject('redisUrl') }), await start({ REDIS_URL: inject('redisUrl') })]
  const before = await post(one, key)
  expect(before.status).toBe(202)
  expect(await post(other, key)).toEqual(before)
  expect((await post(other, key, '/other')).status).toBe(422)
  expect(await count()).toBe(1)
})

test('with Redis many requests of one key at two processes at once are stored once', async () => {
  const key = randomUUID()
  const both = [await start({ REDIS_URL: inject('redisUrl') }), await start({ REDIS_URL: inject('redisUrl') })]
  const untilTaken = async (app: App): Promise<string | undefined> => {
    for (;;) {
      const { status, body } = await post(app, key)
      if (status === 202) return body.batchId
      // The other process works on it: ask again, as Retry-After says.
      expect(status).toBe(503)
    }
  }
  const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => untilTaken(both[n % 2]!)))
  expect(new Set(answers).size).toBe(1)
  expect(await count()).toBe(1)
})

test('a key that another process has claimed and not finished is answered with 503 and Retry-After, never stored twice', async () => {
  const key = randomUUID()
  const app = await start({ REDIS_URL: inject('redisUrl') })
  const redis = createRedis([inject('redisUrl')], { log: silent })
  await redis.start()
  const body = JSON.stringify({ ip: '8.8.8.8', method: 'GET', path: '/a', status: 200 })
  const fingerprint = `json::${createHash('sha256').update(body).digest('base64url')}`
  const [keyId] = app.keys.list().map(({ id }) => id)
  const redisKey = `vedette:idempotency:${receiptKey(keyId!, key)}`
  await redis.set(redisKey, JSON.stringify({ state: 'pending', owner: 'another', fingerprint }), 60_000)
  expect((await post(app, key)).status).toBe(503)
  expect(await count()).toBe(0)
  await redis.delete(redisKey)
  await redis.stop()
  expect((await post(app, key)).status).toBe(202)
})
