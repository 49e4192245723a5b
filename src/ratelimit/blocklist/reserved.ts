import { parsePrefix, type Prefix } from '../address.ts'

/** What no visitor from outside comes from: to block it is to lock out one's own proxies, health checks and colleagues. */
const RESERVED: readonly (readonly [cidr: string, what: string])[] = [
  ['10.0.0.0/8', 'private addresses (RFC 1918)'],
  ['172.16.0.0/12', 'private addresses (RFC 1918)'],
  ['192.168.0.0/16', 'private addresses (RFC 1918)'],
  ['127.0.0.0/8', 'this machine itself (loopback)'],
  ['::1', 'this machine itself (loopback)'],
  ['169.254.0.0/16', 'link-local addresses'],
  ['fe80::/10', 'link-local addresses'],
  ['fc00::/7', 'private addresses (unique local, RFC 4193)'],
  ['100.64.0.0/10', "addresses within a carrier's network (CGNAT, RFC 6598)"],
  ['0.0.0.0/8', 'addresses that mean "unspecified" or "this network"'],
  ['::', 'the unspecified address'],
]

/** Of the whole Internet these are more than any one network has: surely a slip of the hand. As written, IPv4 and IPv6. */
const BROADEST = { v4: 8, v6: 16 }

const leading = (word: number, bits: number): number => (bits <= 0 ? 0 : bits >= 32 ? word >>> 0 : word >>> (32 - bits))

/** Whether one of the two lies within the other. */
const overlap = (a: Prefix, b: Prefix): boolean => {
  const bits = Math.min(a.bits, b.bits)
  return (['w0', 'w1', 'w2', 'w3'] as const).every(
    (word, index) => leading(a.address[word], bits - 32 * index) === leading(b.address[word], bits - 32 * index),
  )
}

export type Refusal = (prefix: Prefix) => string | undefined

/**
 * Says why a prefix should not be denied to anybody, undefined where nothing speaks against it.
 * @param trustedProxies CIDRs: all that comes through them seems to come from them when a header is missing
 */
export const createRefusal = (trustedProxies: readonly string[]): Refusal => {
  const known = [
    ...RESERVED,
    ...trustedProxies.map((cidr) => [cidr, 'a trusted proxy (TRUSTED_PROXIES)'] as const),
  ].flatMap(([cidr, what]) => {
    const prefix = parsePrefix(cidr)
    return prefix ? [{ prefix, what }] : []
  })
  return (prefix) => {
    const { cidr, bits, address } = prefix
    const found = known.find((reserved) => overlap(reserved.prefix, prefix))
    if (found) {
      const { prefix: reserved, what } = found
      if (reserved.cidr === cidr) return `${cidr} is ${what}`
      return bits < reserved.bits
        ? `${cidr} contains ${reserved.cidr}, ${what}`
        : `${cidr} is of ${reserved.cidr}, ${what}`
    }
    const v4 = address.isV4 && bits >= 96
    const broadest = v4 ? BROADEST.v4 : BROADEST.v6
    return (v4 ? bits - 96 : bits) < broadest
      ? `${cidr} is broader than /${broadest}, which is more than any one network has`
      : undefined
  }
}
