import type { Logger } from 'pino'

import type { ClickHouse } from '../clickhouse/index.ts'
import type { Redis } from '../redis/index.ts'
import { createKeyIndex } from './authenticate.ts'
import { ensureFirstKey } from './firstkey.ts'
import { createLastUse } from './lastuse.ts'
import { asApiKey, checkNewKey, type KeyRecord } from './record.ts'
import { hashOf, newKeyId, newSecret, prefixOf } from './secret.ts'
import { type ApiKeys, type KeyChange, StoreError, type Version } from './types.ts'
import { createVersions } from './versions.ts'

export interface ApiKeysDependencies {
  clickhouse: ClickHouse
  redis: Redis
  log: Logger
  /**
   * The service's: `admin-key`, and a snapshot (hashes only, 0600) by which keys go on working through a restart while
   * ClickHouse is away; one that was revoked elsewhere meanwhile is then refused as soon as ClickHouse answers.
   * Undefined for commands that run beside it: no snapshot, no first key.
   */
  dataDir: string | undefined
  /** VEDETTE_ADMIN_KEY. */
  adminKey?: string | undefined
  pollMs?: number | undefined
}

const RETRY_MS = 1_000

const asChange = ({ id, version, value, changedAt, changedBy }: Version<KeyRecord>): KeyChange => ({
  keyId: id,
  name: value?.name ?? '',
  action: version === 1 ? 'created' : value?.revokedAt ? 'revoked' : 'changed',
  at: changedAt,
  by: changedBy,
})

export const createApiKeys = (dependencies: ApiKeysDependencies): ApiKeys => {
  const { clickhouse, redis, log, dataDir, adminKey, pollMs } = dependencies
  const keys = createVersions<KeyRecord>({ kind: 'api_key', clickhouse, redis, log, dataDir, pollMs })
  const lastUse = createLastUse({ clickhouse, redis, log })
  const index = createKeyIndex()
  keys.onChange(() => index.rebuild(keys.list()))

  let retry: NodeJS.Timeout | undefined
  let stopped = false

  const firstKey = async (): Promise<string | undefined> => {
    if (dataDir === undefined) return undefined
    try {
      return await ensureFirstKey({ keys, dataDir, adminKey })
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      log.warn({ err: error }, 'whether there is a first API key cannot be seen yet; trying again')
      if (!stopped) retry = setTimeout(() => void laterFirstKey(), RETRY_MS)
      return undefined
    }
  }
  const laterFirstKey = async () => {
    try {
      if (await firstKey()) log.warn(`the first API key is in ${dataDir}/admin-key`)
    } catch (error) {
      log.error({ err: error }, 'the first API key cannot be made')
    }
  }

  const show = (version: Version<KeyRecord>) => asApiKey(version, lastUse.of(version.id))

  return {
    start: async () => {
      await keys.start()
      await lastUse.start()
      return { firstAdminKey: await firstKey() }
    },
    stop: async () => {
      stopped = true
      clearTimeout(retry)
      await lastUse.stop()
      await keys.stop()
    },
    refresh: keys.refresh,
    authenticate: (secret) => {
      const principal = index.authenticate(secret)
      if (principal) lastUse.note(principal.keyId)
      return principal
    },
    create: async (key) => {
      const checked = checkNewKey(key)
      const secret = newSecret()
      const record = { ...checked, hash: hashOf(secret).toString('base64url'), prefix: prefixOf(secret) }
      const version = await keys.write(newKeyId(), record, { by: key.by, expectedVersion: 0 })
      return { apiKey: show(version), secret }
    },
    revoke: async (id, { by }) => {
      const known = keys.get(id)
      if (known?.value?.revokedAt) return show(known)
      const version = await keys.update(
        id,
        (current) => {
          if (!current?.value) throw new StoreError('NOT_FOUND', `there is no API key ${JSON.stringify(id)}`)
          return current.value.revokedAt
            ? current.value
            : { ...current.value, revokedAt: new Date().toISOString(), revokedBy: by }
        },
        { by },
      )
      return show(version)
    },
    get: (id) => {
      const version = keys.get(id)
      return version && show(version)
    },
    list: () =>
      keys
        .list()
        .map(show)
        .toSorted((a, b) => a.createdAt.getTime() - b.createdAt.getTime() || (a.id < b.id ? -1 : 1)),
    audit: async (filter) => (await keys.history(filter)).map(asChange),
  }
}
