import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

declare const connection: unique symbol
declare const cursor: unique symbol
export type Connection = { [connection]: true }
export type Cursor = { [cursor]: true }

/**
 * What we use of chdb's native addon. Its JavaScript sessions are left aside: they put off closing a connection until every
 * call of the process has settled, so one long query would keep the connections of thousands of inserts open.
 * A connection must not be closed while a call on it runs: that aborts the engine.
 */
export interface Library {
  CreateConnection: (path: string, engineArguments?: readonly string[]) => Connection
  CloseConnection: (connection: Connection) => void
  /** Runs one or several statements; the result of the last one as one document. */
  QueryAsyncConnection: (
    connection: Connection,
    sql: string,
    format: string,
  ) => Promise<{ bytes: Buffer; rowsRead: number; bytesRead: number; elapsed: number }>
  /** Plans one SELECT without running it. */
  StreamQuery: (connection: Connection, sql: string, format: string) => Cursor
  /** The next block of rows as one document of the format. */
  StreamFetch: (cursor: Cursor) => Promise<{ bytes: Buffer; numRows: number; done: boolean }>
  StreamCancel: (cursor: Cursor) => void
}

const REMEDY =
  'Install it with "npm install chdb" (Linux with glibc or macOS), or set CLICKHOUSE_URL to the address of a ClickHouse server.'

/** @throws {Error} that names the remedy where the optional dependency is missing or does not load */
export const loadLibrary = (): Library => {
  const require = createRequire(import.meta.url)
  let entry: string
  try {
    entry = require.resolve('chdb')
  } catch {
    throw new Error(`The embedded ClickHouse engine (npm package "chdb") is not installed. ${REMEDY}`)
  }
  try {
    const loader = require(join(dirname(entry), 'dist/loader.js')) as { loadNative: () => Library }
    return loader.loadNative()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause)
    throw new Error(`The embedded ClickHouse engine does not load on this machine: ${reason}. ${REMEDY}`, { cause })
  }
}
