import { type BlockList, isWithin, parseAddress, parsePrefix, type Prefix } from '../ratelimit/index.ts'
import type { Candidate } from './find.ts'

/** IPv4 as people write it. */
export const shownAddress = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/, '')

const prefixOf = (cidr: string): Prefix[] => {
  const prefix = parsePrefix(cidr)
  return prefix ? [prefix] : []
}

export type Exempt = (candidate: Candidate) => boolean

/**
 * Whom no detector flags: who is allowed by the block list, trusted proxies, and who was excepted. The list of exceptions by
 * path is applied to the rows before, in SQL.
 */
export const createExempt = ({
  blockList,
  trustedProxies,
}: {
  blockList: Pick<BlockList, 'lookup'>
  trustedProxies: readonly string[]
}): Exempt => {
  const proxies = trustedProxies.flatMap(prefixOf)
  return ({ address: text, detector }) => {
    const address = parseAddress(shownAddress(text))
    if (!address) return true
    if (proxies.some((prefix) => isWithin(address, prefix))) return true
    if (blockList.lookup(address)?.action === 'ALLOW') return true
    return detector.exceptions
      .filter(({ pathPattern }) => pathPattern === null)
      .flatMap(({ cidr }) => (cidr === null ? [] : prefixOf(cidr)))
      .some((prefix) => isWithin(address, prefix) || isWithin(prefix.address, networkOf(text)))
  }
}

/** The /64 of an address of IPv6, so that an exception for one of its addresses holds for what is counted as one. */
const networkOf = (text: string): Prefix => {
  const shown = shownAddress(text)
  return parsePrefix(shown.includes(':') ? `${shown}/64` : shown)!
}
