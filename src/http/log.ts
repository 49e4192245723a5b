import { type DestinationStream, type Logger, pino } from 'pino'

import type { LogLevel } from '../config.ts'

export type Log = Logger

/** Headers and fields that hold secrets, wherever an object that is logged has them. */
const SECRET_FIELDS = [
  'authorization',
  'cookie',
  'set-cookie',
  'x-api-key',
  'proxy-authorization',
  'secret',
  'password',
]

const REDACTED = SECRET_FIELDS.flatMap((name) =>
  ['', '*.', '*.*.', '*.*.*.'].map((depth) =>
    name.includes('-') ? `${depth.replace(/\.$/, '')}["${name}"]` : `${depth}${name}`,
  ),
)

/**
 * What no line may hold, whatever brought it there (a driver's message, a stack): passwords in URLs, our keys, and
 * credentials as headers carry them.
 */
const scrub = (line: string): string =>
  line
    .replace(/(\/\/[^\s/:@"\\]*):[^\s/@"\\]+@/g, '$1:***@')
    .replace(/\bvdt_\w{8,}/g, 'vdt_***')
    .replace(/\b(Bearer|Basic|Token) +[\w.~+/=-]{8,}/gi, '$1 ***')

/**
 * The one place where logging is set up: JSON lines on stderr, so that stdout stays for what a command prints.
 * @param destination for tests
 */
export const createLog = (level: LogLevel, destination?: DestinationStream): Log =>
  pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: REDACTED, censor: '***' },
      hooks: { streamWrite: scrub },
    },
    destination ?? pino.destination({ fd: 2, sync: false }),
  )
