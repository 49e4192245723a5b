import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import pino from 'pino'
import { Registry } from 'prom-client'

import { encodeRow } from '../../src/collector/encode.ts'
import { Fault } from '../../src/collector/fault.ts'
import { ndjson } from '../../src/collector/formats/ndjson.ts'
import { createLocate } from '../../src/collector/locate.ts'
import { createMask } from '../../src/collector/mask.ts'
import type { RequestLog } from '../../src/collector/request-log.ts'
import { validate } from '../../src/collector/validate.ts'
import { MASKED_BY_DEFAULT } from '../../src/config.ts'
import { createGeo } from '../../src/geo/index.ts'
import { createSpool } from '../../src/spool/index.ts'
import type { ClickHouse } from '../../src/clickhouse/index.ts'

export interface Stages {
  decode: number
  validate: number
  locate: number
  encode: number
  spool: number
}

const cpu = (): number => {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** CPU µs a row of each stage by itself, over the same rows, on one thread; the best of several rounds. */
export const measureStages = async (body: Buffer, rows: number): Promise<Stages> => {
  const log = pino({ level: 'silent' })
  const geo = createGeo({ cityDbs: [], asnDbs: [], log })
  await geo.start()
  const folder = await mkdtemp(join(tmpdir(), 'vedette-bench-'))
  const spool = await createSpool({
    folder,
    tables: [{ name: 'request_logs', columns: [] }],
    maxBytes: 2 ** 40,
    // Nothing is inserted: the spool is not started, only written to.
    clickhouse: {} as ClickHouse,
    registry: new Registry(),
    log,
  })
  const best = async (work: () => unknown, rounds = 8): Promise<number> => {
    let least = Number.POSITIVE_INFINITY
    for (let round = 0; round < rounds; round++) {
      const before = cpu()
      await work()
      least = Math.min(least, (cpu() - before) / rows)
    }
    return least
  }
  try {
    const decoded = [...ndjson.rows(body)].flat()
    const locate = createLocate(geo)
    const nowhere = '"::ffff:1.2.3.4","","",null,null,0,""'
    const validation = {
      mask: createMask(new Set(MASKED_BY_DEFAULT.split(','))),
      now: Date.now(),
      principal: { services: null },
    }
    const logs = decoded
      .map((raw) => validate(raw, { ...validation, locate }))
      .filter((each): each is RequestLog => !(each instanceof Fault))
    const encoded: Buffer[] = []
    const batch = { id: '1234567890123456789', ingestedAt: '2026-01-01 00:00:00', illFormed: false }
    const addresses = decoded.map((raw) => (raw as { ip: string }).ip)
    return {
      decode: await best(() => {
        for (const piece of ndjson.rows(body)) void piece.length
      }),
      validate: await best(() => {
        for (const raw of decoded) validate(raw, { ...validation, locate: () => nowhere })
      }),
      locate: await best(() => {
        for (const ip of addresses) locate(ip)
      }),
      encode: await best(() => {
        encoded.length = 0
        let text = ''
        for (const [row, each] of logs.entries()) {
          text += encodeRow(each, batch, row)
          if (row % 200 === 199) {
            encoded.push(Buffer.from(text))
            text = ''
          }
        }
      }),
      spool: await best(
        () => spool.append('request_logs', { meta: { batch: '1', rows, partitions: [1] }, rows: encoded }),
        3,
      ),
    }
  } finally {
    await geo.stop()
    await rm(folder, { recursive: true, force: true })
  }
}
