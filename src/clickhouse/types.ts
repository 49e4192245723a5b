import type { Readable } from 'node:stream'

import type { Sql } from './sql.ts'

/** A setting of ClickHouse for one statement; it does not outlive it. */
export type Settings = Record<string, string | number | boolean>

export interface QueryOptions {
  /** Cancels the statement in the engine too, not only the wait for it. */
  signal?: AbortSignal | undefined
  queryId?: string | undefined
  /** Goes into `log_comment`: who asks, such as `graphql requestAnalytics`. */
  comment?: string | undefined
  maxExecutionSeconds?: number | undefined
  settings?: Settings | undefined
}

export interface QueryResult<Row> {
  rows: Row[]
  queryId: string
  rowsRead: number
  bytesRead: number
  elapsedMs: number
}

export interface InsertBatch {
  table: string
  columns: readonly string[]
  /** Lines of JSONCompactEachRow in the order of `columns`, serialised by ourselves. */
  rows: Buffer | Readable
  /** The same batch sent again under the same token is stored once. */
  deduplicationToken: string
  settings?: Settings | undefined
  signal?: AbortSignal | undefined
}

/** One client for a server and for the embedded engine: both speak ClickHouse's HTTP interface. */
export interface ClickHouse {
  readonly embedded: boolean
  readonly database: string
  /** All rows of a SELECT as objects. @throws {ClickHouseError} */
  query: <Row extends object>(query: Sql, options?: QueryOptions) => Promise<QueryResult<Row>>
  /** The bytes of a SELECT in a line format, as they come. An error half-way destroys the stream with a ClickHouseError. */
  stream: (query: Sql, format: 'JSONEachRow' | 'JSONCompactEachRow', options?: QueryOptions) => Promise<Readable>
  /** A statement without a result: DDL, ALTER, small INSERT … VALUES. */
  command: (query: Sql, options?: QueryOptions) => Promise<void>
  /** `writtenRows` counts what was sent, also rows that the store knew by their token and left out. @throws {ClickHouseError} */
  insert: (batch: InsertBatch) => Promise<{ writtenRows: number }>
  /** Resolves when the store answers, else throws the ClickHouseError that says why not. */
  ping: (signal?: AbortSignal) => Promise<void>
  close: () => Promise<void>
}

/**
 * What a failed statement means for the one who sent it:
 * - `unavailable`: no answer (away, frozen, starting, connection lost); whether the statement ran is unknown
 * - `overloaded`: it answered that it has too much to do (too many parts or queries, memory); try later
 * - `credentials`: user or password are wrong, or rights are missing
 * - `refused`: this statement or these rows will never do (type mismatch, parse error, limit of this query)
 * - `cancelled`: by our own signal, or an operator killed the statement
 * - `timeout`: the statement ran over its own time limit
 */
export type ClickHouseErrorKind = 'unavailable' | 'overloaded' | 'credentials' | 'refused' | 'cancelled' | 'timeout'

export class ClickHouseError extends Error {
  override name = 'ClickHouseError'
  readonly kind: ClickHouseErrorKind
  /** ClickHouse's own number and name, such as 60 and UNKNOWN_TABLE, where it answered. */
  readonly code: number | undefined
  readonly type: string | undefined

  constructor(
    kind: ClickHouseErrorKind,
    message: string,
    details: { code?: number | undefined; type?: string | undefined; cause?: unknown } = {},
  ) {
    super(message, { cause: details.cause })
    this.kind = kind
    this.code = details.code
    this.type = details.type
  }
}
