import { type Sql, sql } from '../../src/clickhouse/index.ts'
import type { TestDatabase } from '../support/clickhouse.ts'

/** The lines of a streamed result. */
export const linesOf = async (chunks: AsyncIterable<Buffer>): Promise<string[]> => {
  const parts: Buffer[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return Buffer.concat(parts).toString().split('\n').slice(0, -1)
}

/** Questions with one answer. */
export const asking = (store: TestDatabase) => {
  const valueOf = async (query: Sql): Promise<unknown> => {
    const { rows } = await store.clickhouse.query<{ value: unknown }>(query)
    return rows[0]?.value
  }

  const running = (comment: string): Promise<unknown> =>
    valueOf(sql`
      SELECT count() AS value FROM system.processes
      WHERE endsWith(Settings['log_comment'], ${comment})`)

  return { valueOf, running }
}
