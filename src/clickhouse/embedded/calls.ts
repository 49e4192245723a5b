import { randomUUID } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { literal } from '../quote.ts'
import { EngineError, setVersion, toEngineError } from './error.ts'
import { createLane, type Lane, PLACES } from './lane.ts'
import { loadLibrary, type Connection } from './library.ts'
import { fromFile, prelude, type Statement, withDefaults } from './statement.ts'

const QUEUE = 128
const KILL_EVERY_MS = 100

/**
 * A streamed result comes block by block, and several blocks are in memory at once. By default one has 65,409 rows, 66 MB of
 * 1 KB rows; a quarter of that costs 0.06 µs a row more.
 */
const STREAM_DEFAULTS = { max_block_size: '16384' }

/**
 * One thread an insert: batches are small and several come at once, and parsing each in parallel costs 0.9 µs a row more. It
 * also keeps the rows in their order, without which a batch sent again would not be known; the engine refuses the insert
 * (`force_enable`) rather than store it twice, should it ever see that otherwise.
 */
const INSERT_DEFAULTS = {
  input_format_parallel_parsing: '0',
  max_threads: '1',
  max_insert_threads: '1',
  deduplicate_insert_select: 'force_enable',
}

const isDiskFull = (error: unknown): boolean =>
  ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException | undefined)?.code ?? '')

export interface Whole {
  bytes: Buffer
  rowsRead: number
  bytesRead: number
}

export interface Calls {
  /** The result as one document. */
  whole: (statement: Statement, kind: 'reads' | 'commands', signal: AbortSignal) => Promise<Whole>
  /** The result of a SELECT in blocks; the next one is computed when it is asked for. */
  blocks: (statement: Statement, signal: AbortSignal) => AsyncGenerator<Buffer, void, undefined>
  /** An INSERT with its rows in the format that the statement ends with. */
  insert: (statement: Statement, rows: Buffer, signal: AbortSignal) => Promise<void>
  /** Resolves when the engine has run a statement, beside all limits. */
  ping: () => Promise<void>
  running: () => number
  close: () => void
}

/**
 * Opens the engine on a folder. Every call has a session of its own, so no setting outlives its statement; `settings` are
 * what a statement runs with unless it says otherwise.
 */
export const openEngine = async (
  folder: string,
  engineArguments: readonly string[],
  settings: Readonly<Record<string, string>>,
): Promise<Calls> => {
  const library = loadLibrary()
  // Kept open for as long as the process lives: the engine shuts down with its last connection.
  const root = library.CreateConnection(folder, engineArguments)
  // Rows on their way into the engine; what a killed engine left there was not acknowledged.
  const inserts = join(folder, 'inserts')
  rmSync(inserts, { recursive: true, force: true })
  mkdirSync(inserts, { mode: 0o700 })
  const lanes: Record<keyof typeof PLACES, Lane> = {
    reads: createLane(PLACES.reads, QUEUE),
    inserts: createLane(PLACES.inserts, QUEUE),
    commands: createLane(PLACES.commands, QUEUE),
  }
  const version = await library.QueryAsyncConnection(root, 'SELECT version()', 'TSVRaw')
  setVersion(version.bytes.toString().trim())

  const withConnection = async <T>(run: (connection: Connection) => Promise<T>): Promise<T> => {
    const connection = library.CreateConnection(folder)
    try {
      return await run(connection)
    } finally {
      library.CloseConnection(connection)
    }
  }

  const kill = async (mark: string): Promise<void> => {
    const statement = `KILL QUERY WHERE startsWith(Settings['log_comment'], ${literal(mark)}) ASYNC`
    // A failed KILL is tried again with the next tick.
    await withConnection((connection) => library.QueryAsyncConnection(connection, statement, 'Null')).catch(() => {})
  }

  /** Kills the statement when the signal fires, and again until `done`: it may have been between two steps. */
  const killOnAbort = (mark: string, signal: AbortSignal): (() => void) => {
    let timer: NodeJS.Timeout | undefined
    let done = false
    const strike = async (): Promise<void> => {
      await kill(mark)
      if (!done) timer = setTimeout(() => void strike(), KILL_EVERY_MS)
    }
    const onAbort = (): void => void strike()
    signal.addEventListener('abort', onAbort, { once: true })
    return () => {
      done = true
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    }
  }

  const begin = async (lane: Lane, statement: Statement, signal: AbortSignal) => {
    const leave = await lane.enter(signal)
    const mark = randomUUID()
    const connection = library.CreateConnection(folder)
    const done = killOnAbort(mark, signal)
    const end = (): void => {
      done()
      library.CloseConnection(connection)
      leave()
    }
    try {
      await library.QueryAsyncConnection(connection, prelude(withDefaults(statement, settings), mark), 'Null')
      signal.throwIfAborted()
    } catch (error) {
      end()
      throw toEngineError(error)
    }
    return { connection, end }
  }

  const call = async <T>(
    lane: Lane,
    statement: Statement,
    signal: AbortSignal,
    run: (connection: Connection) => Promise<T>,
  ): Promise<T> => {
    const { connection, end } = await begin(lane, statement, signal)
    try {
      return await run(connection)
    } catch (error) {
      throw toEngineError(error)
    } finally {
      end()
    }
  }

  let pinging: Promise<void> | undefined
  return {
    whole: (statement, kind, signal) =>
      call(lanes[kind], statement, signal, (connection) =>
        library.QueryAsyncConnection(connection, statement.text, statement.format),
      ),
    blocks: async function* (statement, signal) {
      const { connection, end } = await begin(lanes.reads, withDefaults(statement, STREAM_DEFAULTS), signal)
      let cancel: (() => void) | undefined
      try {
        const cursor = library.StreamQuery(connection, statement.text, statement.format)
        cancel = () => library.StreamCancel(cursor)
        for (;;) {
          const block = await library.StreamFetch(cursor)
          if (block.done) break
          if (block.bytes.length > 0) yield block.bytes
          if (signal.aborted) return
        }
        cancel = undefined
      } catch (error) {
        // A cursor that has failed is gone already.
        cancel = undefined
        throw toEngineError(error)
      } finally {
        cancel?.()
        end()
      }
    },
    insert: async (statement, rows, signal) => {
      const path = join(inserts, `${randomUUID()}.rows`)
      try {
        // Gone again before the system would write it to the disk.
        await writeFile(path, rows, { mode: 0o600 })
        const insert = { ...withDefaults(statement, INSERT_DEFAULTS), text: fromFile(statement.text, path) }
        await call(lanes.inserts, insert, signal, (connection) =>
          library.QueryAsyncConnection(connection, insert.text, 'Null'),
        )
      } catch (error) {
        throw isDiskFull(error)
          ? new EngineError(243, 'NOT_ENOUGH_SPACE', `No space left for rows in ${inserts}`)
          : error
      } finally {
        await rm(path, { force: true })
      }
    },
    ping: () => {
      pinging ??= withConnection((connection) => library.QueryAsyncConnection(connection, 'SELECT 1', 'Null'))
        .then(() => {})
        .finally(() => {
          pinging = undefined
        })
      return pinging
    },
    running: () => Object.values(lanes).reduce((sum, lane) => sum + lane.running, 0),
    close: () => library.CloseConnection(root),
  }
}

export const cancelledError = (): EngineError => new EngineError(394, 'QUERY_WAS_CANCELLED', 'Query was cancelled')
