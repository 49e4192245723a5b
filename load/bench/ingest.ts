import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { setPriority, tmpdir } from 'node:os'
import { join } from 'node:path'

import pino from 'pino'

import { createClickHouse, type ClickHouse, ident, raw, sql } from '../../src/clickhouse/index.ts'
import { encodeNdjson, generateDay } from '../../src/demo/index.ts'
import { freePort } from '../../test/support/free-port.ts'
import { startService } from '../../test/support/process.ts'
import { cpuOf, peakOf } from './cpu.ts'
import { startFlags } from './flags.ts'
import { measureStages } from './stages.ts'

const ROWS = 100_000
const CLIENTS = [1, 8, 64]
const ROWS_PER_POST = [1, 100, 1000, 10_000]
/** One row a POST is about the POST: fewer rows tell as much. */
const MOST_POSTS = 5000

const one = async (clickhouse: ClickHouse, query: string): Promise<number> =>
  (await clickhouse.query<{ n: number }>(raw(query))).rows[0]!.n

/** Waits until the table holds so many rows. */
const untilStored = async (clickhouse: ClickHouse, rows: number): Promise<void> => {
  while ((await one(clickhouse, 'SELECT count() AS n FROM request_logs')) < rows)
    await new Promise((resolve) => setTimeout(resolve, 20))
}

/** The floor: the engine inserts the same rows from a file that it reads itself. CPU µs a row. */
const measureFloor = async (clickhouse: ClickHouse, engine: number, folder: string): Promise<number> => {
  const file = join(folder, 'floor.jsonl')
  const { rows } = await clickhouse.query<{ name: string; type: string }>(
    raw("SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = 'request_logs'"),
  )
  const lines = await clickhouse.stream(sql`SELECT * FROM request_logs`, 'JSONCompactEachRow')
  const chunks: Buffer[] = []
  for await (const chunk of lines as AsyncIterable<Buffer>) chunks.push(Buffer.from(chunk))
  await writeFile(file, Buffer.concat(chunks))
  const structure = rows.map(({ name, type }) => `${name} ${type}`).join(', ')
  await clickhouse.command(raw('CREATE TABLE floor AS request_logs'))
  const count = await one(clickhouse, 'SELECT count() AS n FROM request_logs')
  const rounds: number[] = []
  for (let round = 0; round < 3; round++) {
    await clickhouse.command(raw('TRUNCATE TABLE floor SYNC'))
    const before = cpuOf(engine)
    await clickhouse.command(
      sql`INSERT INTO floor (${raw(rows.map(({ name }) => name).join(', '))}) SELECT * FROM file(${file}, 'JSONCompactEachRow', ${structure}) SETTINGS insert_deduplication_token = ${`floor-${round}`}`,
    )
    rounds.push((cpuOf(engine) - before) / count)
  }
  await clickhouse.command(sql`DROP TABLE ${ident('floor')} SYNC`)
  return Math.min(...rounds)
}

interface Measured {
  clients: number
  rowsPerPost: number
  rowsPerSecond: number
  service: number
  engine: number
  peak: number
  loopP99: number
}

