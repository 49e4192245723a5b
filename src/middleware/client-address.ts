import { BlockList, isIP } from 'node:net'

const MAPPED = '::ffff:'
const MOST_KNOWN = 10_000

/** As Vedette keeps it: mapped IPv4 as IPv4, no zone, which says something about one machine only. Undefined: no address. */
const plain = (text: string): string | undefined => {
  const bare = text.includes('%') ? text.slice(0, text.indexOf('%')) : text
  const address =
    bare.length > MAPPED.length && bare.slice(0, MAPPED.length).toLowerCase() === MAPPED
      ? bare.slice(MAPPED.length)
      : bare
  return isIP(address) === 0 ? (isIP(bare) === 0 ? undefined : bare) : address
}

/** `203.0.113.7`, `203.0.113.7:4711`, `2001:db8::1`, `[2001:db8::1]:4711`. */
const readNode = (node: string): string | undefined => {
  const text = node.trim()
  if (text.startsWith('[')) return plain(text.slice(1, text.indexOf(']')))
  const colon = text.indexOf(':')
  return plain(colon > 0 && colon === text.lastIndexOf(':') ? text.slice(0, colon) : text)
}

/** The same for every way to write an IPv6 address: RFC 5952, as URLs write it. */
export const canonical = (address: string): string => {
  if (isIP(address) !== 6) return address
  return new URL(`http://[${address}]`).hostname.slice(1, -1)
}

export interface ClientAddress {
  /** @param peer an address, or `unix` */
  isTrusted: (peer: string) => boolean
  /**
   * From the right: each proxy adds the address it was asked from, so everything left of the first address that is no
   * proxy's is the visitor's own invention. Undefined: the nearest proxy named none.
   */
  behind: (forwardedFor: string) => string | undefined
  /** An address as somebody gave it. Undefined: it is none. */
  read: (text: string) => string | undefined
}

const refuse = (cidr: unknown): never => {
  throw new TypeError(
    `createVedette: trustedProxies has ${JSON.stringify(cidr)}; allowed are addresses, CIDRs such as 10.0.0.0/8, and unix`,
  )
}

/** @throws {TypeError} naming the CIDR that is none */
export const createClientAddress = (trustedProxies: readonly string[]): ClientAddress => {
  const proxies = new BlockList()
  let trustsUnix = false
  const known = new Map<string, boolean>()

  for (const cidr of trustedProxies as readonly unknown[]) {
    if (cidr === 'unix') trustsUnix = true
    else {
      const [text = '', bits, more] = typeof cidr === 'string' ? cidr.split('/') : []
      const address = plain(text) ?? refuse(cidr)
      const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
      const longest = family === 'ipv4' ? 32 : 128
      const length = bits === undefined ? longest : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN
      if (more !== undefined || !(length <= longest)) refuse(cidr)
      proxies.addSubnet(address, length, family)
    }
  }

  /** Proxies are few, and a look into the list costs a call out of JavaScript. */
  const isProxy = (address: string): boolean => {
    let is = known.get(address)
    if (is === undefined) {
      is = proxies.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6')
      if (known.size >= MOST_KNOWN) known.clear()
      known.set(address, is)
    }
    return is
  }

  return {
    isTrusted: (peer) => trustedProxies.length > 0 && (peer === 'unix' ? trustsUnix : isProxy(peer)),
    behind: (forwardedFor) => {
      const nodes = forwardedFor.split(',')
      let address: string | undefined
      for (let index = nodes.length - 1; index >= 0; index--) {
        address = readNode(nodes[index]!)
        if (address === undefined || !isProxy(address)) return address
      }
      return address
    },
    read: plain,
  }
}
