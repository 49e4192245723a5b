import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import pino from 'pino'
import { Registry } from 'prom-client'

import { createClickHouse, migrate, sql } from '../../src/clickhouse/index.ts'
import { createDecisionLog } from '../../src/ratelimit/decisions/log.ts'
import { DECISIONS } from '../../src/ratelimit/decisions/table.ts'
import type { DecisionLog, NotedDecision, Outcome } from '../../src/ratelimit/decisions/types.ts'
import { parseAddress } from '../../src/ratelimit/address.ts'
import { createSpool, type Spool } from '../../src/spool/index.ts'

const DECISIONS_A_RUN = 1_000_000
/** Decisions within one second of the log's clock: one process decides some 20,000. */
const PER_SECOND = 20_000

const cpuUs = (): number => {
  const { user, system } = process.cpuUsage()
  return user + system
}

const decisionOf = (client: number, outcome: Outcome): NotedDecision => {
  const address = parseAddress(`10.${(client >> 16) & 255}.${(client >> 8) & 255}.${client & 255}`)!
  return {
    outcome,
    policyId: 'default',
    windowSeconds: 60,
    service: 'shop',
    address,
    counted: address.counted,
    entryId: '',
    method: 'GET',
    path: `/products/${client}`,
  }
}

interface Load {
  name: string
  clients: number
  outcome: (index: number) => Outcome
}

const allowed = (): Outcome => 'allowed'
const limited = (): Outcome => 'limited'
const LOADS: readonly Load[] = [
  { name: 'one hot client, all pass', clients: 1, outcome: allowed },
  { name: 'one hot client, all limited', clients: 1, outcome: limited },
  { name: '1,000 clients, all pass', clients: 1000, outcome: allowed },
  { name: '1,000 clients, one in 5 limited', clients: 1000, outcome: (index) => (index % 5 ? 'allowed' : 'limited') },
  { name: '100,000 clients, all pass', clients: 100_000, outcome: allowed },
  { name: '100,000 clients, all limited', clients: 100_000, outcome: limited },
]

/**
 * What the decision log adds to a decision: CPU ns of `note`, and of all that follows until the rows are on disk, by a clock
 * that goes forward a second every 20,000 decisions. Rows and bytes for a million decisions.
 */
export const run = async (): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'vedette-bench-'))
  const log = pino({ level: 'silent' })
  const clickhouse = await createClickHouse({ dataDir: join(folder, 'data'), log })
  try {
    await migrate(clickhouse, { log })
    console.log(
      `${'a million decisions'.padEnd(34)} note ns  note+flush ns       rows  spool bytes  disk bytes  disk bytes/row`,
    )
    for (const [index, { name, clients, outcome }] of LOADS.entries()) {
      const spool = await createSpool({
        folder: join(folder, `spool-${index}`),
        tables: [DECISIONS],
        maxBytes: 2 ** 40,
        clickhouse,
        registry: new Registry(),
        log,
      })
      let now = Date.now() - (Date.now() % 1000)
      const logTo = (append: Spool['append']) =>
        createDecisionLog({
          spool: { append },
          securityLog: { write: () => {} },
          registry: new Registry(),
          log,
          now: () => now,
        })
      const made = Array.from({ length: clients }, (_, client) => decisionOf(client, 'allowed'))
      const sets = [made, made.map((decision) => ({ ...decision, outcome: 'limited' as const }))]
      const note = ({ note }: DecisionLog, count: number): void => {
        for (let index = 0; index < count; index++) note(sets[outcome(index) === 'allowed' ? 0 : 1]![index % clients]!)
      }
      const warm = logTo(() => Promise.resolve({ stored: Promise.resolve() }))
      for (let round = 0; round < 5; round++) note(warm, PER_SECOND)
      await warm.stop()
      await clickhouse.command(sql`TRUNCATE TABLE decisions SYNC`)

      let bytes = 0
      const decisions = logTo((table, record) => {
        for (const rows of record.rows) bytes += rows.length
        return spool.append(table, record)
      })
      const before = cpuUs()
      let noting = 0
      for (let done = 0; done < DECISIONS_A_RUN; done += PER_SECOND) {
        now += 1000
        const started = cpuUs()
        note(decisions, PER_SECOND)
        noting += cpuUs() - started
        // Writes the second; the log goes on counting after it.
        await decisions.stop()
      }
      const whole = cpuUs() - before
      spool.start()
      await spool.stop(60_000)
      await clickhouse.command(sql`OPTIMIZE TABLE decisions FINAL`, { maxExecutionSeconds: 300 })
      const { rows } = await clickhouse.query<{ rows: string; disk: string }>(
        sql`SELECT sum(rows) AS rows, sum(bytes_on_disk) AS disk FROM system.parts WHERE active AND database = currentDatabase() AND table = 'decisions'`,
      )
      const [stored, disk] = [Number(rows[0]!.rows), Number(rows[0]!.disk)]
      console.log(
        [
          name.padEnd(34),
          ((noting * 1000) / DECISIONS_A_RUN).toFixed(0).padStart(7),
          ((whole * 1000) / DECISIONS_A_RUN).toFixed(0).padStart(13),
          stored.toLocaleString('en-US').padStart(9),
          bytes.toLocaleString('en-US').padStart(11),
          disk.toLocaleString('en-US').padStart(10),
          (disk / stored).toFixed(1).padStart(14),
        ].join('  '),
      )
    }
  } finally {
    await clickhouse.close()
    await rm(folder, { recursive: true, force: true })
  }
}
