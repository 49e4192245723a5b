import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import type { Policy } from '../../../src/ratelimit/index.ts'
import { createMatch } from '../../../src/ratelimit/policies/match.ts'
import { bySpecificity } from '../../../src/ratelimit/policies/precedence.ts'
import { policy } from './support.ts'

type Written = [service: string, pathPattern: string, methods?: string]

const read = ([service, pathPattern, methods = '']: Written, index: number): Policy =>
  policy(`p${index}`, { service, pathPattern, methods: methods === '' ? [] : methods.split(' ') })

/** For each request the policies that fit it, the one that applies first. */
const TABLE: { request: string; inOrder: Written[] }[] = [
  {
    request: 'GET shop /users/me',
    inOrder: [
      ['shop', '/users/me'],
      ['shop', '/users/:id'],
      ['shop', '/users/*'],
      ['shop', '/:any/me'],
      ['shop', '/*'],
    ],
  },
  {
    // The service goes before all: even the widest path of an exact name wins over the exact path of a pattern.
    request: 'GET shop-eu /login',
    inOrder: [
      ['shop-eu', '/*'],
      ['shop-e*', '/login'],
      ['shop-*', '/login'],
      ['shop*', '/login'],
      ['*-eu', '/login'],
      ['*', '/login'],
    ],
  },
  {
    // As many characters before the star: more in all.
    request: 'GET shop-eu /login',
    inOrder: [
      ['shop-*u', '/*'],
      ['shop-*', '/login'],
    ],
  },
  {
    request: 'GET shop /api',
    inOrder: [
      ['shop', '/api'],
      ['shop', '/api/*'],
      ['shop', '/:any'],
      ['shop', '/*'],
    ],
  },
  {
    // From the left: a literal early on wins over any number of them later.
    request: 'GET shop /a/b/c',
    inOrder: [
      ['shop', '/a/b/:x'],
      ['shop', '/a/b/*'],
      ['shop', '/a/:x/c'],
      ['shop', '/a/*'],
      ['shop', '/:x/b/c'],
    ],
  },
  {
    request: 'POST shop /login',
    inOrder: [
      ['shop', '/login', 'POST'],
      ['shop', '/login', 'POST PUT'],
      ['shop', '/login'],
      ['shop', '/*', 'POST'],
    ],
  },
  {
    // The path goes before the methods.
    request: 'GET shop /login',
    inOrder: [
      ['shop', '/login'],
      ['shop', '/:any', 'GET'],
    ],
  },
  {
    // Nothing else tells them apart: the id does.
    request: 'GET shop /login',
    inOrder: [
      ['shop', '/login', 'GET HEAD'],
      ['shop', '/login', 'GET POST'],
    ],
  },
]

describe('the most specific policy applies', () => {
  it.each(TABLE)('$request: $inOrder', ({ request, inOrder }) => {
    const [method, service, path] = request.split(' ') as [string, string, string]
    const policies = inOrder.map(read)
    for (let from = 0; from < policies.length; from++) {
      const left = policies.slice(from).toReversed()
      expect(createMatch(left)({ method, service, path })?.id).toBe(policies[from]!.id)
      expect(bySpecificity(left)).toEqual(policies.slice(from))
    }
    expect(createMatch([])({ method, service, path })).toBeUndefined()
  })

  it('whatever its mode: OFF exempts a path, and where SHADOW is the narrower one nothing is denied', () => {
    const match = createMatch([
      policy('all', { mode: 'ENFORCE' }),
      policy('health', { pathPattern: '/healthz', mode: 'OFF' }),
      policy('trial', { pathPattern: '/new/*', mode: 'SHADOW' }),
    ])
    const id = (path: string) => match({ service: 'shop', method: 'GET', path })?.id
    expect([id('/healthz'), id('/new/x'), id('/old')]).toEqual(['health', 'trial', 'all'])
  })

  it('and the built-in one only where no other fits, as long as nothing tells them apart', () => {
    const policies = [policy('default'), policy('zzz'), policy('narrow', { pathPattern: '/x' })]
    expect(bySpecificity(policies).map(({ id }) => id)).toEqual(['narrow', 'zzz', 'default'])
    // Made narrower it is a policy like any other.
    expect(bySpecificity([policy('default', { service: 'shop' }), policy('zzz')])[0]!.id).toBe('default')
  })

  it('among those whose methods fit: others are passed over, on the way back up too', () => {
    const match = createMatch([
      policy('post', { pathPattern: '/users/me', methods: ['POST'] }),
      policy('put', { pathPattern: '/users/*', methods: ['PUT'] }),
      policy('any', { pathPattern: '/:x/me' }),
    ])
    const id = (method: string, path = '/users/me') => match({ service: 'shop', method, path })?.id
    expect([id('POST'), id('PUT'), id('GET')]).toEqual(['post', 'put', 'any'])
    expect(id('GET', '/users/you')).toBeUndefined()
  })
})

