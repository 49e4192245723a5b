import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeEach, describe, expect, it } from 'vitest'

import { testDatabase } from '../support/clickhouse.ts'
import { testGraphql } from './support.ts'

const folder = mkdtempSync(join(tmpdir(), 'vedette-graphql-'))
const policyFile = join(folder, 'policies.yaml')
writeFileSync(policyFile, 'policies: [{ id: from-git, service: blog, pathPattern: /feed, limit: 9, windowSeconds: 5 }]')
afterAll(() => rmSync(folder, { recursive: true }))

const database = testDatabase()
const api = testGraphql(database, undefined, { policyFile })

const FIELDS =
  'id name service pathPattern methods key limit authenticatedLimit windowSeconds algorithm blockSeconds mode onError source version'

const policies = async (secret?: string) =>
  (await api.ask(`{ rateLimitPolicies { ${FIELDS} } }`, secret === undefined ? {} : { secret })).json.data
    .rateLimitPolicies as { id: string; [field: string]: unknown }[]

const ask = (mutation: string, variables: object, secret?: string) =>
  api.ask(mutation, { variables, ...(secret === undefined ? {} : { secret }) })
const save = (input: object, secret?: string) =>
  ask(
    `mutation ($input: RateLimitPolicyInput!) { saveRateLimitPolicy(input: $input) { policy { ${FIELDS} } userErrors { code message field } } }`,
    { input },
    secret,
  )
const remove = (id: string, secret?: string) =>
  ask(
    `mutation ($id: ID!) { deleteRateLimitPolicy(id: $id) { policy { id service } userErrors { code message field } } }`,
    { id },
    secret,
  )
const saved = async (input: object, secret?: string) => (await save(input, secret)).json.data.saveRateLimitPolicy
const removed = async (id: string, secret?: string) => (await remove(id, secret)).json.data.deleteRateLimitPolicy

const bound = () => api.key(['SECURITY_READ', 'SECURITY_WRITE'], ['shop', 'cart'])

beforeEach(async () => {
  for (const { id, source } of await policies()) if (source === 'STORE') await removed(id)
})

const BUILT_IN = {
  id: 'default',
  name: 'default',
  service: '*',
  pathPattern: '/*',
  methods: [],
  key: 'IP',
  limit: 5,
  authenticatedLimit: 10,
  windowSeconds: 60,
  algorithm: 'FIXED_WINDOW',
  blockSeconds: 0,
  mode: 'ENFORCE',
  onError: 'ALLOW',
  source: 'BUILT_IN',
  version: 0,
}
const LOGIN = { name: 'login', service: 'shop', pathPattern: '/login', limit: 3, windowSeconds: 30 }

it('shows the policies in force, the most specific first, with where they come from', async () => {
  const { policy } = await saved({ ...LOGIN, methods: ['post'], key: 'API_KEY', mode: 'ENFORCE' })
  expect(await policies()).toEqual([
    {
      ...BUILT_IN,
      id: 'from-git',
      name: 'from-git',
      service: 'blog',
      pathPattern: '/feed',
      limit: 9,
      authenticatedLimit: null,
      windowSeconds: 5,
      mode: 'SHADOW',
      source: 'FILE',
    },
    policy,
    BUILT_IN,
  ])
  expect(policy).toMatchObject({
    ...LOGIN,
    methods: ['POST'],
    key: 'API_KEY',
    mode: 'ENFORCE',
    source: 'STORE',
    version: 1,
  })
})

it('gives them as CSV, too', async () => {
  const answer = await api.ask('{ rateLimitPolicies { id limit mode } }', { format: 'csv' })
  expect(answer.text.split('\r\n').slice(0, 3)).toEqual(['id,limit,mode', 'from-git,9,SHADOW', 'default,5,ENFORCE'])
})

it('finds each by its id: saved, of the file, and built in', async () => {
  const { policy } = await saved(LOGIN)
  for (const id of [policy.id, 'from-git', 'default']) {
    const answer = await api.ask(`{ node(id: "${id}") { __typename id ... on RateLimitPolicy { limit } } }`)
    expect(answer.json.data.node).toMatchObject({ __typename: 'RateLimitPolicy', id })
  }
  expect((await api.ask('{ node(id: "pol_none") { id } }')).json.data.node).toBeNull()
  const denied = await api.ask('{ node(id: "default") { id } }', { secret: await api.key(['LOGS_READ']) })
  expect([denied.status, denied.json.errors[0].extensions]).toEqual([
    403,
    expect.objectContaining({ code: 'FORBIDDEN', scope: 'SECURITY_READ' }),
  ])
})

