import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { sql } from '../../../src/clickhouse/index.ts'
import { normalisePath, patternToRegExp, serviceToRegExp } from '../../../src/ratelimit/index.ts'
import { createMatch } from '../../../src/ratelimit/policies/match.ts'
import { createServiceTest } from '../../../src/ratelimit/policies/service-pattern.ts'
import { testDatabase } from '../../support/clickhouse.ts'
import { policy } from './support.ts'

const database = testDatabase({ migrated: false })

const fits = (pathPattern: string, path: string): boolean =>
  createMatch([policy('one', { pathPattern })])({ service: 'shop', method: 'GET', path }) !== undefined

/** What each pattern fits, and what it does not. */
const PATTERNS: Record<string, { fits: string[]; misses: string[] }> = {
  '/': { fits: ['/', '', '//', '/x/..'], misses: ['/x'] },
  '/*': { fits: ['/', '', '/x', '/x/y/z', '*'], misses: [] },
  '/login': {
    fits: ['/login', '/login/', '//login', '/./login'],
    misses: ['/Login', '/login/x', '/loginx', '/', '/login;x=1'],
  },
  '/login/': { fits: ['/login', '/login/'], misses: ['/login/x'] },
  '/api/*': { fits: ['/api', '/api/', '/api/x', '/api/x/y'], misses: ['/apix', '/', '/v1/api'] },
  '/users/:id': { fits: ['/users/42', '/users/42/', '/users/a.b'], misses: ['/users', '/users/', '/users/42/orders'] },
  '/users/*/orders': { fits: ['/users/42/orders'], misses: ['/users/orders', '/users/4/2/orders', '/users/42'] },
  '/:shop/cart/*': { fits: ['/a/cart', '/a/cart/b/c'], misses: ['/cart', '/a/b/cart'] },
  '/a.b+(c)': { fits: ['/a.b+(c)'], misses: ['/aab+(c)', '/a.b'] },
  '/v1/items:batch': { fits: ['/v1/items:batch'], misses: ['/v1/items'] },
  '/café': { fits: ['/café', '/caf%C3%A9', '/caf%c3%a9'], misses: ['/cafe', '/caf%E9'] },
  '/100%': { fits: ['/100%', '/100%25'], misses: ['/100'] },
}

/** Some of its characters as percent sequences, those that mean something in paths always. */
const encode = (text: string, how: number): string =>
  Array.from(text, (character, index) => {
    const always = /[^\w.~;=@-]/.test(character)
    if (!always && (how >> index) % 2 === 0) return character
    const hex = Array.from(Buffer.from(character), (byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
    return how % 3 === 0 ? hex.toUpperCase() : hex
  }).join('')

/** What the expression is for: dot segments, the empty path and percent sequences are not. */
const isPlain = (path: string): boolean => path.startsWith('/') && !/\/\.|%[0-9a-f]{2}/i.test(path)

describe('a pattern fits whole segments of the path', () => {
  const cases = Object.entries(PATTERNS).flatMap(([pattern, { fits, misses }]) => [
    ...fits.map((path) => ({ pattern, path, expected: true })),
    ...misses.map((path) => ({ pattern, path, expected: false })),
  ])
  it.each(cases)('$pattern, $path: $expected', ({ pattern, path, expected }) => {
    expect(fits(pattern, path)).toBe(expected)
  })
})

describe('nobody walks round a policy by writing the path otherwise', () => {
  it.each([
    ['/%6Cogin', '/login'],
    ['/%6cogin', '/login'],
    ['//login', '/login'],
    ['/login/', '/login'],
    ['/login//', '/login'],
    ['/./login', '/login'],
    ['/%2e/login', '/login'],
    ['/x/../login', '/login'],
    ['/x/%2E%2E/login', '/login'],
    ['/x%2F..%2Flogin', '/login'],
    ['/../../login', '/login'],
    ['/%FF%2F..%2Flogin', '/login'],
    ['/login/.', '/login'],
    ['/login%2F', '/login'],
    ['login', '/login'],
    ['http://shop.example/login', '/login'],
    ['http://shop.example', '/'],
    ['', '/'],
  ])('%s is %s', (path, expected) => {
    expect(normalisePath(path)).toBe(expected)
  })

  it.each([
    ['/%256Cogin', '/%6Cogin', 'decoded once, as the service does'],
    ['/100%', '/100%', 'no percent sequence'],
    ['/%zz%4', '/%zz%4', 'no percent sequence'],
    ['/a%FFb', '/a%FFb', 'no UTF-8'],
    ['/%C0%AF', '/%C0%AF', 'no UTF-8, though some take it for a slash'],
    ['/login;jsessionid=1', '/login;jsessionid=1', 'a parameter'],
    ['/Login', '/Login', 'another case'],
    ['/...', '/...', 'a name'],
    ['/.well-known/x', '/.well-known/x', 'a name'],
  ])('but %s is %s: %s', (path, expected) => {
    expect(normalisePath(path)).toBe(expected)
  })

  it('however its characters are encoded, dots and slashes strewn in', () => {
    const name = fc.string({ unit: fc.constantFrom(...Array.from('abcXYZ-_.~ü€😀 ;=@')), minLength: 1, maxLength: 6 })
    const segment = name.filter((text) => text !== '.' && text !== '..')
    const noise = fc.constantFrom('', '', '/', '/.', '/%2e', '/zz/..', '/zz%2f%2E.')
    fc.assert(
      fc.property(
        fc.array(fc.tuple(segment, noise, fc.nat(255)), { minLength: 1, maxLength: 5 }),
        fc.constantFrom('', '/', '//', '/.'),
        (parts, end) => {
          const written = parts.map(([text, noise, how]) => `${noise}/${encode(text, how)}`).join('') + end
          expect(normalisePath(written)).toBe(`/${parts.map(([text]) => text).join('/')}`)
        },
      ),
    )
  })

  it('and no path makes it throw or grow', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'/.%2eEfFcC3a9:*?;'.split('')), maxLength: 40 }), (path) => {
        const normal = normalisePath(path)
        expect(normal.startsWith('/')).toBe(true)
        expect(normal.length).toBeLessThanOrEqual(path.length + 1)
        expect(normal.split('/').slice(1, -1)).not.toContain('')
        expect(normal.split('/')).not.toContain('..')
      }),
    )
  })
})

