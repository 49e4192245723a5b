import * as fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'

import { type Analytics, createAnalytics, parsePrefix, type RequestFilter } from '../../src/analytics/index.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { insertLogs, type LogRow } from '../support/request-logs.ts'
import { type Any, holds, NUMBERS, TEXTS } from './naive-filter.ts'
import { makeRows } from './naive.ts'

const database = testDatabase()
const from = new Date('2026-05-04T00:00:00Z')
const timeRange = { from, to: new Date('2026-05-05T00:00:00Z') }
const asker = { services: null, comment: 'test' }
const strange = ['/a%b', '/a_b', '/a\\b', "/a'b", '/a"b', '/ä/ß', '/x?{p0:String}', '/line\nbreak', '/💥', '/%2e%2e/']
const rows: Required<LogRow>[] = makeRows(400, from, timeRange.to, 5).map((row, index) =>
  index % 4 === 0 ? { ...row, path: strange[(index / 4) % strange.length]! } : row,
)
let analytics: Analytics

beforeAll(async () => {
  await insertLogs(database.clickhouse, rows)
  analytics = createAnalytics({ clickhouse: database.clickhouse })
})

const found = async (where: RequestFilter): Promise<number[]> => {
  const { edges } = await analytics
    .requestLogs({ timeRange, where, orderBy: 'DURATION_DESC', first: 1_000, fields: new Set() }, asker)
    .page()
  return edges.map(({ node }) => node.position.row).toSorted((a, b) => a - b)
}

const byHand = (where: RequestFilter): number[] => rows.filter((row) => holds(row, where as Any)).map(({ row }) => row)

const some = <T>(of: fc.Arbitrary<T>) => fc.array(of, { maxLength: 4 })
const pick = (operators: Record<string, fc.Arbitrary<unknown>>) =>
  fc
    .subarray(Object.keys(operators), { minLength: 1, maxLength: 2 })
    .chain((names) => fc.record(Object.fromEntries(names.map((name) => [name, operators[name]!]))))

describe('filters', () => {
  const pieces = ['%', '_', '\\\\', '\\%', '\\_', '/', 'p', '1', 'a', 'Mozilla', 'oo', "'", '"', '.', '*', 'ä', '💥']
  const likePattern = fc.array(fc.constantFrom(...pieces), { maxLength: 5 }).map((parts) => parts.join(''))
  const plainText = (name: string) =>
    fc.oneof(
      fc.constantFrom(...rows.slice(0, 40).map(TEXTS[name]!)),
      fc.constantFrom('', 'x', "'; DROP TABLE request_logs; --", '\\', '{p0:String}', '%'),
    )
  const pattern = fc.constantFrom('^/p/1', '[0-9]+$', 'a|b', 'Chrome/\\d+', '', '\\.', 'ä', '(shop|blog)')
  const flag = fc.boolean()
  const textFilter = fc.constantFrom(...Object.keys(TEXTS)).chain((name) => {
    const text = plainText(name)
    return pick({
      eq: text,
      neq: text,
      in: some(text),
      notIn: some(text),
      like: likePattern,
      notLike: likePattern,
      startsWith: text,
      contains: text,
      matches: pattern,
      isNull: flag,
    }).map((filter) => ({ [name]: filter }))
  })
  const numberFilter = fc.constantFrom(...Object.keys(NUMBERS)).chain((name) => {
    const known = rows
      .slice(0, 40)
      .map(NUMBERS[name]!)
      .filter((value) => value !== null)
    const number =
      name === 'durationMs' ? fc.constantFrom(...known, 0, 0.5, -1) : fc.constantFrom(...known, 0, 1, -1, 2 ** 53 - 1)
    const compare = { gt: number, gte: number, lt: number, lte: number, isNull: flag }
    return pick(
      name === 'durationMs' ? compare : { ...compare, eq: number, neq: number, in: some(number), notIn: some(number) },
    ).map((filter) => ({ [name]: filter }))
  })
  const ip = fc.constantFrom(...rows.slice(0, 30).map((row) => row.ip), '192.0.2.1', '::1')
  const prefix = fc.oneof(
    ip,
    fc
      .tuple(ip, fc.nat({ max: 128 }))
      .map(([address, bits]) => `${address}/${address.includes(':') ? bits : Math.floor(bits / 4)}`),
  )
  const ipFilter = pick({ eq: ip, neq: ip, in: some(prefix), notIn: some(prefix) }).map((clientIp) => ({ clientIp }))
  const action = fc.constantFrom('ALLOWED', 'BLOCKED', 'RATE_LIMITED', 'CHALLENGED')
  const actionFilter = pick({ eq: action, in: some(action), notIn: some(action) }).map((filter) => ({ action: filter }))

  const { filter } = fc.letrec<{ filter: Any; leaf: Any }>((tie) => ({
    leaf: fc.oneof(
      { weight: 4, arbitrary: textFilter },
      { weight: 2, arbitrary: numberFilter },
      { weight: 2, arbitrary: ipFilter },
      actionFilter,
    ),
    filter: fc.oneof(
      { maxDepth: 3, depthSize: 'small' },
      tie('leaf'),
      fc.tuple(tie('leaf'), tie('leaf')).map(([a, b]) => ({ ...a, ...b })),
      some(tie('filter')).map((and) => ({ and })),
      some(tie('filter')).map((or) => ({ or })),
      tie('filter').map((not) => ({ not })),
    ),
  }))

  it('find what a filter by hand finds, however they are put together', async () => {
    await fc.assert(
      fc.asyncProperty(filter, async (where) => {
        expect(await found(where as RequestFilter)).toEqual(byHand(where as RequestFilter))
      }),
      { numRuns: 150, seed: 20_260_504, endOnFailure: true },
    )
  })

  it('find rows whose text looks like SQL, parameters or wildcards, and only these', async () => {
    for (const path of strange) {
      expect(await found({ path: { eq: path } })).toEqual(byHand({ path: { eq: path } }))
      expect((await found({ path: { eq: path } })).length).toBeGreaterThan(0)
      expect(await found({ path: { contains: path.slice(1) } })).toEqual(byHand({ path: { contains: path.slice(1) } }))
    }
    expect(await found({ path: { like: '/a\\%b' } })).toEqual(byHand({ path: { eq: '/a%b' } }))
  })

  it('take a thousand addresses and prefixes at once', async () => {
    const list = [
      ...Array.from(
        { length: 990 },
        (_, index) => `172.16.${index % 250}.${Math.floor(index / 4)}/${24 + (index % 9)}`,
      ),
      ...rows.slice(0, 5).map((row) => row.ip),
      '10.0.0.0/15',
      '2001:db8:0:a::/64',
      '::ffff:10.1.2.3',
      '0.0.0.0/32',
      '::/128',
    ]
    expect(await found({ clientIp: { in: list } })).toEqual(byHand({ clientIp: { in: list } }))
  })

  it('take empty and missing parts as logic has it', async () => {
    const everything = rows.map(({ row }) => row)
    for (const where of [
      {},
      { and: [] },
      { service: {} },
      { service: null, path: { eq: null } },
      { path: { notIn: [] } },
      { not: { or: [] } },
      { clientIp: { notIn: [] } },
    ])
      expect(await found(where)).toEqual(everything)
    for (const where of [
      { or: [] },
      { path: { in: [] } },
      { not: {} },
      { clientIp: { in: [] } },
      { statusCode: { in: [] } },
    ])
      expect(await found(where)).toEqual([])
  })
})

