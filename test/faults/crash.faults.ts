import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { createClickHouse } from '../../src/clickhouse/index.ts'
import { temporaryFolder } from '../support/app.ts'
import { silent } from '../support/clickhouse.ts'
import { freePort } from '../support/free-port.ts'
import { type ServiceProcess, startService } from '../support/process.ts'
import { type Clients, expectExactlyOnce, startClients } from './clients.ts'

const KILLS = Number(process.env['KILLS'] ?? 20)

let dataDir: string
let port: number
let service: ServiceProcess
let clients: Clients

beforeAll(async () => {
  dataDir = await temporaryFolder()
  port = await freePort()
  service = startService({ dataDir, port })
  await service.ready()
})
afterAll(async () => {
  await service.kill('SIGKILL')
  await rm(dataDir, { recursive: true, force: true })
})

const someTime = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 200 + Math.random() * 1500))

test(
  `the service killed at ${KILLS} moments and its ClickHouse at ${KILLS} others: what got a 202 is there exactly once`,
  { timeout: 600_000 },
  async () => {
    clients = startClients({
      url: () => `http://127.0.0.1:${port}`,
      key: async () => (await readFile(join(dataDir, 'admin-key'), 'utf8')).trim(),
      clients: 8,
      rowsPerPost: 200,
    })
    for (let kill = 0; kill < KILLS * 2; kill++) {
      await someTime()
      if (kill % 2 === 0) {
        await service.kill('SIGKILL')
        service = startService({ dataDir, port })
        await service.ready()
      } else {
        const engine = await service.enginePid()
        process.kill(engine, 'SIGKILL')
        await expect.poll(() => service.enginePid(), { timeout: 30_000 }).not.toBe(engine)
      }
    }
    await clients.stop()
    await expect
      .poll(
        async () => (await (await fetch(`${service.url}/metrics`)).text()).match(/^vedette_spool_rows (\d+)/m)?.[1],
        { timeout: 120_000 },
      )
      .toBe('0')

    const clickhouse = await createClickHouse({ dataDir, log: silent, role: 'attach' })
    try {
      await expectExactlyOnce(clickhouse, clients.tally)
    } finally {
      await clickhouse.close()
    }
    const { acknowledged, sent, answers } = clients.tally
    console.log(
      `crash: ${KILLS} + ${KILLS} kills, ${sent.size} rows sent, ${acknowledged.size} acknowledged, answers ${JSON.stringify(Object.fromEntries(answers))}`,
    )
    expect(acknowledged.size).toBeGreaterThan(1000)
    expect([...answers.keys()].filter((answer) => answer !== '202' && answer !== '503' && answer !== 'none')).toEqual(
      [],
    )
  },
)
