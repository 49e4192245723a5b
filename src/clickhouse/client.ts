import { text as textOf } from 'node:stream/consumers'

import type { Logger } from 'pino'

import { addressOf, connect } from './connection.ts'
import { createDeadline, type Deadline } from './deadline.ts'
import { openEmbedded } from './embedded/index.ts'
import { toClickHouseError } from './errors.ts'
import { insertRequest, statementRequest, streamRequest } from './request.ts'
import { rowStream } from './row-stream.ts'
import { createRowTypes } from './row-types.ts'
import { raw, sql } from './sql.ts'
import { type ClickHouse, ClickHouseError, type QueryOptions } from './types.ts'

const DEFAULT_SECONDS = 60
const PING_SECONDS = 5
/** What an engine that runs takes to say so, with much to spare; asked when a statement took too long. */
const ALIVE_SECONDS = 2

export interface ClickHouseOptions {
  /** `http(s)://user:pass@host:8123/database`; absent: the embedded engine in `dataDir`. */
  url?: string | undefined
  dataDir: string
  log: Logger
  /** Of the embedded engine: `owner` starts it; `attach` uses the one that a running service has, or else starts its own. */
  role?: 'owner' | 'attach'
  /** Of the embedded engine, where it is not its own `vedette`; it must exist. */
  database?: string
}

/** As `FORMAT JSON` writes it. */
interface JsonResult {
  data: object[]
  statistics: { rows_read: number; bytes_read: number }
}

/**
 * Connects to the store. The embedded engine answers before this resolves; a server at `url` may be away, which each call
 * then says.
 * @throws {Error} when the embedded engine cannot be had: who holds the data folder, or why it does not start
 */
export const createClickHouse = async (options: ClickHouseOptions): Promise<ClickHouse> => {
  const { url, dataDir, log, role = 'owner', database } = options
  const engine = url === undefined ? await openEmbedded({ dataDir, role, log }) : undefined
  const address = engine
    ? {
        url: engine.address,
        username: engine.user,
        password: engine.password,
        database: database ?? engine.database,
      }
    : addressOf(url!)
  // Two sets of sockets, so that slow reports do not keep the collector's inserts waiting for one.
  const reads = connect(address, 64)
  const writes = connect(address, 16)

  const ping = async (signal?: AbortSignal, seconds = PING_SECONDS): Promise<void> => {
    const deadline = createDeadline(seconds, signal)
    try {
      // The embedded front's /ping asks the engine itself, beside its limits; a server's would not notice a wrong password.
      await writes.ping(engine ? 'path' : 'statement', deadline)
    } catch (error) {
      if (deadline.cancelled) throw cancelled(error)
      throw toClickHouseError(deadline.passed ? new Error(`nothing came in ${seconds} s`) : error)
    } finally {
      deadline.clear()
    }
  }

  /** What went wrong, for the caller. Over its time: either this one statement takes long, or nothing answers at all. */
  const explain = async (error: unknown, deadline: Deadline): Promise<ClickHouseError> => {
    if (deadline.cancelled) return cancelled(error)
    if (!deadline.passed) return toClickHouseError(error)
    return ping(undefined, ALIVE_SECONDS).then(
      () => new ClickHouseError('timeout', `The statement took over ${deadline.seconds} s`, { cause: error }),
      (reason: unknown) => toClickHouseError(reason),
    )
  }

  /** Runs `work` under the deadline of `options`. */
  const withDeadline = async <T>(options: QueryOptions, work: (deadline: Deadline) => Promise<T>): Promise<T> => {
    const deadline = createDeadline(options.maxExecutionSeconds ?? DEFAULT_SECONDS, options.signal)
    try {
      return await work(deadline)
    } catch (error) {
      throw await explain(error, deadline)
    } finally {
      deadline.clear()
    }
  }

  /** On a server a hang-up cancels what only reads; the rest is told by name. The embedded front cancels all by itself. */
  const killOnAbort = (deadline: Deadline, queryId: string): void => {
    if (engine) return
    const kill = (): void => {
      const statement = statementRequest(sql`KILL QUERY WHERE query_id = ${queryId} ASYNC`, {}, PING_SECONDS)
      withDeadline({ maxExecutionSeconds: PING_SECONDS }, async (own) => {
        await textOf((await writes.send(statement, own)).stream)
      }).catch((error: unknown) => log.warn({ err: error, queryId }, 'could not cancel a statement'))
    }
    deadline.signal.addEventListener('abort', kill, { once: true })
  }

  const query: ClickHouse['query'] = (text, options = {}) =>
    withDeadline(options, async (deadline) => {
      const started = performance.now()
      const request = statementRequest(sql`${text}${FORMAT_JSON}`, options, deadline.seconds)
      const { stream } = await reads.sendTwice(request, deadline)
      const { data, statistics } = JSON.parse(await textOf(stream)) as JsonResult
      return {
        rows: data as never[],
        queryId: request.queryId,
        rowsRead: statistics.rows_read,
        bytesRead: statistics.bytes_read,
        elapsedMs: performance.now() - started,
      }
    })

  // On a server of any version, whether such an insert is deduplicated depends on its settings; there the plain one is safe.
  const rowTypes = engine && createRowTypes((text) => query<{ name: string; type: string }>(text))

  return {
    embedded: engine !== undefined,
    database: address.database,
    ping: (signal) => ping(signal),
    query,
    stream: async (query, format, options = {}) => {
      const deadline = createDeadline(options.maxExecutionSeconds ?? DEFAULT_SECONDS, options.signal)
      try {
        const { stream } = await reads.sendTwice(streamRequest(query, format, options, deadline.seconds), deadline)
        return rowStream(stream, (error) => explain(error, deadline)).once('close', deadline.clear)
      } catch (error) {
        deadline.clear()
        throw await explain(error, deadline)
      }
    },
    command: (query, options = {}) =>
      withDeadline(options, async (deadline) => {
        const request = statementRequest(query, options, deadline.seconds)
        killOnAbort(deadline, request.queryId)
        await textOf((await writes.send(request, deadline)).stream)
      }),
    insert: (batch) =>
      withDeadline({ signal: batch.signal }, async (deadline) => {
        const structure = await rowTypes?.structureOf(batch.table, batch.columns)
        const request = insertRequest(batch, structure, deadline.seconds)
        killOnAbort(deadline, request.queryId)
        // A stream of rows is gone once it was sent.
        const send = Buffer.isBuffer(batch.rows) ? writes.sendTwice : writes.send
        try {
          const { stream, writtenRows } = await send(request, deadline)
          await textOf(stream)
          return { writtenRows }
        } catch (error) {
          if (error instanceof ClickHouseError && error.kind === 'refused') rowTypes?.forget(batch.table)
          throw error
        }
      }),
    close: async () => {
      await Promise.all([reads.close(), writes.close()])
      await engine?.stop()
    },
  }
}

const FORMAT_JSON = raw('\nFORMAT JSON')

const cancelled = (cause: unknown): ClickHouseError =>
  new ClickHouseError('cancelled', 'The call was cancelled', { cause })
