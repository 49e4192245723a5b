import { timingSafeEqual } from 'node:crypto'

import type { Principal } from '../principal.ts'
import { type KeyRecord, postsPerMinuteOf } from './record.ts'
import { hashOf } from './secret.ts'
import type { Version } from './types.ts'

/** Longer than any secret; headers may be 16 KiB, and hashing those for strangers is work for nothing. */
const MAX_SECRET_LENGTH = 512

interface Entry {
  hash: Buffer
  /** Epoch ms. */
  expiresAt: number
  revoked: boolean
  principal: Principal
}

/** The keys by the hash of their secret, made anew whenever they change. */
export const createKeyIndex = () => {
  let entries = new Map<string, Entry>()
  return {
    rebuild: (versions: readonly Version<KeyRecord>[]): void => {
      const next = new Map<string, Entry>()
      for (const { id, value } of versions) {
        const { hash, expiresAt, revokedAt, name, scopes, services, pointsPerHour } = value!
        // One secret under two ids: revoked once is revoked.
        const revoked = revokedAt !== null || next.get(hash)?.revoked === true
        next.set(hash, {
          hash: Buffer.from(hash, 'base64url'),
          expiresAt: expiresAt === null ? Infinity : Date.parse(expiresAt),
          revoked,
          principal: {
            keyId: id,
            name,
            scopes: new Set(scopes),
            services,
            pointsPerHour,
            postsPerMinute: postsPerMinuteOf(value!),
          },
        })
      }
      entries = next
    },
    authenticate: (secret: string): Principal | undefined => {
      if (secret.length > MAX_SECRET_LENGTH) return undefined
      const hash = hashOf(secret)
      // How long the look-up takes tells at most about the hash, which nobody can steer; what decides takes the same time always.
      const entry = entries.get(hash.toString('base64url'))
      if (!entry || !timingSafeEqual(entry.hash, hash)) return undefined
      return entry.revoked || Date.now() >= entry.expiresAt ? undefined : entry.principal
    },
  }
}
