import { setImmediate as turn } from 'node:timers/promises'

import {
  type ClickHouse,
  ClickHouseError,
  type QueryOptions,
  type Settings,
  type Sql,
  sql,
} from '../clickhouse/index.ts'
import { AnalyticsError } from './errors.ts'
import type { CompiledFilter } from './filter.ts'
import { LIMITS } from './limits.ts'

/** For whom a question is answered. */
export interface Asker {
  /** The only services whose requests they see; null: all. */
  services: readonly string[] | null
  /** Aborted when they hang up: the statement is cancelled in the store. */
  signal?: AbortSignal | undefined
  /** Goes to `log_comment`, such as `graphql requestLogs key=ab12`. */
  comment: string
}

/** What the statements of one question cost, added up. */
export interface Spent {
  /** Of the first statement, as the store's query log knows it. */
  queryId: string
  rowsRead: number
  bytesRead: number
  elapsedMs: number
  /** Texts of the statements, without the values. */
  statements: string[]
}

/** Runs the statements of one question. */
export interface Run {
  <Row extends object>(statement: Sql): Promise<Row[]>
  /** Rows as lists, one after the other, of a statement with more of them than memory should hold. `spent` knows its text alone. */
  stream: <Row extends readonly unknown[]>(statement: Sql) => AsyncGenerator<Row>
  spent: Spent
}

export type StatementLimits = Pick<
  typeof LIMITS,
  'maxRowsToRead' | 'maxMemoryBytes' | 'maxRows' | 'maxExecutionSeconds'
>

const settingsOf = ({ maxRowsToRead, maxMemoryBytes, maxRows }: StatementLimits): Settings => ({
  max_rows_to_read: maxRowsToRead,
  read_overflow_mode: 'throw',
  max_memory_usage: maxMemoryBytes,
  max_result_rows: maxRows + 1,
  result_overflow_mode: 'throw',
  // 64-bit numbers come as text and are read with care; NaN (0 of 0) comes as null.
  output_format_json_quote_64bit_integers: 1,
  output_format_json_quote_denormals: 0,
})

const NEWLINE = 0x0a

const SMALLER = 'ask for a shorter timeRange, a narrower where, or fewer dimensions'

/** What a failed statement means for the asker. Other errors are faults of ours and go on as they are. */
const explain = (error: ClickHouseError, limits: StatementLimits): AnalyticsError | ClickHouseError => {
  const tooMuch = ['TOO_MANY_ROWS', 'TOO_MANY_BYTES', 'TOO_MANY_ROWS_OR_BYTES', 'MEMORY_LIMIT_EXCEEDED']
  if (error.kind !== 'unavailable' && tooMuch.includes(error.type ?? ''))
    return new AnalyticsError(
      'LIMIT_EXCEEDED',
      `this question reads more than ${limits.maxRowsToRead} rows or needs more than ${limits.maxMemoryBytes} bytes of memory; ${SMALLER}`,
      { cause: error },
    )
  switch (error.kind) {
    case 'timeout':
      return new AnalyticsError('TIMEOUT', `no answer within ${limits.maxExecutionSeconds} s; ${SMALLER}`, {
        cause: error,
      })
    case 'cancelled':
      return new AnalyticsError('CANCELLED', 'the request was cancelled', { cause: error })
    case 'overloaded':
      return new AnalyticsError('OVERLOADED', 'the store has too much to do; try again in a few seconds', {
        cause: error,
      })
    case 'unavailable':
      return new AnalyticsError('UNAVAILABLE', 'the store does not answer; try again in a few seconds', {
        cause: error,
      })
    default:
      return error
  }
}

/** Longest stretch of reading a stream before others get the event loop. */
const SLICE_MS = 5

/** Lines of a stream, without their ends. Whoever works on them gives way to others, too. */
async function* linesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let parts: Buffer[] = []
  let sliceEnds = performance.now() + SLICE_MS
  for await (const chunk of stream) {
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      parts.push(chunk.subarray(from, end))
      if (performance.now() > sliceEnds) {
        await turn()
        sliceEnds = performance.now() + SLICE_MS
      }
      yield Buffer.concat(parts).toString()
      parts = []
      from = end + 1
    }
    parts.push(chunk.subarray(from))
  }
}

export const createRunner =
  (clickhouse: ClickHouse, newQueryId: () => string, limits: StatementLimits = LIMITS) =>
  (asker: Asker): Run => {
    const spent: Spent = { queryId: newQueryId(), rowsRead: 0, bytesRead: 0, elapsedMs: 0, statements: [] }
    const optionsFor = (statement: Sql): QueryOptions => {
      const number = spent.statements.push(statement.compile().text)
      return {
        signal: asker.signal,
        queryId: number === 1 ? spent.queryId : `${spent.queryId}-${number}`,
        comment: asker.comment,
        maxExecutionSeconds: limits.maxExecutionSeconds,
        settings: settingsOf(limits),
      }
    }
    const run = async <Row extends object>(statement: Sql): Promise<Row[]> => {
      try {
        const result = await clickhouse.query<Row>(statement, optionsFor(statement))
        spent.rowsRead += result.rowsRead
        spent.bytesRead += result.bytesRead
        spent.elapsedMs += result.elapsedMs
        return result.rows
      } catch (error) {
        throw error instanceof ClickHouseError ? explain(error, limits) : error
      }
    }
    async function* stream<Row extends readonly unknown[]>(statement: Sql): AsyncGenerator<Row> {
      const { settings, ...options } = optionsFor(statement)
      try {
        const rows = await clickhouse.stream(statement, 'JSONCompactEachRow', {
          ...options,
          settings: { ...settings, max_result_rows: 0, output_format_json_quote_64bit_integers: 0 },
        })
        for await (const line of linesOf(rows)) yield JSON.parse(line) as Row
      } catch (error) {
        throw error instanceof ClickHouseError ? explain(error, limits) : error
      }
    }
    return Object.assign(run, { spent, stream })
  }

const CANNOT_COMPILE_REGEXP = 427
const isRegexpError = (error: unknown): boolean =>
  error instanceof ClickHouseError && error.code === CANNOT_COMPILE_REGEXP

/**
 * Runs what uses a filter; where the store refuses a regular expression, finds out which one it is and says so.
 * @throws {AnalyticsError}
 */
export const withPatterns = async <T>(run: Run, { patterns }: CompiledFilter, work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (error) {
    if (!isRegexpError(error)) throw error
    for (const { argument, pattern } of patterns) {
      try {
        await run(sql`SELECT match('', ${pattern}) AS matched`)
      } catch (refusal) {
        if (!isRegexpError(refusal)) throw refusal
        const reason = /error: (.*?)\. Look at/s.exec((refusal as Error).message)?.[1]
        throw new AnalyticsError(
          'INVALID_ARGUMENT',
          `${argument} is ${JSON.stringify(pattern)}; allowed is a regular expression of RE2 (no look-around, no back-references)${reason ? `: ${reason}` : ''}`,
          { argument, cause: refusal },
        )
      }
    }
    throw error
  }
}
