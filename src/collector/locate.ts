import { isIPv4, isIPv6 } from 'node:net'

import ipaddr from 'ipaddr.js'
import { LRUCache } from 'lru-cache'

import type { Geo } from '../geo/index.ts'
import { quote } from './encode.ts'

/** Estimated at 300 bytes each: 30 MB. */
const CACHED_ADDRESSES = 100_000
/** The longest address: IPv6 with an embedded IPv4. */
const LONGEST = 45

/**
 * Where an address is, as the piece of the row that `encode.ts` puts in: `"ip","country","city",latitude,longitude,asn,
 * "organization"`. Undefined: not an address.
 */
export type Locate = (ip: string) => string | undefined

const canonical = (ip: string): string | undefined => {
  if (isIPv4(ip)) return `::ffff:${ip}`
  // A zone (fe80::1%eth0) says something about the sender's machine only, and ClickHouse refuses it.
  if (ip.length > LONGEST || !isIPv6(ip) || ip.includes('%')) return undefined
  const address = ipaddr.IPv6.parse(ip)
  return address.isIPv4MappedAddress() ? `::ffff:${address.toIPv4Address().toString()}` : address.toString()
}

export const createLocate = (geo: Pick<Geo, 'lookup' | 'version'>): Locate => {
  const cache = new LRUCache<string, string>({ max: CACHED_ADDRESSES })
  let version = geo.version
  return (ip) => {
    if (geo.version !== version) {
      version = geo.version
      cache.clear()
    }
    const cached = cache.get(ip)
    if (cached !== undefined) return cached
    const address = canonical(ip)
    if (address === undefined) return undefined
    const { country, city, latitude, longitude, asn, asOrganization } = geo.lookup(ip)
    const piece = `"${address}",${quote(country)},${quote(city)},${latitude},${longitude},${asn},${quote(asOrganization)}`
    cache.set(ip, piece)
    return piece
  }
}
