import { describe, expect, it } from 'vitest'

import { testDatabase } from '../support/clickhouse.ts'
import { type Answer, testGraphql } from './support.ts'

const api = testGraphql(testDatabase())

const FIELDS = 'id cidr action source reason createdBy createdAt expiresAt removedAt removedReason active'

const add = async (input: string, secret?: string) => {
  const answer = await api.ask(
    `mutation { addBlockListEntry(input: { ${input} }) { entry { ${FIELDS} } userErrors { code message field } } }`,
    secret === undefined ? {} : { secret },
  )
  return answer.json.data?.addBlockListEntry ?? answer.json
}

const cidrsOf = async (where: string): Promise<string[]> => {
  const answer = await api.ask(`{ blockList(where: { ${where} }) { nodes { cidr } totalCount } }`)
  const { nodes, totalCount } = answer.json.data.blockList
  expect(totalCount).toBe(nodes.length)
  return nodes.map(({ cidr }: { cidr: string }) => cidr)
}

it('puts a prefix on the list with who and why, finds it by its id, and takes it off', async () => {
  const writer = await api.key(['SECURITY_WRITE', 'SECURITY_READ'])
  const keyId = api.keys.authenticate(writer)!.keyId
  const { entry, userErrors } = await add(
    'cidr: "203.0.113.99/28", reason: "scans", expiresAt: "2099-01-01", idempotencyKey: "a"',
    writer,
  )
  expect(userErrors).toEqual([])
  expect(entry).toEqual({
    id: expect.stringMatching(/^blk_[0-9A-Za-z]{16}$/),
    cidr: '203.0.113.96/28',
    action: 'BLOCK',
    source: 'MANUAL',
    reason: 'scans',
    createdBy: keyId,
    createdAt: expect.any(String),
    expiresAt: '2099-01-01T00:00:00.000Z',
    removedAt: null,
    removedReason: null,
    active: true,
  })
  const node = await api.ask(`{ node(id: "${entry.id}") { __typename id ... on BlockListEntry { cidr } } }`)
  expect(node.json.data.node).toEqual({ __typename: 'BlockListEntry', id: entry.id, cidr: '203.0.113.96/28' })
  const removal = `mutation { removeBlockListEntry(id: "${entry.id}", reason: "mistake") { entry { active removedAt removedReason } userErrors { code } } }`
  const removed = (await api.ask(removal, { secret: writer })).json.data.removeBlockListEntry
  expect(removed).toEqual({
    entry: { active: false, removedAt: expect.any(String), removedReason: 'mistake' },
    userErrors: [],
  })
  expect((await api.ask(removal, { secret: writer })).json.data.removeBlockListEntry).toEqual(removed)
  // The key of the first time: nothing new, though it was taken off since.
  const again = await add('cidr: "203.0.113.96/28", reason: "scans", idempotencyKey: "a"', writer)
  expect(again.entry.active).toBe(false)
})

it('says as user errors what cannot be, and takes it when forced', async () => {
  const refused = await add('cidr: "10.1.2.3", reason: "test"')
  expect(refused).toEqual({
    entry: null,
    userErrors: [
      {
        code: 'INVALID',
        message:
          'cidr: 10.1.2.3 is of 10.0.0.0/8, private addresses (RFC 1918); if it is meant all the same, set force',
        field: ['cidr'],
      },
    ],
  })
  expect((await add('cidr: "10.1.2.3", reason: "test", force: true')).entry.cidr).toBe('10.1.2.3')
  expect((await add('cidr: "10.0.0.0/8", reason: "ours", action: ALLOW')).userErrors).toEqual([])
  expect((await add('cidr: "203.0.113.1", reason: ""')).userErrors).toMatchObject([{ field: ['reason'] }])
  const none = 'mutation { removeBlockListEntry(id: "blk_none") { entry { id } userErrors { code field } } }'
  expect((await api.ask(none)).json.data.removeBlockListEntry).toEqual({
    entry: null,
    userErrors: [{ code: 'NOT_FOUND', field: ['id'] }],
  })
})

it('lists by address, action, source and whether it is in force, newest first', async () => {
  await add('cidr: "198.51.100.0/24", reason: "one"')
  await add('cidr: "198.51.100.0/26", reason: "two", action: CHALLENGE')
  const { entry } = await add('cidr: "198.51.100.7", reason: "three", action: RATE_LIMIT')
  await api.ask(`mutation { removeBlockListEntry(id: "${entry.id}") { userErrors { code } } }`)
  expect(await cidrsOf('contains: "198.51.100.7"')).toEqual(['198.51.100.0/26', '198.51.100.0/24'])
  expect(await cidrsOf('contains: "198.51.100.7", active: false')).toEqual(['198.51.100.7'])
  expect(await cidrsOf('contains: "198.51.100.7", active: null')).toEqual([
    '198.51.100.7',
    '198.51.100.0/26',
    '198.51.100.0/24',
  ])
  expect(await cidrsOf('contains: "::ffff:198.51.100.99", action: [BLOCK, ALLOW]')).toEqual(['198.51.100.0/24'])
  expect(await cidrsOf('contains: "198.51.100.7", source: [FEED, AUTOMATIC]')).toEqual([])
  expect(await cidrsOf('contains: "2001:db8::1"')).toEqual([])
})

it('pages through the list', async () => {
  const cidrs: string[] = []
  let after: string | null = null
  do {
    const answer: Answer = await api.ask(
      'query ($after: String) { blockList(first: 2, after: $after) { edges { cursor node { cidr } } pageInfo { nextCursor } totalCount } }',
      { variables: { after } },
    )
    const { edges, pageInfo } = answer.json.data.blockList
    cidrs.push(...edges.map((edge: { node: { cidr: string } }) => edge.node.cidr))
    after = pageInfo.nextCursor
  } while (after !== null)
  expect(cidrs).toEqual(await cidrsOf(''))
  expect(cidrs.length).toBeGreaterThan(2)
})

describe('a key', () => {
  it('that is bound to services reads the list, which holds for all, and changes nothing', async () => {
    const bound = await api.key(['SECURITY_READ', 'SECURITY_WRITE'], ['shop'])
    const { entry } = await add('cidr: "203.0.113.200", reason: "test"')
    const refused = await add('cidr: "203.0.113.201", reason: "test"', bound)
    expect(refused.errors[0]).toMatchObject({
      message: expect.stringMatching(
        /the block list holds for all services, .* is for shop alone; use a key that is bound to none/,
      ),
      extensions: { code: 'FORBIDDEN' },
    })
    const removal = await api.ask(`mutation { removeBlockListEntry(id: "${entry.id}") { userErrors { code } } }`, {
      secret: bound,
    })
    expect(removal.json.errors[0].extensions.code).toBe('FORBIDDEN')
    const read = await api.ask(`{ node(id: "${entry.id}") { ... on BlockListEntry { active } } }`, { secret: bound })
    expect(read.json.data.node).toEqual({ active: true })
    expect(await cidrsOf('contains: "203.0.113.201"')).toEqual([])
  })

  it('without SECURITY_READ finds no entry by its id', async () => {
    const { entry } = await add('cidr: "203.0.113.202", reason: "test"')
    const answer = await api.ask(`{ node(id: "${entry.id}") { id } }`, { secret: await api.key(['LOGS_READ']) })
    expect(answer.json.errors[0]).toMatchObject({ extensions: { code: 'FORBIDDEN', scope: 'SECURITY_READ' } })
  })
})
