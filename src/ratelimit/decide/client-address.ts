import type { IncomingHttpHeaders } from 'node:http'

import { type Address, isWithin, parseAddress, parsePrefix } from '../address.ts'
import { forwardedFor } from './forwarded.ts'

/** Who asks, and for whom. */
export interface Client {
  /** The peer is a trusted proxy: what its headers and body say is believed. */
  trusted: boolean
  /** Undefined: a trusted proxy named none that can be read. */
  address: Address | undefined
}

/** `203.0.113.7`, `203.0.113.7:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`; `unknown` and `_hidden` are none. */
const readNode = (node: string): Address | undefined => {
  if (node.startsWith('[')) return parseAddress(node.slice(1, node.indexOf(']')))
  const colon = node.indexOf(':')
  return parseAddress(colon > 0 && colon === node.lastIndexOf(':') ? node.slice(0, colon) : node)
}

/**
 * From the right: each proxy adds the address it was asked from, so what the nearest trusted one wrote stands last, and
 * everything left of the first address that is no proxy's is the visitor's own invention.
 */
const fromTheRight = (
  nodes: readonly (string | undefined)[],
  isProxy: (address: Address) => boolean,
): Address | undefined => {
  let address: Address | undefined
  for (let index = nodes.length - 1; index >= 0; index--) {
    address = readNode(nodes[index]?.trim() ?? '')
    if (!address || !isProxy(address)) return address
  }
  return address
}

const textOf = (header: string | string[] | undefined): string | undefined =>
  typeof header === 'string' ? header : header?.join(',')

/**
 * Whose request it is. X-Forwarded-For goes before Forwarded: a proxy that writes the one passes on whatever the visitor
 * put into the other. One that writes Forwarded must therefore take X-Forwarded-For away.
 * @param trustedProxies CIDRs
 */
export const createClientOf = (trustedProxies: readonly string[]) => {
  const prefixes = trustedProxies.flatMap((cidr) => parsePrefix(cidr) ?? [])
  const isProxy = (address: Address): boolean => prefixes.some((prefix) => isWithin(address, prefix))
  /** Peers are few: proxies and services. */
  const peers = new Map<string, Client>()
  const MOST_PEERS = 10_000

  const peerOf = (text: string): Client => {
    const known = peers.get(text)
    if (known) return known
    const address = parseAddress(text)
    const peer = { trusted: address !== undefined && isProxy(address), address }
    if (peers.size >= MOST_PEERS) peers.clear()
    peers.set(text, peer)
    return peer
  }

  /** @param peer the socket's remote address */
  return (peer: string | undefined, headers: IncomingHttpHeaders): Client => {
    const near = peerOf(peer ?? '')
    if (!near.trusted) return near
    const chain = textOf(headers['x-forwarded-for'])
    if (chain !== undefined) {
      // The usual case is one proxy: its entry is the only one.
      const address = chain.includes(',') ? fromTheRight(chain.split(','), isProxy) : readNode(chain.trim())
      return { trusted: true, address }
    }
    const forwarded = textOf(headers['forwarded'])
    if (forwarded === undefined) return near
    return { trusted: true, address: fromTheRight(forwardedFor(forwarded) ?? [undefined], isProxy) }
  }
}

export type ClientOf = ReturnType<typeof createClientOf>
