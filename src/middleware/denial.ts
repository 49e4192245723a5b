import type { Decision } from './decision.ts'

const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'

const problem = (status: number, title: string, detail: string) => {
  const body = JSON.stringify({ type: 'about:blank', title, status, detail })
  return { status, body, length: String(Buffer.byteLength(body)) }
}

const PROBLEMS = {
  limited: problem(429, 'Too Many Requests', 'Too many requests; Retry-After says in how many seconds to come again.'),
  blocked: problem(403, 'Forbidden', 'Requests from this address are blocked.'),
  none: problem(503, 'Service Unavailable', 'Whether this request may pass cannot be known at the moment.'),
}

export interface Denial {
  status: number
  headers: [name: string, value: string][]
  body: string
}

/** How a request is refused. Undefined: there was no decision, and the service wants none to pass then. */
export const denialOf = (decision: Decision | undefined): Denial => {
  const { status, body, length } =
    PROBLEMS[decision?.outcome === 'limited' || decision?.outcome === 'blocked' ? decision.outcome : 'none']
  const headers: Denial['headers'] = decision
    ? [...decision.headers, ['X-Vedette-Decision', decision.outcome]]
    : [['Retry-After', '1']]
  headers.push(['Content-Type', PROBLEM_TYPE], ['Content-Length', length], ['Cache-Control', 'no-store'])
  return { status, headers, body }
}