const refuse = (where: RequestFilter) => expect(found(where)).rejects

describe('a filter that cannot be', () => {
  it.each(['(', '[', '(?=x)', '\\1', 'a**'])(
    'names the regular expression %j that RE2 does not take',
    async (matches) => {
      await refuse({ or: [{ path: { matches: 'fine' } }, { userAgent: { matches } }] }).toThrow(
        /^where\.or\[1\]\.userAgent\.matches is .*; allowed is a regular expression of RE2/,
      )
    },
  )

  it('names the pattern of LIKE that ends in or escapes nothing', async () => {
    await refuse({ path: { like: 'x\\' } }).toThrow(String.raw`where.path.like is "x\\"; allowed is a LIKE pattern`)
    await refuse({ path: { notLike: '\\x' } }).toThrow(/where.path.notLike/)
  })

  it('is refused for its size', async () => {
    const deep = Array.from({ length: 20 }).reduce<RequestFilter>((inner) => ({ not: inner }), {})
    await refuse(deep).toThrow(/deeper than 8/)
    await refuse({ and: Array.from({ length: 201 }, () => ({ path: { eq: '/' } })) }).toThrow(
      /more than 200 conditions/,
    )
    await refuse({ path: { in: Array.from({ length: 1_001 }, () => '/') } }).toThrow(
      'where.path.in is "1001 values"; allowed is 1000 values at most',
    )
    await refuse({ path: { eq: 'x'.repeat(2_001) } }).toThrow('where.path.eq is "2001 characters"')
  })

  it('is refused for an address that is none', async () => {
    await refuse({ clientIp: { in: ['10.0.0.0/8', '10.0.0.0/33'] } }).toThrow(
      'where.clientIp.in[1] is "10.0.0.0/33"; allowed is an address or a prefix',
    )
    await refuse({ clientIp: { eq: '10.0.0.256' } }).toThrow('where.clientIp.eq is "10.0.0.256"')
  })
})

it.each([
  ['10.1.2.3', '10.1.2.3'],
  ['10.1.2.3/8', '10.0.0.0/8'],
  ['0.0.0.0/0', '0.0.0.0/0'],
  ['::ffff:10.1.2.3/104', '10.0.0.0/8'],
  ['::FFFF:10.1.2.3', '10.1.2.3'],
  ['2001:DB8:0:0:1::/64', '2001:db8::/64'],
  ['::/0', '::/0'],
  ['10.0.0.0/', undefined],
  ['10.0.0.0/8/8', undefined],
  ['10.0.0.0/+8', undefined],
  ['127.1', undefined],
  ['fe80::1%eth0', undefined],
  ['', undefined],
])('reads the prefix %j as %s', (text, cidr) => {
  expect(parsePrefix(text)?.cidr).toBe(cidr)
})
