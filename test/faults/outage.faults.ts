import { setTimeout as wait } from 'node:timers/promises'

import { expect, onTestFinished, test } from 'vitest'

import { createClickHouse } from '../../src/clickhouse/index.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'
import { createGate } from '../support/gate.ts'
import { expectExactlyOnce } from './clients.ts'
import { createVictim, expectOnlyTakenOrFull, figures, until, type Victim } from './service.ts'

const OUTAGE_SECONDS = Number(process.env['OUTAGE_SECONDS'] ?? 60)
/** So little that it fills in the first seconds. */
const SPOOL_MAX_BYTES = 8 * 2 ** 20
const MIB = 2 ** 20
/** Left to itself V8 lets the heap of a busy process grow for minutes before it looks what can go; so it gets a small one. */
const ENVIRONMENT = {
  SPOOL_MAX_BYTES: String(SPOOL_MAX_BYTES),
  NODE_OPTIONS: '--max-old-space-size=128 --max-semi-space-size=8',
}
/** It goes up by 2 to 4 MiB all the same; bodies of the requests that are refused in between would be some 30 MiB. */
const MARGIN_BYTES = 16 * MIB

const database = testDatabase()

/** Waits the outage out. Memory: the most in the second quarter, when all is full, against the most in the last one. */
const sitOut = async (victim: Victim): Promise<{ early: number; late: number; fullest: number }> => {
  const samples: number[] = []
  let fullest = 0
  for (let second = 0; second < OUTAGE_SECONDS; second++) {
    await wait(1000)
    samples.push(await victim.process.memory())
    fullest = Math.max(fullest, await victim.metric('vedette_spool_bytes'))
  }
  const quarter = Math.floor(samples.length / 4)
  return {
    early: Math.max(...samples.slice(quarter, 2 * quarter)),
    late: Math.max(...samples.slice(-quarter)),
    fullest,
  }
}

const expectHeld = ({ early, late, fullest }: Awaited<ReturnType<typeof sitOut>>): string => {
  expect(late).toBeLessThan(early + MARGIN_BYTES)
  expect(fullest).toBeLessThanOrEqual(SPOOL_MAX_BYTES)
  expect(fullest).toBeGreaterThan(SPOOL_MAX_BYTES * 0.95)
  return `memory ${(early / MIB).toFixed(0)} MiB early, ${(late / MIB).toFixed(0)} MiB late, spool at most ${(fullest / MIB).toFixed(2)} MiB`
}

// Both at once: each waits most of the time.
test.concurrent(
  `ClickHouse frozen for ${OUTAGE_SECONDS} s under load: 202 or 503, memory flat, everything stored once afterwards`,
  { timeout: 300_000 },
  async () => {
    const victim = await createVictim({ env: ENVIRONMENT })
    await victim.start()
    const clients = victim.load()
    await until('rows are taken', 20_000, () => clients.tally.acknowledged.size > 2000)
    const engine = await victim.process.enginePid()
    process.kill(engine, 'SIGSTOP')
    onTestFinished(() => void process.kill(engine, 'SIGCONT'))
    const held = await sitOut(victim)
    process.kill(engine, 'SIGCONT')
    await clients.stop()
    await victim.drained()
    expect(await victim.process.enginePid()).toBe(engine)

    const clickhouse = await createClickHouse({ dataDir: victim.dataDir, log: silent, role: 'attach' })
    try {
      await expectExactlyOnce(clickhouse, clients.tally)
    } finally {
      await clickhouse.close()
    }
    expectOnlyTakenOrFull(clients.tally)
    console.log(`frozen: ${OUTAGE_SECONDS} s, ${figures(clients.tally)}, ${expectHeld(held)}`)
  },
)

test.concurrent(
  `ClickHouse away for ${OUTAGE_SECONDS} s under load: 202 or 503, memory flat, everything stored once afterwards`,
  { timeout: 300_000 },
  async () => {
    const gate = await createGate(database.url)
    onTestFinished(() => gate.close())
    const victim = await createVictim({
      env: { ...ENVIRONMENT, CLICKHOUSE_URL: gate.url },
    })
    await victim.start()
    const clients = victim.load()
    await until('rows are taken', 20_000, () => clients.tally.acknowledged.size > 2000)
    await gate.close()
    const held = await sitOut(victim)
    await gate.open()
    await clients.stop()
    await victim.drained()

    await expectExactlyOnce(database.clickhouse, clients.tally)
    expectOnlyTakenOrFull(clients.tally)
    console.log(`away: ${OUTAGE_SECONDS} s, ${figures(clients.tally)}, ${expectHeld(held)}`)
  },
)
