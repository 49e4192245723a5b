import { expect, it } from 'vitest'

import { testApp } from '../../support/app.ts'
import { testDatabase } from '../../support/clickhouse.ts'

const database = testDatabase()
const service = testApp(database, { TRUSTED_PROXIES: '127.0.0.1' })

const graphql = async (query: string) => {
  const response = await service.request('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  })
  return (await response.json()) as { data: Record<string, any>; errors?: unknown }
}

const decide = async (ip: string): Promise<number> => {
  const response = await service.request('/v1/decide', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ip, service: 'shop', path: '/login' }),
  })
  await response.arrayBuffer()
  return response.status
}

it('every decision of /v1/decide shows in rateLimitEffectiveness, in hits and in the metrics', async () => {
  const added = await graphql(
    'mutation { addBlockListEntry(input: { cidr: "198.51.100.9", reason: "test" }) { entry { id } } }',
  )
  const { id } = added.data['addBlockListEntry'].entry
  const statuses: number[] = []
  for (let request = 0; request < 8; request++) statuses.push(await decide('203.0.113.7'))
  for (let request = 0; request < 3; request++) statuses.push(await decide('198.51.100.9'))
  // The built-in policy lets five a minute pass.
  expect(statuses).toEqual([200, 200, 200, 200, 200, 429, 429, 429, 403, 403, 403])

  const range = 'timeRange: { last: "1h" }'
  const query = `{ rateLimitEffectiveness(${range}) { totals { evaluated allowed limited blocked uniqLimitedClients } } blockList { nodes { id hits(${range}) } } }`
  await expect
    .poll(async () => (await graphql(query)).data)
    .toEqual({
      rateLimitEffectiveness: {
        totals: { evaluated: 8, allowed: 5, limited: 3, blocked: 3, uniqLimitedClients: 1 },
      },
      blockList: { nodes: [{ id, hits: 3 }] },
    })
  const metrics = await (await service.request('/metrics')).text()
  for (const line of ['allowed"} 5', 'limited"} 3', 'blocked"} 3', 'shadow_limited"} 0'])
    expect(metrics).toContain(`vedette_decisions_total{outcome="${line}`)
})
