import { createHmac } from 'node:crypto'

import { param, raw, type Sql, sql } from '../clickhouse/index.ts'
import type { Anonymising } from './types.ts'

/** What makes an address or a user unrecognisable, as SQL; told from true ones, so that it is done once. */
export interface Identity {
  /** Of an expression of type IPv6. */
  address: (ip: Sql) => Sql
  user: (user: Sql) => Sql
  /** Of what a policy counts: an address, a /64, `user:…`, or nothing. */
  counted: (counted: Sql) => Sql
}

/**
 * Hashed addresses lie here: within the block for documentation (RFC 9637), so that no client ever has one, while fd00::/8 is in
 * use in many networks.
 */
export const HASHED = {
  first: '3fff::',
  last: '3fff:ff:ffff:ffff:ffff:ffff:ffff:ffff',
  prefix: '3fff00',
  bytes: 13,
} as const
export const HASHED_USER = 'anon:'

const isHashed = (ip: Sql): Sql => sql`(${ip} >= toIPv6(${HASHED.first}) AND ${ip} <= toIPv6(${HASHED.last}))`
const isV4 = (ip: Sql): Sql => sql`(${ip} >= toIPv6('::ffff:0.0.0.0') AND ${ip} <= toIPv6('::ffff:255.255.255.255'))`

/** The address that `counted` begins with; NULL: it is none. */
const addressIn = (counted: Sql): Sql => sql`toIPv6OrNull(arrayElement(splitByChar('/', ${counted}), 1))`

const truncating: Identity = {
  address: (ip) => sql`tupleElement(IPv6CIDRToRange(${ip}, if(${isV4(ip)}, 120, 48)), 1)`,
  user: () => sql`''`,
  counted: (counted) => {
    const ip = addressIn(counted)
    const first = truncating.address(sql`assumeNotNull(${ip})`)
    return sql`if(isNull(${ip}), '', if(${isV4(sql`assumeNotNull(${ip})`)}, concat(replaceOne(IPv6NumToString(${first}), '::ffff:', ''), '/24'), concat(IPv6NumToString(${first}), '/48')))`
  },
}

const hashing = (secret: string): Identity => {
  const key = createHmac('sha256', secret).update('vedette anonymise').digest()
  const keyed = (text: Sql): Sql =>
    sql`sipHash128Keyed(tuple(${param('UInt64', key.readBigUInt64LE(0).toString())}, ${param('UInt64', key.readBigUInt64LE(8).toString())}), ${text})`
  const address = (ip: Sql): Sql =>
    // '::' stands for an address that was not told.
    sql`if(${isHashed(ip)} OR ${ip} = toIPv6('::'), ${ip}, toIPv6(IPv6NumToString(toFixedString(concat(unhex(${HASHED.prefix}), substring(${keyed(sql`IPv6NumToString(${ip})`)}, 1, ${raw(String(HASHED.bytes))})), 16))))`
  const user = (name: Sql): Sql =>
    sql`if(${name} = '' OR startsWith(${name}, ${HASHED_USER}), ${name}, concat(${HASHED_USER}, lower(hex(substring(${keyed(name)}, 1, 12)))))`
  return {
    address,
    user,
    counted: (counted) => {
      const ip = addressIn(counted)
      return sql`multiIf(isNotNull(${ip}), IPv6NumToString(${address(sql`assumeNotNull(${ip})`)}), startsWith(${counted}, 'user:'), concat('user:', ${user(sql`substring(${counted}, 6)`)}), ${user(counted)})`
    },
  }
}

export const identityOf = ({ by, secret }: Pick<Anonymising, 'by' | 'secret'>): Identity =>
  by === 'hash' ? hashing(secret) : truncating