/** The plainest way: by regular expressions, one policy after the other. */
const fitsNaively = (
  { service, pathPattern, methods }: Policy,
  target: { service: string; method: string; path: string },
) => {
  const whole = new RegExp(`^${service.replaceAll('*', '.*')}$`).test(target.service)
  const path = pathPattern
    .replace(/\/\*$/, '(/.*)?')
    .replaceAll(/\/(?:\*(?!\))|:\w+)(?=\/|\(|$)/g, '/[^/]+')
    .replace(/^\/$/, '/')
  return whole && new RegExp(`^${path}$`).test(target.path) && (methods.length === 0 || methods.includes(target.method))
}

describe('a random set of policies', () => {
  const service = fc.constantFrom('shop', 'shop-eu', 'shop-*', 'shop*', '*-eu', 's*-e*', '*')
  const segment = fc.constantFrom('a', 'b', ':x', '*')
  const methods = fc.subarray(['GET', 'POST', 'PUT'])
  const policies = fc
    .array(fc.tuple(service, fc.array(segment, { maxLength: 3 }), methods, fc.nat(1_000)), {
      minLength: 5,
      maxLength: 25,
    })
    .map((written) =>
      written.map(([service, segments, methods, place], index) =>
        policy(index === 0 ? 'default' : `p${place}_${index}`, {
          service,
          pathPattern: `/${segments.join('/')}`,
          methods,
        }),
      ),
    )
  const target = fc.record({
    service: fc.constantFrom('shop', 'shop-eu', 'blog-eu', 'blog'),
    method: fc.constantFrom('GET', 'POST', 'DELETE'),
    path: fc.array(fc.constantFrom('a', 'a', 'b', 'c'), { maxLength: 4 }).map((segments) => `/${segments.join('/')}`),
  })

  it('is matched as by sorting all that fit, and in whatever order they were added', () => {
    let found = 0
    fc.assert(
      fc.property(policies, target, fc.func(fc.integer()), (policies, target, shuffle) => {
        const expected = bySpecificity(policies.filter((policy) => fitsNaively(policy, target)))[0]
        expect(createMatch(policies)(target)).toBe(expected)
        const order = new Map(policies.map((policy) => [policy, shuffle(policy.id)]))
        const shuffled = policies.toSorted((a, b) => order.get(a)! - order.get(b)!)
        expect(createMatch(shuffled)(target)).toBe(expected)
        expect(bySpecificity(shuffled)).toEqual(bySpecificity(policies))
        if (expected) found++
      }),
      { numRuns: 3_000 },
    )
    expect(found).toBeGreaterThan(300)
  })

  it('is found for any number of services and any length of their names, more than are remembered', () => {
    const match = createMatch([policy('shop', { service: 'shop-*' }), policy('all')])
    for (let index = 0; index < 25_000; index++) {
      expect(match({ service: `shop-${index}`, method: 'GET', path: '/' })?.id).toBe('shop')
      expect(match({ service: `x${index}`, method: 'GET', path: '/' })?.id).toBe('all')
    }
    expect(match({ service: `shop-${'x'.repeat(10_000)}`, method: 'GET', path: '/' })?.id).toBe('shop')
  })
})