export const run = async (): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'vedette-bench-'))
  const events = generateDay({ seed: 1, end: new Date(), requests: ROWS }).events()
  const stages = await measureStages(Buffer.from(encodeNdjson(events)), events.length)

  const port = await freePort()
  const service = startService({ dataDir: folder, port, env: { LOG_LEVEL: 'error' }, flags: await startFlags() })
  try {
    await service.ready()
    // The load stands for other machines: it takes what the service leaves.
    setPriority(10)
    const key = (await readFile(join(folder, 'admin-key'), 'utf8')).trim()
    const engine = await service.enginePid()
    const clickhouse = await createClickHouse({ dataDir: folder, log: pino({ level: 'silent' }), role: 'attach' })
    const post = async (body: Buffer): Promise<void> => {
      const response = await fetch(`${service.url}/v1/requests`, {
        method: 'POST',
        body: Uint8Array.from(body),
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/x-ndjson' },
      })
      if (response.status !== 202) throw new Error(`${response.status}: ${await response.text()}`)
      await response.arrayBuffer()
    }
    const loopDelay = async (): Promise<number> =>
      Number(
        /^vedette_event_loop_delay_seconds\{quantile="0.99"\} (\S+)/m.exec(
          await (await fetch(`${service.url}/metrics`)).text(),
        )?.[1],
      ) * 1000

    const bodiesOf = (rows: typeof events, rowsPerPost: number): Buffer[] => {
      const bodies: Buffer[] = []
      for (let from = 0; from < rows.length; from += rowsPerPost)
        bodies.push(Buffer.from(encodeNdjson(rows.slice(from, from + rowsPerPost))))
      return bodies
    }
    const postAll = async (bodies: readonly Buffer[], clients: number): Promise<void> => {
      let next = 0
      await Promise.all(
        Array.from({ length: clients }, async () => {
          while (next < bodies.length) await post(bodies[next++]!)
        }),
      )
    }

    const measure = async (clients: number, rowsPerPost: number): Promise<Measured> => {
      const rows = events.slice(0, Math.min(events.length, rowsPerPost * MOST_POSTS))
      const bodies = bodiesOf(rows, rowsPerPost)
      await clickhouse.command(raw('TRUNCATE TABLE request_logs SYNC'))
      // Writing 5 here sets the high-water mark of its memory back to what it holds now.
      await writeFile(`/proc/${service.pid}/clear_refs`, '5').catch(() => {})
      await loopDelay()
      const before = { at: performance.now(), service: cpuOf(service.pid), engine: cpuOf(engine) }
      await postAll(bodies, clients)
      const loopP99 = await loopDelay()
      await untilStored(clickhouse, rows.length)
      const seconds = (performance.now() - before.at) / 1000
      return {
        clients,
        rowsPerPost,
        rowsPerSecond: rows.length / seconds,
        service: (cpuOf(service.pid) - before.service) / rows.length,
        engine: (cpuOf(engine) - before.engine) / rows.length,
        peak: peakOf(service.pid),
        loopP99,
      }
    }

    await measure(8, 1000)
    const floor = await measureFloor(clickhouse, engine, folder)
    console.log(`CPU µs a row by stage, each by itself on one thread (${events.length} rows of the demo):`)
    console.log(
      `  ${Object.entries(stages)
        .map(([stage, value]) => `${stage} ${(value as number).toFixed(2)}`)
        .join(' · ')}`,
    )
    console.log(`Floor: the engine inserts the same rows from a file it reads itself, ${floor.toFixed(2)} µs a row\n`)
    console.log('clients  rows/POST     rows/s  service µs/row  engine µs/row  whole/floor  peak MB  loop p99 ms')
    for (const rowsPerPost of ROWS_PER_POST) {
      for (const clients of CLIENTS) {
        const found = await measure(clients, rowsPerPost)
        console.log(
          [
            String(clients).padStart(7),
            String(rowsPerPost).padStart(9),
            Math.round(found.rowsPerSecond).toLocaleString('en-US').padStart(9),
            found.service.toFixed(2).padStart(14),
            found.engine.toFixed(2).padStart(13),
            ((found.service + found.engine) / floor).toFixed(2).padStart(11),
            (found.peak / 2 ** 20).toFixed(0).padStart(7),
            found.loopP99.toFixed(1).padStart(11),
          ].join('  '),
        )
      }
    }
    await clickhouse.command(raw('OPTIMIZE TABLE request_logs FINAL'), { maxExecutionSeconds: 300 })
    const bytes = await one(
      clickhouse,
      "SELECT sum(bytes_on_disk) / sum(rows) AS n FROM system.parts WHERE active AND database = currentDatabase() AND table = 'request_logs'",
    )
    console.log(`\nOn disk: ${bytes.toFixed(1)} bytes a row (demo traffic, merged)`)

    await loopUnderQueries(clickhouse, async () => {
      const large = bodiesOf(events, 10_000)
      await loopDelay()
      const started = performance.now()
      let rows = 0
      for (let round = 0; round < 8; round++) {
        await postAll(large, 8)
        rows += events.length
      }
      const perSecond = Math.round((rows / (performance.now() - started)) * 1000).toLocaleString('en-US')
      console.log(
        `Beside a heavy query: event loop delay p99 ${(await loopDelay()).toFixed(1)} ms at ${perSecond} rows/s, 8 clients, 10,000 rows a POST`,
      )
    })
    await clickhouse.close()
  } finally {
    await service.kill('SIGTERM')
    await rm(folder, { recursive: true, force: true })
  }
}

/** An analytics query over made-up rows that keeps every thread of the engine busy, again and again until `work` is done. */
const loopUnderQueries = async (clickhouse: ClickHouse, work: () => Promise<void>): Promise<void> => {
  const stopping = new AbortController()
  const heavy = (async () => {
    while (!stopping.signal.aborted) {
      await clickhouse
        .query(
          raw(
            'SELECT uniqExact(intHash64(number)) AS n, quantilesDD(0.01, 0.5, 0.99)(number % 1000 + 1) AS q FROM numbers_mt(100000000)',
          ),
          { signal: stopping.signal },
        )
        .catch(() => {})
    }
  })()
  await work()
  stopping.abort()
  await heavy
}
