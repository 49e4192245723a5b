import type { ClickHouse } from '../../src/clickhouse/index.ts'
import { DECISIONS } from '../../src/ratelimit/decisions/table.ts'
import type { Outcome } from '../../src/ratelimit/index.ts'

/** A row of decisions as a test gives it; what is left out is an anonymous address's request to the shop. */
export interface DecisionRow {
  timestamp: Date
  outcome: Outcome
  ingestedAt?: Date
  batch?: number
  row?: number
  policyId?: string
  windowSeconds?: number
  service?: string
  ip?: string
  /** Default: the address; empty where `ip` is. */
  counted?: string
  entryId?: string
  method?: string
  path?: string
  count?: number
}

const stamp = (date: Date): string => date.toISOString().slice(0, 19).replace('T', ' ')

const line = (row: DecisionRow, index: number): string => {
  const { ip = '' } = row
  return JSON.stringify([
    stamp(row.timestamp),
    stamp(row.ingestedAt ?? new Date()),
    row.batch ?? 1,
    row.row ?? index,
    row.outcome,
    row.policyId ?? 'default',
    row.windowSeconds ?? 60,
    row.service ?? 'shop',
    ip === '' ? '::' : ip.includes(':') ? ip : `::ffff:${ip}`,
    row.counted ?? ip,
    row.entryId ?? '',
    row.method ?? 'GET',
    row.path ?? '/',
    row.count ?? 1,
  ])
}

let batches = 0

/** Inserts rows as the decision log's are inserted. Rows without a time of arrival arrive now. */
export const insertDecisions = async (clickhouse: ClickHouse, rows: readonly DecisionRow[]): Promise<void> => {
  await clickhouse.insert({
    table: DECISIONS.name,
    columns: DECISIONS.columns,
    rows: Buffer.from(rows.map(line).join('\n')),
    deduplicationToken: `test-decisions-${process.pid}-${++batches}`,
  })
}
