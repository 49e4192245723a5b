import { parsePrefix } from '../../analytics/index.ts'
import { isWithin, parsePrefix as parseListed } from '../../ratelimit/index.ts'
import { shownAddress } from '../judge.ts'

/** How ids of suspicious addresses begin. */
export const SUSPICIOUS_IP_ID = 'sus_'

/** As addresses are counted, in the text of the store: IPv4 as ::ffff:a.b.c.d, of IPv6 the first of the /64. Undefined: no address. */
export const countedAddress = (ip: string): string | undefined => {
  const network = /:/.test(ip) && !/^::ffff:\d+\./i.test(ip) ? parsePrefix(`${ip}/64`) : parsePrefix(ip)
  return network?.prefix.first
}

/** What is the same for the same address, and tells it: an id needs no table to be found by. */
export const suspiciousIpId = (address: string): string =>
  SUSPICIOUS_IP_ID + Buffer.from(shownAddress(address)).toString('base64url')

/** In the text of the store; undefined: none of ours. */
export const addressOfId = (id: string): string | undefined => {
  if (!id.startsWith(SUSPICIOUS_IP_ID)) return undefined
  const address = countedAddress(Buffer.from(id.slice(SUSPICIOUS_IP_ID.length), 'base64url').toString())
  return address !== undefined && suspiciousIpId(address) === id ? address : undefined
}

/** The network that neighbours share: as wide as what one customer or one rented machine's owner commonly gets. */
export const neighbourhood = (ip: string, bits?: number): string =>
  parsePrefix(`${ip}/${bits ?? (ip.includes(':') ? 64 : 24)}`)!.cidr

/** Whether the prefix of IPv4 or IPv6 holds the address, both as people write them. */
export const holdsAddress = (cidr: string, ip: string): boolean => {
  const [outer, inner] = [parseListed(cidr), parseListed(ip)]
  return outer !== undefined && inner !== undefined && isWithin(inner.address, outer)
}
