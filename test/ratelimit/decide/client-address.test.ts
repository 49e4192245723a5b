import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { createClientOf } from '../../../src/ratelimit/decide/client-address.ts'
import { forwardedFor } from '../../../src/ratelimit/decide/forwarded.ts'

const clientOf = createClientOf(['127.0.0.1', '10.0.0.0/8', '2001:db8:ffff::/48'])
const addressOf = (peer: string, headers: Record<string, string>): string | undefined =>
  clientOf(peer, headers).address?.text

describe('the client’s address', () => {
  it.each<[what: string, peer: string, headers: Record<string, string>, address: string | undefined]>([
    ['a stranger is who he is, whatever he says', '203.0.113.9', { 'x-forwarded-for': '198.51.100.1' }, '203.0.113.9'],
    ['a stranger is who he is', '203.0.113.9', { forwarded: 'for=198.51.100.1' }, '203.0.113.9'],
    ['a proxy that says nothing is itself', '127.0.0.1', {}, '127.0.0.1'],
    ['a proxy names the visitor', '127.0.0.1', { 'x-forwarded-for': '198.51.100.1' }, '198.51.100.1'],
    ['over a mapped address', '::ffff:127.0.0.1', { 'x-forwarded-for': '198.51.100.1' }, '198.51.100.1'],
    [
      'what the visitor put in front changes nothing',
      '127.0.0.1',
      { 'x-forwarded-for': '1.1.1.1, 2.2.2.2, 198.51.100.1' },
      '198.51.100.1',
    ],
    ['proxies behind proxies', '127.0.0.1', { 'x-forwarded-for': '1.1.1.1, 198.51.100.1, 10.1.2.3' }, '198.51.100.1'],
    ['proxies alone: the first', '127.0.0.1', { 'x-forwarded-for': '10.9.9.9, 10.1.2.3' }, '10.9.9.9'],
    ['with a port', '127.0.0.1', { 'x-forwarded-for': '198.51.100.1:4711' }, '198.51.100.1'],
    ['IPv6', '127.0.0.1', { 'x-forwarded-for': '2001:DB8::0:1' }, '2001:db8::1'],
    ['IPv6 in brackets, with a port', '127.0.0.1', { 'x-forwarded-for': '[2001:db8::1]:443' }, '2001:db8::1'],
    ['mapped IPv4 is IPv4', '127.0.0.1', { 'x-forwarded-for': '::ffff:198.51.100.1' }, '198.51.100.1'],
    ['a proxy over IPv6', '2001:db8:ffff::5', { 'x-forwarded-for': '198.51.100.1' }, '198.51.100.1'],
    ['nonsense is nobody', '127.0.0.1', { 'x-forwarded-for': 'unknown' }, undefined],
    ['nonsense nearest to us is nobody', '127.0.0.1', { 'x-forwarded-for': '198.51.100.1, nonsense' }, undefined],
    ['an empty header is nobody', '127.0.0.1', { 'x-forwarded-for': '' }, undefined],
    ['a zone is nobody', '127.0.0.1', { 'x-forwarded-for': 'fe80::1%eth0' }, undefined],
    ['RFC 7239', '127.0.0.1', { forwarded: 'for=198.51.100.1;proto=https;by=10.0.0.1' }, '198.51.100.1'],
    ['RFC 7239, quoted IPv6', '127.0.0.1', { forwarded: 'For="[2001:db8::1]:4711"' }, '2001:db8::1'],
    [
      'RFC 7239, from the right',
      '127.0.0.1',
      { forwarded: 'for=1.1.1.1, for=198.51.100.1, for=10.0.0.2' },
      '198.51.100.1',
    ],
    ['RFC 7239, hidden', '127.0.0.1', { forwarded: 'for=_hidden' }, undefined],
    ['RFC 7239, last element without for', '127.0.0.1', { forwarded: 'for=1.1.1.1, proto=https' }, undefined],
    ['RFC 7239, broken', '127.0.0.1', { forwarded: 'for=1.1.1.1 for=2.2.2.2' }, undefined],
    [
      'X-Forwarded-For before Forwarded, which a visitor can send through',
      '127.0.0.1',
      { forwarded: 'for=1.1.1.1', 'x-forwarded-for': '198.51.100.1' },
      '198.51.100.1',
    ],
  ])('%s', (_what, peer, headers, address) => {
    expect(addressOf(peer, headers)).toBe(address)
  })

  it('is what the nearest trusted proxy wrote, whatever visitors write before it', () => {
    fc.assert(
      fc.property(fc.string(), fc.ipV4(), (invented, visitor) => {
        fc.pre(!/^(10|127)\./.test(visitor))
        expect(addressOf('127.0.0.1', { 'x-forwarded-for': `${invented}, ${visitor}` })).toBe(visitor)
        expect(addressOf('127.0.0.1', { 'x-forwarded-for': `${invented},${visitor}, 10.0.0.1` })).toBe(visitor)
      }),
    )
  })

  it('is never thrown at by any header', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), (peer, chain, forwarded) => {
        clientOf(peer, { 'x-forwarded-for': chain })
        clientOf('127.0.0.1', { 'x-forwarded-for': chain })
        clientOf('127.0.0.1', { forwarded })
      }),
    )
  })
})

describe('Forwarded', () => {
  const token = fc.stringMatching(/^[\w.-]{1,12}$/)
  const quoted = fc.stringMatching(/^[\w.,;:= [\]-]{0,12}$/)

  it('gives back every for that was written, in order, quoted or not', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            value: fc.oneof(token, quoted),
            proto: fc.boolean(),
            by: fc.option(quoted),
            upper: fc.boolean(),
          }),
          { minLength: 1, maxLength: 5 },
        ),
        (elements) => {
          const written = elements.map(({ value, proto, by, upper }) =>
            [
              ...(proto ? ['proto=https'] : []),
              `${upper ? 'FOR' : 'for'}=${/^[\w.-]+$/.test(value) ? value : `"${value}"`}`,
              ...(by === null ? [] : [`by="${by}"`]),
            ].join(';'),
          )
          expect(forwardedFor(written.join(', '))).toEqual(elements.map(({ value }) => value))
        },
      ),
    )
  })

  it('takes escapes in quotes, and has no answer where the header is broken', () => {
    expect(forwardedFor(String.raw`for="a\"b\\c"`)).toEqual([String.raw`a"b\c`])
    expect(forwardedFor('')).toEqual([undefined])
    for (const broken of ['for', 'for="open', 'for=a b', '=a', 'for=a;;b'])
      expect(forwardedFor(broken), broken).toBeUndefined()
  })
})
