import type * as Crypto from 'node:crypto'

import { afterAll, expect, it, vi } from 'vitest'

import { checkNewKey } from '../../src/store/record.ts'
import { hashOf, newSecret } from '../../src/store/secret.ts'

const compared = { count: 0 }
vi.doMock('node:crypto', async (original) => {
  const crypto = await original<typeof Crypto>()
  return {
    ...crypto,
    timingSafeEqual: (...args: Parameters<typeof crypto.timingSafeEqual>) => {
      compared.count++
      return crypto.timingSafeEqual(...args)
    },
  }
})

// Files share modules: one that has the real crypto already is of no use.
vi.resetModules()
const { createKeyIndex } = await import('../../src/store/authenticate.ts')
afterAll(() => {
  vi.doUnmock('node:crypto')
  vi.resetModules()
})

const version = (id: string, secret: string, revokedAt: string | null = null) => ({
  id,
  version: 1,
  value: {
    ...checkNewKey({ name: id, scopes: ['COLLECT'], by: 'cli' }),
    hash: hashOf(secret).toString('base64url'),
    prefix: '',
    revokedAt,
  },
  changedAt: new Date(),
  changedBy: 'cli',
})

it('lets nobody in without a comparison in constant time', () => {
  const index = createKeyIndex()
  const secret = newSecret()
  index.rebuild([version('key_1', secret)])
  expect(index.authenticate(secret)?.keyId).toBe('key_1')
  expect(compared.count).toBe(1)
})

it.each([
  ['first', ['2026-01-01T00:00:00Z', null]],
  ['last', [null, '2026-01-01T00:00:00Z']],
])('refuses a secret that two records have when the %s is revoked', (_, [one, other]) => {
  const index = createKeyIndex()
  const secret = newSecret()
  index.rebuild([version('key_1', secret, one), version('key_2', secret, other)])
  expect(index.authenticate(secret)).toBeUndefined()
})

it('makes secrets of 190 bits that never come twice', () => {
  const secrets = new Set(Array.from({ length: 1_000 }, newSecret))
  expect(secrets.size).toBe(1_000)
  const characters = new Set([...secrets].flatMap((secret) => secret.slice(4).split('')))
  expect(characters.size).toBe(62)
})
