import { type ClickHouse, sql } from '../../../src/clickhouse/index.ts'
import { shownAddress } from '../../../src/detection/index.ts'

export interface OriginalFlag {
  rule: 'volume' | 'path'
  address: string
}

export const ORIGINAL_NOTE =
  "the original's two rules: more than 100 requests of any kind by one address in an hour of the clock; a path that begins with /admin or /login."

/** The two rules of the Django application that Vedette follows, over what is in request_logs. */
export const runOriginal = async (clickhouse: ClickHouse): Promise<OriginalFlag[]> => {
  const { rows } = await clickhouse.query<OriginalFlag>(sql`
    SELECT DISTINCT 'volume' AS rule, toString(ip) AS address
    FROM request_logs GROUP BY ip, toStartOfHour(timestamp) HAVING count() > 100
    UNION ALL
    SELECT DISTINCT 'path' AS rule, toString(ip) AS address
    FROM request_logs WHERE startsWith(path, '/admin') OR startsWith(path, '/login')`)
  return rows.map((row) => ({ ...row, address: shownAddress(row.address) }))
}
