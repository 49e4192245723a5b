import type { ServerResponse } from 'node:http'

import type { Denial } from './denial.ts'

/** Answers for the service. Headers that others have set before, such as CORS, stay. */
export const refuse = (response: ServerResponse, { status, headers, body }: Denial): void => {
  response.statusCode = status
  for (const [name, value] of headers) response.setHeader(name, value)
  response.end(body)
}
