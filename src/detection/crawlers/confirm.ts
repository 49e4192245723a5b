import { type Address, parseAddress } from '../../ratelimit/index.ts'
import type { CrawlerVerdict } from './types.ts'

/** Of `node:dns`' promises; one in a test asks a server of its own. */
export interface NameResolver {
  resolvePtr: (name: string) => Promise<string[]>
  resolve4: (name: string) => Promise<string[]>
  resolve6: (name: string) => Promise<string[]>
}

export interface ConfirmOptions {
  resolver: NameResolver
  /** For each lookup. */
  timeoutMs: number
  signal: AbortSignal | undefined
}

/** Names of one address that are looked up; who gives his address more has something to hide. */
const MOST_NAMES = 5

const hex = (word: number): string => word.toString(16).padStart(8, '0')

/**
 * Where the names of an address are kept. Asked for as such, since `reverse` says of a name server that fails that there is
 * no such name.
 */
const reverseName = ({ isV4, w0, w1, w2, w3, text }: Address): string =>
  isV4
    ? `${text.split('.').reverse().join('.')}.in-addr.arpa`
    : `${Array.from([w0, w1, w2, w3].map(hex).join('')).reverse().join('.')}.ip6.arpa`

/** The name server has answered that there is nothing; everything else is no answer. */
const isNothing = (error: unknown): boolean => ['ENOTFOUND', 'ENODATA'].includes((error as NodeJS.ErrnoException).code!)

const lookUp = async (ask: () => Promise<string[]>, { timeoutMs, signal }: ConfirmOptions) => {
  signal?.throwIfAborted()
  const over = AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])])
  const { promise, reject } = Promise.withResolvers<never>()
  const stop = () => reject(over.reason as Error)
  over.addEventListener('abort', stop)
  try {
    return await Promise.race([ask(), promise])
  } catch (error) {
    signal?.throwIfAborted()
    return isNothing(error) ? [] : undefined
  } finally {
    over.removeEventListener('abort', stop)
  }
}

/**
 * Forward-confirmed reverse DNS: the owner of an address can call it what he likes, but only the owner of the name can
 * point it at the address.
 */
export const confirmByName = async (
  address: Address,
  allowed: readonly RegExp[],
  options: ConfirmOptions,
): Promise<CrawlerVerdict> => {
  const { resolver } = options
  const names = await lookUp(() => resolver.resolvePtr(reverseName(address)), options)
  if (!names) return 'unknown'
  const own = names
    .map((name) => name.toLowerCase().replace(/\.$/, ''))
    .filter((name) => allowed.some((pattern) => pattern.test(name)))
    .sort()
    .slice(0, MOST_NAMES)
  let failed = false
  for (const name of own) {
    const ips = await lookUp(() => (address.isV4 ? resolver.resolve4(name) : resolver.resolve6(name)), options)
    if (!ips) failed = true
    else if (ips.some((ip) => parseAddress(ip)?.text === address.text)) return 'verified'
  }
  return failed ? 'unknown' : 'false'
}
