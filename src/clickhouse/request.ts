import { randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'

import { literal, quoted } from './quote.ts'
import type { Sql } from './sql.ts'
import type { InsertBatch, QueryOptions, Settings } from './types.ts'

/** One statement as it goes over the wire. */
export interface Request {
  text: string
  parameters: Record<string, unknown>
  queryId: string
  settings: Settings
  rows?: Buffer | Readable
}

/** The engine's own limit lies this much over ours: it is for the case that our hang-up does not reach it. */
const MARGIN_SECONDS = 5

/** What every statement runs with, on a server and on the embedded engine alike, whatever their defaults are. */
const ALWAYS: Settings = {
  // On by default now; deduplication tokens with asynchronous inserts lost rows (ClickHouse #111031).
  async_insert: 0,
  date_time_input_format: 'basic',
  date_time_output_format: 'simple',
  session_timezone: 'UTC',
  output_format_json_quote_64bit_integers: 0,
  result_overflow_mode: 'throw',
  timeout_overflow_mode: 'throw',
  cancel_http_readonly_queries_on_client_close: 1,
  // An error half-way must not look like a row.
  http_write_exception_in_output_format: 0,
}

const settingsFor = (seconds: number, options: Pick<QueryOptions, 'comment' | 'settings'>): Settings => ({
  ...ALWAYS,
  max_execution_time: seconds + MARGIN_SECONDS,
  ...(options.comment === undefined ? {} : { log_comment: options.comment }),
  ...options.settings,
})

/** Answered only when the statement is finished, so that an error half-way has its status and its code. */
const WHOLE: Settings = { wait_end_of_query: 1 }

export const statementRequest = (query: Sql, options: QueryOptions, seconds: number): Request => {
  const { text, parameters } = query.compile()
  const settings = { ...settingsFor(seconds, options), ...WHOLE }
  return { text, parameters, settings, queryId: options.queryId ?? randomUUID() }
}

export const streamRequest = (query: Sql, format: string, options: QueryOptions, seconds: number): Request => {
  const request = statementRequest(query, options, seconds)
  return { ...request, text: `${request.text}\nFORMAT ${format}`, settings: settingsFor(seconds, options) }
}

/** `structure`: the types of the rows as they are written, where those are not simply the table's. */
export const insertRequest = (batch: InsertBatch, structure: string | undefined, seconds: number): Request => {
  const columns = batch.columns.map(quoted).join(', ')
  const source = structure === undefined ? '' : ` SELECT * FROM input(${literal(structure)})`
  return {
    text: `INSERT INTO ${quoted(batch.table)} (${columns})${source} FORMAT JSONCompactEachRow`,
    parameters: {},
    queryId: randomUUID(),
    rows: batch.rows,
    settings: {
      ...settingsFor(seconds, batch),
      ...WHOLE,
      insert_deduplicate: 1,
      deduplicate_blocks_in_dependent_materialized_views: 1,
      insert_deduplication_token: batch.deduplicationToken,
    },
  }
}
