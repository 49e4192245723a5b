import { STATUS_CODES } from 'node:http'

export interface ProblemOptions {
  /** In a few words, the same for every problem of its sort. Default: the name of the status. */
  title?: string
  /** What was wrong with this request, and the way out. */
  detail?: string
  /** A URI that identifies the sort of problem. Default `about:blank`: the status says it all. */
  type?: string
  /** Further members of the answer, such as `errors`. */
  extensions?: Record<string, unknown>
  /** Headers of the answer, such as `Retry-After`. */
  headers?: Record<string, string>
  /** Goes to the log, never out. */
  cause?: unknown
}

/** Throw it in a route: it becomes an answer of `application/problem+json` (RFC 9457). */
export class Problem extends Error {
  override name = 'Problem'
  readonly status: number
  readonly title: string
  readonly detail: string | undefined
  readonly type: string
  readonly extensions: Record<string, unknown>
  readonly headers: Record<string, string>

  constructor(status: number, options: ProblemOptions = {}) {
    const title = options.title ?? STATUS_CODES[status] ?? 'Error'
    super(options.detail ?? title, { cause: options.cause })
    this.status = status
    this.title = title
    this.detail = options.detail
    this.type = options.type ?? 'about:blank'
    this.extensions = options.extensions ?? {}
    this.headers = options.headers ?? {}
  }
}

/** `throw problem(503, { detail: 'the spool is full', headers: { 'Retry-After': '5' } })` */
export const problem = (status: number, options?: ProblemOptions): Problem => new Problem(status, options)

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'

/** The answer's body. `requestId` finds the lines in the log that belong to it. */
export const problemBody = (from: Problem, requestId?: string): string =>
  JSON.stringify({
    type: from.type,
    title: from.title,
    status: from.status,
    detail: from.detail,
    ...from.extensions,
    requestId,
  })
