import { randomInt } from 'node:crypto'

import type { Table } from '../../spool/index.ts'
import type { Group } from './tally.ts'

/** The order in which `encodeGroup` writes a row. */
export const DECISIONS: Table = {
  name: 'decisions',
  columns: [
    'timestamp',
    'ingested_at',
    'batch',
    'row',
    'outcome',
    'policy_id',
    'window_seconds',
    'service',
    'ip',
    'counted',
    'entry_id',
    'method',
    'path',
    'count',
  ],
}

/** One record of the spool and the second that its rows are about. */
export interface Batch {
  id: string
  /** Both `YYYY-MM-DD hh:mm:ss`, UTC. */
  timestamp: string
  ingestedAt: string
}

/** @param at ms since 1970 */
export const stamp = (at: number): string => new Date(at).toISOString().slice(0, 19).replace('T', ' ')

/** Rises with time: 41 bits of milliseconds and 22 of chance, for processes that write in the same one. Decimal text. */
export const newBatchId = (now: number): string => ((BigInt(now) << 22n) | BigInt(randomInt(2 ** 22))).toString()

const LONGEST_METHOD = 32
const LONGEST_PATH = 256

/** A text of a stranger's that ClickHouse takes: one lone surrogate would refuse the whole batch. */
const given = (text: string, longest = text.length): string => text.slice(0, longest).toWellFormed()

const storedIp = (ip: string): string => (ip === '' ? '::' : ip.includes(':') ? ip : `::ffff:${ip}`)

/** One row of JSONCompactEachRow with its newline. */
export const encodeGroup = (group: Group, { id, timestamp, ingestedAt }: Batch, row: number): string => {
  const rest = JSON.stringify([
    group.outcome,
    group.policyId,
    group.windowSeconds,
    given(group.service),
    storedIp(group.ip),
    given(group.counted),
    group.entryId,
    given(group.method, LONGEST_METHOD),
    given(group.path, LONGEST_PATH),
    group.count,
  ])
  return `["${timestamp}","${ingestedAt}",${id},${row},${rest.slice(1)}\n`
}
