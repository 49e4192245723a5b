import { randomInt } from 'node:crypto'

import type { Table } from '../spool/index.ts'

/** The order in which `encode.ts` writes a row; the six columns after `ip` come from `locate.ts` as one piece. */
export const REQUEST_LOGS: Table = {
  name: 'request_logs',
  columns: [
    'timestamp',
    'ingested_at',
    'batch',
    'row',
    'ip',
    'country',
    'city',
    'latitude',
    'longitude',
    'asn',
    'as_organization',
    'service',
    'host',
    'method',
    'path',
    'route',
    'query',
    'protocol',
    'status_code',
    'duration_ms',
    'request_bytes',
    'response_bytes',
    'user_id',
    'user_agent',
    'referer',
    'trace_id',
    'action',
    'policy_id',
    'attributes',
  ],
}

/** 2020-01-01: 41 bits of milliseconds from here last until 2089. */
const EPOCH = 1_577_836_800_000

/**
 * Ids that rise with time and differ between processes: 41 bits ms · 12 bits of the process, drawn at its start ·
 * 11 bits counter. As decimal text, since they pass 2^53.
 */
export const createBatchIds = (): (() => string) => {
  const node = BigInt(randomInt(4096))
  let last = 0
  let counter = 0
  return () => {
    const now = Date.now() - EPOCH
    if (now > last) {
      last = now
      counter = 0
    } else if (++counter === 2048) {
      last++
      counter = 0
    }
    return ((BigInt(last) << 23n) | (node << 11n) | BigInt(counter)).toString()
  }
}
