import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'

import ipaddr from 'ipaddr.js'

import { addressKind } from '../../geo/index.ts'

type Address = ipaddr.IPv4 | ipaddr.IPv6

/** Unicast of the Internet; what lies outside is for machines, sites, translators or nobody. */
const GLOBAL = ipaddr.parseCIDR('2000::/3')
/** IPv6 that leads to an IPv4 address: the bytes where it begins. */
const CARRIERS = [
  { network: ipaddr.parseCIDR('64:ff9b::/96'), at: 12 },
  { network: ipaddr.parseCIDR('2002::/16'), at: 2 },
]
/** Teredo: an IPv4 address is in it, and nobody offers a webhook there. */
const TEREDO = ipaddr.parseCIDR('2001::/32')
/** Of clouds, that lie among public ones: Azure's. The others are link-local, of carriers' networks or reserved. */
const METADATA = new Set(['168.63.129.16'])

const isWithin = (address: Address, [network, bits]: [Address, number]): boolean =>
  address.kind() === network.kind() && address.match(network, bits)

const isPublic = (address: Address): boolean => {
  if (address.kind() === 'ipv4')
    return addressKind(address.toString()) === 'public' && !METADATA.has(address.toString())
  const carrier = CARRIERS.find(({ network }) => isWithin(address, network))
  if (carrier) return isPublic(new ipaddr.IPv4(address.toByteArray().slice(carrier.at, carrier.at + 4)))
  return isWithin(address, GLOBAL) && !isWithin(address, TEREDO) && addressKind(address.toString()) === 'public'
}

/** The target lies where none may be: to be told to the operator, not to be tried again. */
export class RefusedTarget extends Error {
  override name = 'RefusedTarget'
}

export interface Place {
  /** In the order of the resolver; each of them may be connected to. */
  addresses: readonly string[]
}

/**
 * Where a name leads now. One address that may not be is enough to refuse all: a name that leads inside and outside is set to
 * lead astray.
 * @param allow CIDRs of private networks that targets may lie in
 * @throws {RefusedTarget} it is private, reserved, or plain http outside of `allow`
 * @throws {Error} it cannot be resolved
 */
export const placeOf = async ({ hostname, protocol }: URL, allow: readonly string[]): Promise<Place> => {
  const host = hostname.replace(/^\[|\]$/g, '')
  const found = isIP(host) ? [host] : (await lookup(host, { all: true })).map(({ address }) => address)
  if (found.length === 0) throw new Error(`${host} has no address`)
  const networks = allow.map((cidr) => ipaddr.parseCIDR(cidr))
  for (const text of found) {
    const address = ipaddr.process(text.replace(/%.*$/, ''))
    if (networks.some((network) => isWithin(address, network))) continue
    if (!isPublic(address))
      throw new RefusedTarget(
        `${host} leads to ${text}, which is no public address; INCIDENT_WEBHOOK_ALLOW names private ranges that targets may lie in`,
      )
    if (protocol !== 'https:')
      throw new RefusedTarget(`${host} is outside of INCIDENT_WEBHOOK_ALLOW, where only https:// is allowed`)
  }
  return { addresses: found }
}
