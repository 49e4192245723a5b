/**
 * Stable codes of what can go wrong with a question:
 * - `INVALID_ARGUMENT`: an argument does not fit; the message names it, what was given and what is allowed
 * - `LIMIT_EXCEEDED`: it would read or hold more than one question may; the message says what makes it smaller
 * - `TIMEOUT`: it ran over its time
 * - `CANCELLED`: the asker hung up
 * - `OVERLOADED`, `UNAVAILABLE`: the store has too much to do, or does not answer; the same question may work later
 */
export type AnalyticsErrorCode =
  | 'INVALID_ARGUMENT'
  | 'LIMIT_EXCEEDED'
  | 'TIMEOUT'
  | 'CANCELLED'
  | 'OVERLOADED'
  | 'UNAVAILABLE'

/** A failure fit for the one who asked: the message holds no SQL. */
export class AnalyticsError extends Error {
  override name = 'AnalyticsError'
  readonly code: AnalyticsErrorCode
  /** Path of the argument, such as `where.clientIp.in[2]`. */
  readonly argument: string | undefined

  constructor(code: AnalyticsErrorCode, message: string, details: { argument?: string; cause?: unknown } = {}) {
    super(message, { cause: details.cause })
    this.code = code
    this.argument = details.argument
  }
}

const shown = (given: unknown): string => {
  const text = given instanceof Date ? given.toISOString() : (JSON.stringify(given) ?? String(given))
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}

/** `throw invalid('limit', 0, 'a whole number from 1 to 10000')` → "limit is 0; allowed is a whole number from 1 to 10000" */
export const invalid = (argument: string, given: unknown, allowed: string): AnalyticsError =>
  new AnalyticsError('INVALID_ARGUMENT', `${argument} is ${shown(given)}; allowed is ${allowed}`, { argument })

/** For rules between arguments, where no single value is wrong. */
export const conflicting = (argument: string, message: string): AnalyticsError =>
  new AnalyticsError('INVALID_ARGUMENT', message, { argument })

/** @throws {AnalyticsError} unless `given` is a whole number from `min` to `max` */
export const checkInteger = (argument: string, given: number, min: number, max: number): number => {
  if (Number.isInteger(given) && given >= min && given <= max) return given
  throw invalid(argument, given, `a whole number from ${min} to ${max}`)
}
