import { rm } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'

import { expect, onTestFinished, test } from 'vitest'

import { countOf, freshService, get, serve, vedetteFor } from '../middleware/support.ts'
import { temporaryFolder, testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { freePort } from '../support/free-port.ts'
import { startService } from '../support/process.ts'

const database = testDatabase()
const app = testApp(database)

const answer = (_request: IncomingMessage, response: ServerResponse): void => {
  response.end('ok')
}

test('Vedette killed and started again in the middle of the traffic: nothing is lost and nothing is stored twice', async () => {
  const dataDir = await temporaryFolder()
  const port = await freePort()
  const start = () => startService({ dataDir, port, env: { CLICKHOUSE_URL: database.url } })
  let service = start()
  onTestFinished(async () => {
    await service.kill('SIGKILL')
    await rm(dataDir, { recursive: true, force: true })
  })
  await service.ready()
  const name = freshService()
  const { vedette } = vedetteFor({
    url: service.url,
    key: app.key,
    service: name,
    batch: { maxRows: 20, maxDelayMs: 20 },
  })
  const url = await serve(vedette.http(answer))
  let served = 0
  const stop = new AbortController()
  const traffic = Promise.all(
    Array.from({ length: 4 }, async () => {
      while (!stop.signal.aborted) expect((await get(`${url}/${served++}`)).status).toBe(200)
    }),
  )
  for (let round = 0; round < 3; round++) {
    // Killed while it takes rows, so that some answers are lost behind rows that are on disk.
    const { sent } = vedette.stats()
    await expect.poll(() => vedette.stats().sent, { interval: 1 }).toBeGreaterThan(sent + 100)
    await service.kill('SIGKILL')
    service = start()
    await service.ready()
  }
  stop.abort()
  await traffic
  expect(await vedette.flush({ deadlineMs: 20_000 })).toBe(true)
  expect(vedette.stats()).toMatchObject({ queued: 0, sent: served, dropped: 0, rejected: 0 })
  expect(vedette.stats().retried).toBeGreaterThan(0)
  await expect
    .poll(() => countOf(database.clickhouse, name), { timeout: 20_000 })
    .toEqual({ rows: served, paths: served })
}, 90_000)
