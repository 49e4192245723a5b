import { literal, quoted } from '../quote.ts'
import { EngineError } from './error.ts'

/** One request's statement, taken apart as ClickHouse's HTTP interface defines it. */
export interface Statement {
  /** Text that may be empty until the body is read. */
  text: string
  database: string | undefined
  queryId: string | undefined
  format: string
  /** The client wants status and summary of the finished statement, not its first rows at once. */
  whole: boolean
  settings: ReadonlyMap<string, string>
  /** Values of `{name:Type}`, in the escaped text form that the interface defines. */
  parameters: ReadonlyMap<string, string>
}

/** Keys of the URL that are no settings. Compression of our own answers is decided in the front. */
const RESERVED = new Set([
  'query',
  'database',
  'query_id',
  'default_format',
  'user',
  'password',
  'quota_key',
  'wait_end_of_query',
  'buffer_size',
  'stacktrace',
])

/** Keys that a server understands and this front does not: refused, so that nobody relies on them by mistake. */
const UNSUPPORTED = new Set(['session_id', 'session_timeout', 'session_check', 'role', 'compress', 'decompress'])

const FORMAT_AT_END = /\bFORMAT\s+(\w+)\s*;?\s*$/i

const NAME = /^[A-Za-z_]\w*$/

export const parseStatement = (url: URL, method: string, headers: NodeJS.Dict<string | string[]>): Statement => {
  const settings = new Map<string, string>()
  const parameters = new Map<string, string>()
  for (const [key, value] of url.searchParams) {
    if (RESERVED.has(key)) continue
    if (UNSUPPORTED.has(key)) {
      throw new EngineError(48, 'NOT_IMPLEMENTED', `The embedded engine has no "${key}"; leave it out of the URL`)
    }
    const name = key.startsWith('param_') ? key.slice('param_'.length) : key
    if (!NAME.test(name)) throw new EngineError(115, 'UNKNOWN_SETTING', `Unknown setting ${JSON.stringify(key)}`)
    if (name === key) settings.set(name, value)
    else parameters.set(name, value)
  }
  // As on a server: what comes by GET must not change anything.
  if (method === 'GET') settings.set('readonly', '2')
  const header = (name: string): string | undefined => {
    const value = headers[name]
    return typeof value === 'string' ? value : undefined
  }
  return {
    text: url.searchParams.get('query') ?? '',
    database: url.searchParams.get('database') ?? header('x-clickhouse-database'),
    queryId: url.searchParams.get('query_id') ?? undefined,
    format: url.searchParams.get('default_format') ?? header('x-clickhouse-format') ?? 'TabSeparated',
    whole: url.searchParams.get('wait_end_of_query') === '1',
    settings,
    parameters,
  }
}

/**
 * The statements that go before the real one in its session: database, settings, parameters.
 * `mark` begins the session's log_comment, by which the statement is found again when it has to be killed.
 */
export const prelude = (statement: Statement, mark: string): string => {
  const comment = statement.settings.get('log_comment')
  const assignments = [`log_comment = ${literal(comment ? `${mark} ${comment}` : mark)}`]
  for (const [name, value] of statement.settings) {
    if (name !== 'log_comment') assignments.push(`${name} = ${literal(value)}`)
  }
  for (const [name, value] of statement.parameters) assignments.push(`param_${name} = ${literal(value)}`)
  const use = statement.database === undefined ? '' : `USE ${quoted(statement.database)}; `
  return `${use}SET ${assignments.join(', ')}`
}

/** The same statement with settings that it does not have yet. */
export const withDefaults = (statement: Statement, defaults: Readonly<Record<string, string>>): Statement => ({
  ...statement,
  settings: new Map([...Object.entries(defaults), ...statement.settings]),
})

/**
 * The INSERT that takes its rows from a file instead of its own text: the engine goes through text as SQL first, which costs
 * 2.2 µs a row of 290 bytes, and what follows a blank line in it would run. `input('structure')` means the body, as on a server.
 */
export const fromFile = (text: string, path: string): string => {
  const [all, structure, format] = INPUT_AT_END.exec(text) ?? []
  return all === undefined
    ? text.replace(
        FORMAT_AT_END,
        (_all, name: string) => `FROM INFILE ${literal(path)} COMPRESSION 'none' FORMAT ${name}`,
      )
    : `${text.slice(0, -all.length)}FROM file(${literal(path)}, ${format}, ${structure})`
}

/** `FROM input('a UInt8, b String') FORMAT JSONCompactEachRow` */
const INPUT_AT_END = /\bFROM\s+input\(\s*('(?:[^'\\]|\\.)*')\s*\)\s*FORMAT\s+(\w+)\s*;?\s*$/is

/** Formats in which several documents one after another are one document: rows without a header. */
const LINES = new Set(['JSONEachRow', 'JSONCompactEachRow', 'TabSeparated', 'TSV', 'CSV', 'RowBinary'])

const LEADING = /^(?:\s|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/|\()*/

const verbOf = (text: string): string => /^\w*/.exec(text.replace(LEADING, ''))![0].toUpperCase()

export type Way = 'stream' | 'read' | 'insert' | 'command'

/**
 * Which way a statement goes:
 * - `stream`: a SELECT in a line format, block by block
 * - `read`: another statement that only reads, as one document
 * - `insert`: rows in the body
 * - `command`: everything else
 */
export const wayOf = (statement: Statement): Way => {
  const verb = verbOf(statement.text)
  if (verb === 'INSERT') return FORMAT_AT_END.test(statement.text) ? 'insert' : 'command'
  if (verb === 'SELECT' || verb === 'WITH') return !statement.whole && isLines(statement) ? 'stream' : 'read'
  return /^(?:SHOW|DESCRIBE|DESC|EXISTS|EXPLAIN)$/.test(verb) ? 'read' : 'command'
}

/** The format that the rows of the answer have: the one in the text, else the default asked for. */
export const formatOf = (statement: Statement): string => FORMAT_AT_END.exec(statement.text)?.[1] ?? statement.format

const isLines = (statement: Statement): boolean => {
  // A FORMAT that is not the last word (SETTINGS may follow it) could be any format: answered as one document.
  const last = FORMAT_AT_END.test(statement.text)
  return (last || !/\bFORMAT\s+\w/i.test(statement.text)) && LINES.has(formatOf(statement))
}
