import { describe, expect, it } from 'vitest'

import { checkPolicy } from '../../../src/ratelimit/index.ts'

const NEEDED = { name: 'login', limit: 5, windowSeconds: 60 }

it('a policy that says only what is needed counts addresses on everything and denies nothing', () => {
  expect(checkPolicy(NEEDED)).toEqual({
    name: 'login',
    service: '*',
    pathPattern: '/*',
    methods: [],
    key: 'IP',
    limit: 5,
    authenticatedLimit: null,
    windowSeconds: 60,
    algorithm: 'FIXED_WINDOW',
    blockSeconds: 0,
    mode: 'SHADOW',
    onError: 'ALLOW',
  })
})

it('methods are taken in any case, each once', () => {
  expect(checkPolicy({ ...NEEDED, methods: ['post', 'GET', 'Post', 'PROPFIND'] }).methods).toEqual([
    'POST',
    'GET',
    'PROPFIND',
  ])
})

it('numbers are taken up to the ends of their ranges', () => {
  const largest = { limit: 1_000_000, authenticatedLimit: 1_000_000, windowSeconds: 86_400, blockSeconds: 2_073_600 }
  expect(checkPolicy({ ...NEEDED, ...largest })).toMatchObject(largest)
  const smallest = { limit: 1, authenticatedLimit: 1, windowSeconds: 1, blockSeconds: 0 }
  expect(checkPolicy({ ...NEEDED, ...smallest })).toMatchObject(smallest)
})

describe('a field that does not fit is named with what was given and what is allowed', () => {
  it.each([
    ['name', undefined, 'name is missing; allowed is 1 to 100 printable characters'],
    ['name', '', 'name is ""; allowed is 1 to 100 printable characters'],
    ['name', 'x'.repeat(101), `name is "${'x'.repeat(99)}…; allowed is 1 to 100`],
    ['name', 'a\nb', 'name is "a\\nb"; allowed is'],
    ['name', ' a', 'without blanks around them'],
    ['service', '', 'service is ""; allowed is 1 to 200 printable characters'],
    ['service', 'x'.repeat(201), 'allowed is 1 to 200 printable characters'],
    ['service', null, 'service is null; allowed is'],
    ['pathPattern', 7, 'pathPattern is 7; allowed is a path such as /login or /api/*'],
    ['pathPattern', 'login', 'pathPattern is "login": it does not begin with /'],
    ['methods', ['GET', 'G ET'], 'methods is "G ET"; allowed is a list of at most 20 HTTP methods'],
    ['methods', [7], 'methods is 7; allowed is a list of at most 20 HTTP methods'],
    ['methods', 'GET', 'methods is "GET"; allowed is a list of at most 20 HTTP methods'],
    ['methods', Array.from({ length: 21 }, () => 'GET'), 'allowed is a list of at most 20 HTTP methods'],
    ['key', 'ADDRESS', 'key is "ADDRESS"; allowed is IP, USER, API_KEY, IP_AND_PATH'],
    ['limit', undefined, 'limit is missing; allowed is a whole number from 1 to 1000000'],
    ['limit', 0, 'limit is 0; allowed is a whole number from 1 to 1000000'],
    ['limit', 1_000_001, 'limit is 1000001; allowed is'],
    ['limit', 1.5, 'limit is 1.5; allowed is'],
    ['limit', '5', 'limit is "5"; allowed is'],
    ['limit', NaN, 'limit is null; allowed is'],
    ['authenticatedLimit', 0, 'authenticatedLimit is 0; allowed is a whole number from 1 to 1000000, or null'],
    ['windowSeconds', 86_401, 'windowSeconds is 86401; allowed is a whole number from 1 to 86400'],
    ['windowSeconds', 0, 'windowSeconds is 0; allowed is a whole number from 1 to 86400'],
    ['algorithm', 'TOKEN_BUCKET', 'algorithm is "TOKEN_BUCKET"; allowed is FIXED_WINDOW, SLIDING_WINDOW'],
    ['blockSeconds', -1, 'blockSeconds is -1; allowed is a whole number from 0 to 2073600'],
    ['blockSeconds', 2_592_001, 'blockSeconds is 2592001; allowed is'],
    ['mode', 'enforce', 'mode is "enforce"; allowed is OFF, SHADOW, ENFORCE'],
    ['mode', false, 'mode is false; allowed is OFF, SHADOW, ENFORCE'],
    ['onError', 'BLOCK', 'onError is "BLOCK"; allowed is ALLOW, DENY'],
  ])('%s: %j', (field, value, message) => {
    const check = () => checkPolicy({ ...NEEDED, [field]: value })
    expect(check).toThrow(message)
    expect(check).toThrow(expect.objectContaining({ code: 'INVALID', field }))
  })
})