describe('saving', () => {
  it('a new one that says only what is needed denies nothing yet', async () => {
    const { policy, userErrors } = await saved({ name: 'all', limit: 7, windowSeconds: 1 })
    expect(userErrors).toEqual([])
    expect(policy).toEqual({
      ...BUILT_IN,
      id: expect.stringMatching(/^pol_\w{12}$/),
      name: 'all',
      limit: 7,
      authenticatedLimit: null,
      windowSeconds: 1,
      mode: 'SHADOW',
      source: 'STORE',
      version: 1,
    })
  })

  it('with an id changes what is named, be it null, and leaves the rest', async () => {
    const { policy } = await saved({ ...LOGIN, authenticatedLimit: 8, blockSeconds: 5 })
    const { policy: enforced } = await saved({ id: policy.id, mode: 'ENFORCE', name: null, methods: null })
    expect(enforced).toEqual({ ...policy, mode: 'ENFORCE', version: 2 })
    expect((await saved({ id: policy.id, authenticatedLimit: null })).policy).toEqual({
      ...enforced,
      authenticatedLimit: null,
      version: 3,
    })
  })

  it('`default` changes the built-in policy, and deleting it brings it back', async () => {
    const { policy } = await saved({ id: 'default', limit: 100 })
    expect(policy).toEqual({ ...BUILT_IN, limit: 100, source: 'STORE', version: expect.any(Number) })
    expect((await removed('default')).userErrors).toEqual([])
    expect((await policies()).at(-1)).toEqual(BUILT_IN)
  })

  it('a bounded number of values is refused by its name, and nothing is saved', async () => {
    const { policy, userErrors } = await saved({ ...LOGIN, limit: 0 })
    expect([policy, userErrors]).toEqual([
      null,
      [
        {
          code: 'INVALID',
          message: 'limit is 0; allowed is a whole number from 1 to 1000000',
          field: ['input', 'limit'],
        },
      ],
    ])
    expect((await saved({ name: 'x', limit: 1 })).userErrors).toMatchObject([{ field: ['input', 'windowSeconds'] }])
    expect((await saved({ ...LOGIN, pathPattern: '/a*' })).userErrors).toMatchObject([
      { code: 'INVALID', field: ['input', 'pathPattern'] },
    ])
    expect(await policies()).toHaveLength(2)
  })

  it('what somebody else changed meanwhile is a CONFLICT', async () => {
    const { policy } = await saved(LOGIN)
    await saved({ id: policy.id, limit: 4, expectedVersion: 1 })
    expect(await saved({ id: policy.id, limit: 9, expectedVersion: 1 })).toMatchObject({
      policy: null,
      userErrors: [{ code: 'CONFLICT', field: ['input', 'expectedVersion'] }],
    })
    expect(await policies()).toContainEqual({ ...policy, limit: 4, version: 2 })
  })

  it('what is not there is NOT_FOUND', async () => {
    expect((await saved({ id: 'pol_none', limit: 1 })).userErrors).toMatchObject([
      { code: 'NOT_FOUND', field: ['input', 'id'] },
    ])
    expect((await removed('pol_none')).userErrors).toMatchObject([{ code: 'NOT_FOUND', field: ['id'] }])
  })
})

it('deleting gives the policy as it was, and it is gone', async () => {
  const { policy } = await saved(LOGIN)
  expect(await removed(policy.id)).toEqual({ policy: { id: policy.id, service: 'shop' }, userErrors: [] })
  expect((await policies()).map(({ id }) => id)).toEqual(['from-git', 'default'])
})

it('what the file holds and what is built in are not deleted, nor the file overwritten', async () => {
  expect((await saved({ id: 'from-git', limit: 1 })).userErrors).toEqual([
    {
      code: 'INVALID',
      message: 'the policy "from-git" comes from POLICY_FILE; change it there',
      field: ['input', 'id'],
    },
  ])
  expect((await removed('from-git')).userErrors).toMatchObject([{ code: 'INVALID', field: ['id'] }])
  expect((await removed('default')).userErrors).toMatchObject([
    { code: 'INVALID', message: expect.stringContaining('save it with mode OFF') },
  ])
})

describe('a key bound to services', () => {
  it('makes, changes and deletes policies for one of them', async () => {
    const secret = await bound()
    const { policy } = await saved(LOGIN, secret)
    expect((await saved({ id: policy.id, service: 'cart' }, secret)).policy.service).toBe('cart')
    expect((await removed(policy.id, secret)).userErrors).toEqual([])
  })

  it('may not touch what reaches beyond them, before the change or after it', async () => {
    const secret = await bound()
    const { policy: own } = await saved(LOGIN)
    const { policy: wide } = await saved({ ...LOGIN, service: 'shop*' })
    const attempts = [
      save({ ...LOGIN, service: undefined }, secret),
      save({ ...LOGIN, service: '*' }, secret),
      save({ ...LOGIN, service: 'blog' }, secret),
      save({ id: own.id, service: 'sho*' }, secret),
      save({ id: wide.id, service: 'shop' }, secret),
      save({ id: 'default', limit: 1_000 }, secret),
      save({ id: 'default', service: 'shop' }, secret),
      remove(wide.id, secret),
    ]
    for (const answer of await Promise.all(attempts)) {
      expect(answer.status).toBe(403)
      expect(answer.json.errors[0]).toMatchObject({
        message: expect.stringMatching(/^a policy for service ".*" reaches beyond shop, cart, to which the key/),
        extensions: { code: 'FORBIDDEN' },
      })
    }
    expect((await policies()).map(({ id, version }) => [id, version])).toEqual([
      ['from-git', 0],
      [own.id, 1],
      [wide.id, 1],
      ['default', 0],
    ])
  })

  it('sees those that hold for one of them', async () => {
    const secret = await bound()
    await saved({ ...LOGIN, name: 'wide', service: 'c*t' })
    expect((await policies(secret)).map(({ name }) => name)).toEqual(['wide', 'default'])
    const answer = await api.ask('{ node(id: "from-git") { id } }', { secret })
    expect(answer.json.data.node).toBeNull()
  })
})
