import { isIPv4, isIPv6 } from 'node:net'

import ipaddr from 'ipaddr.js'
import { LRUCache } from 'lru-cache'

/**
 * An IP address as four 32-bit words, most significant first. IPv4 lies at ::ffff:0:0/96, so that one prefix tree holds
 * both and mapped IPv4 is IPv4.
 */
export interface Address {
  /** As people write it: IPv4, or IPv6 by RFC 5952. */
  readonly text: string
  readonly isV4: boolean
  readonly w0: number
  readonly w1: number
  readonly w2: number
  readonly w3: number
  /** What limits count: an IPv4 address, or the /64 of an IPv6 address, since a single line commonly gets a whole one. */
  readonly counted: string
}

/** A prefix over the same words; IPv4 lengths are 96 more than written. */
export interface Prefix {
  /** Its first address; host bits are zero. */
  readonly address: Address
  /** 0 to 128. */
  readonly bits: number
  /** As people write it; a single address has no length. */
  readonly cidr: string
}

const MAPPED = 0xffff
/** The longest address: IPv6 with an embedded IPv4. */
const LONGEST = 45
/** Estimated at 250 bytes each: 25 MB. */
const CACHED = 100_000

const textOf = (w0: number, w1: number, w2: number, w3: number): string => {
  if (w0 === 0 && w1 === 0 && w2 === MAPPED) return `${w3 >>> 24}.${(w3 >>> 16) & 255}.${(w3 >>> 8) & 255}.${w3 & 255}`
  return new ipaddr.IPv6([w0, w1, w2, w3].flatMap((word) => [word >>> 16, word & 0xffff])).toRFC5952String()
}

/** From words, each 0 to 2^32 - 1. */
export const addressOf = (w0: number, w1: number, w2: number, w3: number): Address => {
  const isV4 = w0 === 0 && w1 === 0 && w2 === MAPPED
  const text = textOf(w0, w1, w2, w3)
  return { text, isV4, w0, w1, w2, w3, counted: isV4 ? text : `${textOf(w0, w1, 0, 0)}/64` }
}

/** Of two parts of 16 bits. */
const wordAt = (parts: readonly number[], index: number): number => parts[index]! * 65_536 + parts[index + 1]!

const parse = (text: string): Address | undefined => {
  if (text.length > LONGEST) return undefined
  if (isIPv4(text)) {
    let word = 0
    for (const part of text.split('.')) word = word * 256 + Number(part)
    return { text, isV4: true, w0: 0, w1: 0, w2: MAPPED, w3: word, counted: text }
  }
  // A zone says something about one machine only.
  if (!isIPv6(text) || text.includes('%')) return undefined
  const { parts } = ipaddr.IPv6.parse(text)
  return addressOf(wordAt(parts, 0), wordAt(parts, 2), wordAt(parts, 4), wordAt(parts, 6))
}

const cache = new LRUCache<string, Address>({ max: CACHED })

/** Reads an IPv4 or IPv6 address without port, brackets or zone; undefined: it is none. The same text is read once. */
export const parseAddress = (text: string): Address | undefined => {
  const known = cache.get(text)
  if (known) return known
  const address = parse(text)
  if (address) cache.set(text, address)
  return address
}

const masked = (word: number, bits: number): number =>
  bits <= 0 ? 0 : bits >= 32 ? word : (word & (0xffffffff << (32 - bits))) >>> 0

/** The prefix of so many bits (0 to 128, IPv4 from 96 on) that holds the address. */
export const prefixOf = (address: Address, bits: number): Prefix => {
  const first = addressOf(
    masked(address.w0, bits),
    masked(address.w1, bits - 32),
    masked(address.w2, bits - 64),
    masked(address.w3, bits - 96),
  )
  const shown = first.isV4 && bits >= 96 ? bits - 96 : bits
  return { address: first, bits, cidr: bits === 128 ? first.text : `${first.text}/${shown}` }
}

/** Reads an address or a CIDR; host bits may be set, ::ffff:10.0.0.0/104 is 10.0.0.0/8. Undefined: it is neither. */
export const parsePrefix = (text: string): Prefix | undefined => {
  const [host, length, more] = text.split('/')
  const address = parse(host!)
  if (!address || more !== undefined) return undefined
  if (length === undefined) return prefixOf(address, 128)
  if (!/^\d{1,3}$/.test(length)) return undefined
  const bits = Number(length) + (address.isV4 && !host!.includes(':') ? 96 : 0)
  return bits <= 128 ? prefixOf(address, bits) : undefined
}

/** Whether the address lies in the prefix. ::/0 and its like are IPv6 alone, though IPv4 lies within it here. */
export const isWithin = ({ w0, w1, w2, w3, isV4 }: Address, { address, bits }: Prefix): boolean =>
  !(isV4 && bits < 96) &&
  masked(w0, bits) === address.w0 &&
  masked(w1, bits - 32) === address.w1 &&
  masked(w2, bits - 64) === address.w2 &&
  masked(w3, bits - 96) === address.w3
