import { expect, it } from 'vitest'

import { testDatabase } from '../support/clickhouse.ts'
import { type Answer, testGraphql } from './support.ts'

const api = testGraphql(testDatabase())
const create = (args: string, secret?: string) =>
  api.ask(
    `mutation { createApiKey(${args}) { apiKey { id name prefix scopes services createdAt expiresAt revokedAt } secret userErrors { code message field } } }`,
    secret === undefined ? {} : { secret },
  )

it('makes a key that works at once, shows its secret once, and revokes it at once', async () => {
  const { createApiKey: made } = (
    await create('name: "grafana", scopes: [ANALYTICS_READ], services: ["shop"], expiresAt: "2099-01-01"')
  ).json.data
  expect(made.userErrors).toEqual([])
  expect(made.apiKey).toMatchObject({
    name: 'grafana',
    scopes: ['ANALYTICS_READ'],
    services: ['shop'],
    expiresAt: '2099-01-01T00:00:00.000Z',
    revokedAt: null,
  })
  expect(made.secret.startsWith(made.apiKey.prefix)).toBe(true)
  const viewer = await api.ask('{ viewer { apiKey { id } scopes services } }', { secret: made.secret })
  expect(viewer.json.data.viewer).toEqual({
    apiKey: { id: made.apiKey.id },
    scopes: ['ANALYTICS_READ'],
    services: ['shop'],
  })

  const found = await api.ask(`{ node(id: "${made.apiKey.id}") { __typename ... on ApiKey { name } } }`)
  expect(found.json.data.node).toEqual({ __typename: 'ApiKey', name: 'grafana' })
  const listed = await api.ask('{ apiKeys { nodes { id name } totalCount } }')
  expect(listed.json.data.apiKeys.nodes).toContainEqual({ id: made.apiKey.id, name: 'grafana' })
  expect(listed.text).not.toContain(made.secret)

  const revoked = await api.ask(
    `mutation { revokeApiKey(id: "${made.apiKey.id}") { apiKey { revokedAt } secret userErrors { code } } }`,
  )
  expect(revoked.json.data.revokeApiKey).toEqual({
    apiKey: { revokedAt: expect.any(String) },
    secret: null,
    userErrors: [],
  })
  expect((await api.ask('{ viewer { timezone } }', { secret: made.secret })).status).toBe(401)
})

it('says as user errors what cannot be', async () => {
  const empty = (await create('name: "", scopes: [COLLECT]')).json.data.createApiKey
  expect(empty).toMatchObject({ apiKey: null, secret: null, userErrors: [{ code: 'INVALID', field: ['name'] }] })
  const unknown = (
    await api.ask('mutation { revokeApiKey(id: "key_none") { apiKey { id } userErrors { code field } } }')
  ).json.data.revokeApiKey
  expect(unknown).toEqual({ apiKey: null, userErrors: [{ code: 'NOT_FOUND', field: ['id'] }] })
})

it('pages through keys', async () => {
  const ids: string[] = []
  let after: string | null = null
  do {
    const answer: Answer = await api.ask(
      `query ($after: String) { apiKeys(first: 2, after: $after) { edges { cursor node { id } } pageInfo { nextCursor } totalCount } }`,
      { variables: { after } },
    )
    const { apiKeys } = answer.json.data
    ids.push(...apiKeys.edges.map((edge: { node: { id: string } }) => edge.node.id))
    after = apiKeys.pageInfo.nextCursor
    expect(apiKeys.totalCount).toBe(api.keys.list().length)
  } while (after !== null)
  expect(ids).toEqual(api.keys.list().map(({ id }) => id))
  expect((await api.ask('{ apiKeys(after: "nonsense") { totalCount } }')).json.errors[0].message).toContain(
    'after is "nonsense"',
  )
  expect((await api.ask('{ apiKeys(first: 0) { totalCount } }')).status).toBe(400)
})
