import { serverAudits } from 'graphql-http'
import { describe, expect, it } from 'vitest'

import { testDatabase } from '../support/clickhouse.ts'
import { testGraphql } from './support.ts'

const api = testGraphql(testDatabase())

/** Every request of the audit with a key; it knows of none. */
const fetchFn = async (url: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${api.url}${new URL(url).pathname}${new URL(url).search}`, {
    ...init,
    headers: { ...(init.headers as Record<string, string>), 'x-api-key': await api.key(['ADMIN']) },
  })

describe('GraphQL over HTTP, as the working group audits it', () => {
  const audits = serverAudits({ url: 'http://audit/graphql', fetchFn })

  it.each(audits.map((audit) => [audit.id, audit.name, audit.fn] as const))('%s %s', async (_id, _name, run) => {
    const result = await run()
    expect(result, 'reason' in result ? result.reason : '').toMatchObject({ status: 'ok' })
  })

  it('has 61 parts', () => {
    expect(audits).toHaveLength(61)
  })
})
