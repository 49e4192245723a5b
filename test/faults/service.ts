import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

import { expect, onTestFinished } from 'vitest'

import { temporaryFolder } from '../support/app.ts'
import { freePort } from '../support/free-port.ts'
import { type ServiceProcess, startService } from '../support/process.ts'
import { type Clients, startClients, type Tally } from './clients.ts'

/** `expect.poll` for tests that run at the same time, where it does not know whose it is. */
export const until = async (what: string, ms: number, holds: () => boolean | Promise<boolean>): Promise<void> => {
  const deadline = Date.now() + ms
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${ms / 1000} s`)
    await wait(100)
  }
}

/** A service that a test may kill and start again, under load. */
export interface Victim {
  readonly process: ServiceProcess
  readonly dataDir: string
  start: () => Promise<void>
  load: (clients?: number) => Clients
  /** A metric without labels. */
  metric: (name: string) => Promise<number>
  /** Until the spool is empty. */
  drained: () => Promise<void>
}

export const createVictim = async ({
  dataDir,
  env,
}: {
  dataDir?: string
  env: Record<string, string>
}): Promise<Victim> => {
  const folder = dataDir ?? (await temporaryFolder())
  const port = await freePort()
  let service: ServiceProcess | undefined
  onTestFinished(async () => {
    await service?.kill('SIGKILL')
    if (dataDir === undefined) await rm(folder, { recursive: true, force: true })
  })
  const metric = async (name: string): Promise<number> => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    return Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1])
  }
  return {
    get process() {
      return service!
    },
    dataDir: folder,
    start: async () => {
      service = startService({ dataDir: folder, port, env })
      await service.ready()
    },
    load: (clients = 8) =>
      startClients({
        url: () => `http://127.0.0.1:${port}`,
        key: async () => (await readFile(join(folder, 'admin-key'), 'utf8')).trim(),
        clients,
        rowsPerPost: 200,
      }),
    metric,
    drained: async () => {
      await until('the spool is empty', 120_000, async () => (await metric('vedette_spool_rows')) === 0)
      expect(await metric('vedette_quarantined_rows_total')).toBe(0)
      expect(await metric('vedette_spool_damaged_bytes_total')).toBe(0)
    },
  }
}

/** Everything that was asked was answered, by a 202 or by a 503 that says when to come again. */
export const expectOnlyTakenOrFull = ({ answers, bare503 }: Tally): void => {
  expect([...answers.keys()].filter((answer) => answer !== '202' && answer !== '503')).toEqual([])
  expect(bare503).toBe(0)
}

export const figures = ({ sent, acknowledged, answers, reasons }: Tally): string =>
  `${sent.size} rows sent, ${acknowledged.size} acknowledged, answers ${JSON.stringify(Object.fromEntries(answers))}, 503 for ${JSON.stringify(Object.fromEntries(reasons))}`
