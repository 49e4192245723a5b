import { GraphQLError } from 'graphql'

import { AnalyticsError, type AnalyticsErrorCode } from '../analytics/index.ts'
import type { Log } from '../http/index.ts'
import { StoreError } from '../store/index.ts'

/** Public codes of `extensions.code` and the HTTP status of an answer that holds nothing else. */
export const STATUS: Record<
  AnalyticsErrorCode | 'FORBIDDEN' | 'QUERY_TOO_EXPENSIVE' | 'RATE_LIMITED' | 'BAD_USER_INPUT' | 'INTERNAL',
  number
> = {
  INVALID_ARGUMENT: 400,
  BAD_USER_INPUT: 400,
  FORBIDDEN: 403,
  LIMIT_EXCEEDED: 422,
  QUERY_TOO_EXPENSIVE: 422,
  RATE_LIMITED: 429,
  CANCELLED: 499,
  INTERNAL: 500,
  OVERLOADED: 503,
  UNAVAILABLE: 503,
  TIMEOUT: 504,
}

export type PublicCode = keyof typeof STATUS

/** An error whose message is meant for the client. */
export const publicError = (
  code: PublicCode,
  message: string,
  extensions: Record<string, unknown> = {},
): GraphQLError => new GraphQLError(message, { extensions: { code, ...extensions } })

const rootOf = (error: unknown): unknown =>
  error instanceof GraphQLError && error.originalError ? rootOf(error.originalError) : error

/** The same place in the document and the answer, with another message. */
const inPlaceOf = (error: unknown, code: PublicCode, message: string, extensions: Record<string, unknown> = {}) =>
  new GraphQLError(message, {
    ...(error instanceof GraphQLError
      ? { nodes: error.nodes, source: error.source, positions: error.positions, path: error.path }
      : {}),
    extensions: { code, ...extensions },
  })

/** What goes out: our own refusals as they are; anything else as INTERNAL, with the reason in the log alone. */
export const createErrorMask =
  (log: Log) =>
  (error: unknown): Error => {
    const root = rootOf(error)
    if (root instanceof AnalyticsError) {
      if (STATUS[root.code] >= 500) log.warn({ err: root, cause: root.cause }, 'a question had no answer')
      return inPlaceOf(error, root.code, root.message, root.argument === undefined ? {} : { argument: root.argument })
    }
    if (root instanceof StoreError && root.code === 'UNAVAILABLE') {
      log.warn({ err: root }, 'the store of API keys is away')
      return inPlaceOf(error, 'UNAVAILABLE', root.message)
    }
    if (root instanceof GraphQLError) return error as Error
    log.error({ err: root }, 'a resolver failed')
    return inPlaceOf(error, 'INTERNAL', 'This is a fault of the service, not of the query; its log says more.')
  }

/** Status of an answer without data, by its worst error. */
export const statusOf = (errors: readonly GraphQLError[]): number =>
  Math.max(400, ...errors.map((error) => STATUS[error.extensions['code'] as PublicCode] ?? 400))