describe('what is no pattern is refused with what is allowed', () => {
  it.each([
    ['', 'it does not begin with /'],
    ['login', 'it does not begin with /'],
    ['*', 'it does not begin with /'],
    ['/a*', '* must fill its segment'],
    ['/*.php', '* must fill its segment'],
    ['/**', '* must fill its segment'],
    ['/a/**/b', '* must fill its segment'],
    ['/a/*/', 'after a * at the end comes nothing'],
    ['/a//b', 'an empty segment never fits'],
    ['/a/../b', '.. never fits'],
    ['/./a', '. never fits'],
    ['/:', 'is no name'],
    ['/:id.json', 'is no name'],
    ['/a?b=1', 'a query or fragment'],
    ['/a#b', 'a query or fragment'],
    ['/caf%C3%A9', 'write the character itself'],
    ['/a\nb', 'control characters'],
    [`/${'a'.repeat(1024)}`, 'it has 1025 characters, 1024 at most'],
  ])('%j: %s', (pathPattern, reason) => {
    expect(() => policy('one', { pathPattern })).toThrow(
      expect.objectContaining({
        code: 'INVALID',
        field: 'pathPattern',
        message: expect.stringMatching(/^pathPattern is ".*; allowed are whole segments such as \/login/),
      }),
    )
    expect(() => policy('one', { pathPattern })).toThrow(reason)
  })
})

describe('as regular expressions for RE2', () => {
  it('patterns fit the same normalised paths', () => {
    const part = fc.constantFrom('a', 'b', 'a.b', 'c+', '$^', '(x)', '[y]', '{2}', '|', '\\d')
    const one = fc.constantFrom(':id', '*')
    fc.assert(
      fc.property(
        fc.array(fc.oneof(part, one), { maxLength: 4 }),
        fc.array(part, { maxLength: 5 }),
        (segments, names) => {
          const [pattern, path] = [`/${segments.join('/')}`, `/${names.join('/')}`]
          expect([pattern, path, new RegExp(patternToRegExp(pattern)).test(path)]).toEqual([
            pattern,
            path,
            fits(pattern, path),
          ])
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it('services fit the same names', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '.', '-'), maxLength: 6 })
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*', '+'), minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(pattern, text, (pattern, name) => {
        expect([pattern, name, createServiceTest(pattern)(name)]).toEqual([
          pattern,
          name,
          new RegExp(serviceToRegExp(pattern)).test(name),
        ])
      }),
      { numRuns: 2_000 },
    )
  })

  it('ClickHouse reads them, sees through slashes, and needs percent sequences decoded', async () => {
    const match = async (text: string, expression: string): Promise<boolean> => {
      const { rows } = await database.clickhouse.query<{ found: number }>(
        sql`SELECT match(${text}, ${expression}) AS found`,
      )
      return rows[0]!.found === 1
    }
    for (const [pattern, { fits, misses }] of Object.entries(PATTERNS)) {
      for (const path of fits.filter(isPlain))
        expect([pattern, path, await match(path, patternToRegExp(pattern))]).toEqual([pattern, path, true])
      for (const path of misses.filter(isPlain))
        expect([pattern, path, await match(path, patternToRegExp(pattern))]).toEqual([pattern, path, false])
    }
    const { rows } = await database.clickhouse.query<{ found: number }>(
      sql`SELECT match(decodeURLComponent('/caf%C3%A9'), ${patternToRegExp('/café')}) AS found`,
    )
    expect(rows[0]!.found).toBe(1)
    expect(await match('shop-eu', serviceToRegExp('shop-*'))).toBe(true)
    expect(await match('my-shop-eu', serviceToRegExp('shop-*'))).toBe(false)
    expect(await match('shopXeu', serviceToRegExp('shop.eu'))).toBe(false)
  })
})
