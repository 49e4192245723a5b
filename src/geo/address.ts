import { isIP } from 'node:net'

import ipaddr from 'ipaddr.js'

/** What an address is for. Only `public` addresses have a place on the map; `invalid` is text that is no address. */
export type AddressKind =
  | 'public'
  | 'private'
  | 'loopback'
  | 'link_local'
  | 'unique_local'
  | 'carrier_grade_nat'
  | 'multicast'
  | 'documentation'
  | 'reserved'
  | 'invalid'

/** ipaddr.js' names for the ranges; what is not listed here is reserved for some protocol. */
const KINDS: Record<string, AddressKind> = {
  unicast: 'public',
  // Tunnels and translators: the address is public, and the databases know some of them.
  '6to4': 'public',
  teredo: 'public',
  rfc6052: 'public',
  private: 'private',
  loopback: 'loopback',
  linkLocal: 'link_local',
  uniqueLocal: 'unique_local',
  deprecatedSiteLocal: 'unique_local',
  carrierGradeNat: 'carrier_grade_nat',
  multicast: 'multicast',
}

/** RFC 5737, RFC 3849 and RFC 9637: addresses of books and tests, which ipaddr.js counts as reserved or plain unicast. */
const DOCUMENTATION = ['192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24', '2001:db8::/32', '3fff::/20'].map((cidr) =>
  ipaddr.parseCIDR(cidr),
)

/**
 * Reads an address as the databases want it: `::ffff:a.b.c.d` becomes a.b.c.d, a zone (`%eth0`) goes. Undefined where the
 * text is no address; shorthands such as `127.1`, which ipaddr.js alone would take, are none.
 */
export const parseAddress = (ip: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined => {
  if (isIP(ip) === 0) return undefined
  // Node takes zones that ipaddr.js throws at, such as that of fe80::1%br-lan.
  const zone = ip.indexOf('%')
  return ipaddr.process(zone < 0 ? ip : ip.slice(0, zone))
}

export const kindOf = (address: ipaddr.IPv4 | ipaddr.IPv6): AddressKind => {
  const documentation = DOCUMENTATION.some(([network, bits]) =>
    address.kind() === network.kind() ? address.match(network, bits) : false,
  )
  return documentation ? 'documentation' : (KINDS[address.range()] ?? 'reserved')
}

/** The kind of an IPv4, IPv6 or IPv4-mapped address. Text that is no address is `invalid`; nothing is thrown. */
export const addressKind = (ip: string): AddressKind => {
  const address = parseAddress(ip)
  return address ? kindOf(address) : 'invalid'
}
