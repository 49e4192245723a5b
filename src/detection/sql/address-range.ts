import { param, type Sql, sql } from '../../clickhouse/index.ts'
import { type Address, parsePrefix } from '../../ratelimit/index.ts'

const hex = (word: number): string => word.toString(16).padStart(8, '0')

const textOf = (words: readonly number[]): string =>
  words
    .map(hex)
    .join('')
    .replaceAll(/(.{4})(?!$)/g, '$1:')

const wordsOf = ({ w0, w1, w2, w3 }: Address): number[] => [w0, w1, w2, w3]

/** Whether a column of IPv6 lies in the prefix; an address of IPv6 stands for its /64. */
export const addressRange = (column: Sql, cidr: string): Sql => {
  const prefix = parsePrefix(cidr)
  if (!prefix) throw new TypeError(`not an address or CIDR: ${cidr}`)
  const bits = prefix.bits === 128 && !prefix.address.isV4 && !cidr.includes('/') ? 64 : prefix.bits
  const words = wordsOf(prefix.address)
  const first = words.map((word, index) => (word & mask(bits - 32 * index)) >>> 0)
  const last = words.map((word, index) => (word | ~mask(bits - 32 * index)) >>> 0)
  return sql`(${column} BETWEEN ${param('IPv6', textOf(first))} AND ${param('IPv6', textOf(last))})`
}

const mask = (bits: number): number => (bits <= 0 ? 0 : bits >= 32 ? 0xffffffff : (0xffffffff << (32 - bits)) >>> 0)
