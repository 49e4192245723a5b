import { isIP } from 'node:net'

import ipaddr from 'ipaddr.js'

/** The store keeps every address as IPv6; IPv4 as `::ffff:a.b.c.d`. */
const MAPPED = '::ffff:'

/** As people write it: mapped IPv4 as IPv4, IPv6 compressed by RFC 5952. Undefined where it is no address. */
export const parseIp = (text: string): string | undefined => {
  if (isIP(text) === 0 || text.includes('%')) return undefined
  const address = ipaddr.process(text)
  return address.kind() === 'ipv6' ? (address as ipaddr.IPv6).toRFC5952String() : address.toString()
}

/** From `toString` of the store's IPv6, which is canonical but for mapped IPv4 and, with a dot, old IPv4-compatible ones. */
export const shownIp = (stored: string): string =>
  stored.startsWith(MAPPED) && stored.includes('.')
    ? stored.slice(MAPPED.length)
    : stored.includes('.')
      ? parseIp(stored)!
      : stored

export const storedIp = (ip: string): string => (ip.includes(':') ? ip : MAPPED + ip)

/** A prefix as the store's IPv6 sees it: 10.0.0.0/8 is ::ffff:10.0.0.0/104. */
export interface Prefix {
  /** First and last address, stored form. */
  first: string
  last: string
  bits: number
}

/** Reads an address or a prefix (host bits may be set). Undefined where it is neither. */
export const parsePrefix = (text: string): { cidr: string; prefix: Prefix } | undefined => {
  const [host, length, more] = text.split('/')
  const ip = parseIp(host!)
  if (ip === undefined || more !== undefined) return undefined
  const isV4 = !ip.includes(':')
  const width = isV4 ? 32 : 128
  // ::ffff:10.0.0.0/104 is written for IPv4, too.
  const shift = isV4 && host!.includes(':') ? 96 : 0
  if (length !== undefined && !/^\d{1,3}$/.test(length)) return undefined
  const bits = length === undefined ? width : Number(length) - shift
  if (bits < 0 || bits > width) return undefined
  const bytes = ipaddr.parse(storedIp(ip)).toByteArray()
  const storedBits = bits + (isV4 ? 96 : 0)
  const edge = (fill: 0 | 0xff) =>
    storedForm(
      bytes.map((byte, index) => {
        const kept = Math.min(8, Math.max(0, storedBits - index * 8))
        const mask = (0xff << (8 - kept)) & 0xff
        return (byte & mask) | (fill & ~mask & 0xff)
      }),
    )
  const first = edge(0)
  const network = shownIp(first)
  return {
    cidr: length === undefined ? network : `${network}/${bits}`,
    prefix: { first, last: edge(0xff), bits: storedBits },
  }
}

const storedForm = (bytes: number[]): string => {
  const address = ipaddr.fromByteArray(bytes) as ipaddr.IPv6
  return address.isIPv4MappedAddress() ? MAPPED + address.toIPv4Address().toString() : address.toRFC5952String()
}

/** For comparing stored forms as the store does, byte by byte. */
export const ipBytes = (stored: string): Buffer => Buffer.from(ipaddr.parse(stored).toByteArray())

export const ipFromBytes = (bytes: Buffer): string => storedForm([...bytes])
