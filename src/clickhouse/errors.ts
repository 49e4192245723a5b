import { ClickHouseError, type ClickHouseErrorKind } from './types.ts'

/** What ClickHouse's own numbers mean for the sender; every other number is `refused`. */
const KIND_BY_CODE: Partial<Record<ClickHouseErrorKind, readonly number[]>> = {
  overloaded: [
    201, // QUOTA_EXCEEDED
    202, // TOO_MANY_SIMULTANEOUS_QUERIES
    241, // MEMORY_LIMIT_EXCEEDED
    242, // TABLE_IS_READ_ONLY: a replica without its keeper
    243, // NOT_ENOUGH_SPACE
    252, // TOO_MANY_PARTS
    285, // TOO_FEW_LIVE_REPLICAS
    286, // UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
    319, // UNKNOWN_STATUS_OF_INSERT
    439, // CANNOT_SCHEDULE_TASK
    473, // DEADLOCK_AVOIDED
    692, // TOO_MANY_MUTATIONS
    745, // SERVER_OVERLOADED
  ],
  unavailable: [
    203, // NO_FREE_CONNECTION
    209, // SOCKET_TIMEOUT
    210, // NETWORK_ERROR
    225, // NO_ZOOKEEPER
    236, // ABORTED: the server is shutting down
    279, // ALL_CONNECTION_TRIES_FAILED
    999, // KEEPER_EXCEPTION
  ],
  credentials: [
    164, // READONLY
    192, // UNKNOWN_USER
    193, // WRONG_PASSWORD
    194, // REQUIRED_PASSWORD
    195, // IP_ADDRESS_NOT_ALLOWED
    291, // DATABASE_ACCESS_DENIED
    497, // ACCESS_DENIED
    516, // AUTHENTICATION_FAILED
  ],
  cancelled: [
    394, // QUERY_WAS_CANCELLED
    735, // QUERY_WAS_CANCELLED_BY_CLIENT
  ],
  timeout: [
    159, // TIMEOUT_EXCEEDED
    160, // TOO_SLOW
  ],
}

const kindByCode = new Map(
  Object.entries(KIND_BY_CODE).flatMap(([kind, codes]) => codes.map((code) => [code, kind as ClickHouseErrorKind])),
)

/** Numbers of `overloaded` under which ClickHouse also says that one statement is too large by itself, and will be next time. */
const OF_ONE_STATEMENT: Record<number, RegExp> = {
  241: /\(for query\)|query memory limit/i,
  252: /partitions for single INSERT/i,
}

/** What a ClickHouse error number means; the text decides where one number has two meanings. */
export const kindOf = (code: number, message: string): ClickHouseErrorKind => {
  if (OF_ONE_STATEMENT[code]?.test(message)) return 'refused'
  return kindByCode.get(code) ?? 'refused'
}

/** What an answer with an error says: `Code: 60. DB::Exception: … (UNKNOWN_TABLE) (version 26.7.2.1)`. */
export const parseAnswer = (answer: string): ClickHouseError => {
  const text = answer.trim()
  const [, code, message, type] =
    /^(?:Code|Error): (\d+)\. DB::Exception: (.*?)(?: \(([A-Z][A-Z0-9_]+)\))?(?: \(version [^)]*(?:\([^)]*\))?[^)]*\))?$/s.exec(
      text,
    ) ?? []
  if (code === undefined || message === undefined) {
    // A proxy in front of ClickHouse, or something else altogether.
    return new ClickHouseError('unavailable', `What answers is not ClickHouse: ${text.slice(0, 200)}`)
  }
  return new ClickHouseError(kindOf(Number(code), message), message, { code: Number(code), type })
}

/** Any failure of a call, as the one error that callers know. */
export const toClickHouseError = (error: unknown): ClickHouseError => {
  if (error instanceof ClickHouseError) return error
  const reason =
    error instanceof Error
      ? [(error as NodeJS.ErrnoException).code, error.message].filter(Boolean).join(' ')
      : String(error)
  return new ClickHouseError('unavailable', `ClickHouse does not answer: ${reason}`, { cause: error })
}

/** Whether a connection broke, rather than a statement failed: a kept-alive socket that the other side had closed. */
export const isBrokenConnection = (error: unknown): boolean =>
  error instanceof Error &&
  (['ECONNRESET', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '') || error.message === 'socket hang up')
