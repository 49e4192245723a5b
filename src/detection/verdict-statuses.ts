import { type ClickHouse, type Sql, sql } from '../clickhouse/index.ts'
import { statementOptions } from './find.ts'

export type Told = 'CONFIRMED' | 'FALSE_POSITIVE'

/** Addresses of which people said what they are, in the text of the store: IPv4 as ::ffff:a.b.c.d, of IPv6 the first of the /64. */
export type VerdictStatuses = ReadonlyMap<string, Told>

const NEWEST = sql`SELECT toIPv6(id) AS whose, JSONExtractString(body, 'status') AS verdict FROM (SELECT id, body FROM store_versions WHERE kind = 'verdict' ORDER BY id, version DESC, changed_at, changed_by, body LIMIT 1 BY id) WHERE verdict IN ('CONFIRMED', 'FALSE_POSITIVE')`

/** A SELECT of the addresses of which people said so, for rooms that know nothing of verdicts. */
export const addressesTold = (verdict: Told): Sql => sql`SELECT whose FROM (${NEWEST}) WHERE verdict = ${verdict}`

/** @throws {ClickHouseError} */
export const verdictStatuses = async (
  clickhouse: ClickHouse,
  options: { signal?: AbortSignal | undefined; comment: string },
): Promise<VerdictStatuses> => {
  const { rows } = await clickhouse.query<{ address: string; verdict: Told }>(
    sql`SELECT toString(whose) AS address, verdict FROM (${NEWEST})`,
    statementOptions(options),
  )
  return new Map(rows.map(({ address, verdict }) => [address, verdict]))
}
