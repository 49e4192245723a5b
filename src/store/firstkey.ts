import { mkdir, open, readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'

import { checkNewKey, type KeyRecord } from './record.ts'
import { hashOf, newSecret, prefixOf } from './secret.ts'
import { StoreError, type Versions } from './types.ts'

export interface FirstKeyDependencies {
  keys: Versions<KeyRecord>
  dataDir: string
  /** VEDETTE_ADMIN_KEY. */
  adminKey: string | undefined
}

const MIN_LENGTH = 32

const readSecret = async (path: string): Promise<string | undefined> => {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  const secret = text?.trim()
  if (secret !== undefined && secret.length < MIN_LENGTH)
    throw new Error(
      `${path} holds ${secret.length} characters, not an API key of ${MIN_LENGTH} or more; remove the file to have one made`,
    )
  return secret
}

const writeSecret = async (path: string, secret: string): Promise<void> => {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(`${secret}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** False when another process was faster: its key is as good. */
const add = async (keys: Versions<KeyRecord>, id: string, name: string, secret: string): Promise<boolean> => {
  const record = {
    ...checkNewKey({ name, scopes: ['ADMIN'], by: 'system' }),
    hash: hashOf(secret).toString('base64url'),
    prefix: prefixOf(secret),
  }
  try {
    await keys.write(id, record, { by: 'system', expectedVersion: 0 })
    return true
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'CONFLICT') throw error
    await keys.refresh()
    return false
  }
}

/**
 * Sees to it that somebody can come in: the key that the operator named (VEDETTE_ADMIN_KEY, or the file `admin-key`), or
 * one made now and written there (0600). A key that is known already is left as it is, revoked or not.
 * @returns the secret, if it was made now
 * @throws {StoreError} UNAVAILABLE
 */
export const ensureFirstKey = async ({
  keys,
  dataDir,
  adminKey,
}: FirstKeyDependencies): Promise<string | undefined> => {
  // From ClickHouse, not from a snapshot: that may not know yet that a key was revoked.
  await keys.refresh()
  const path = join(dataDir, 'admin-key')
  const given = adminKey ?? (await readSecret(path))
  if (given !== undefined) {
    const hash = hashOf(given).toString('base64url')
    if (keys.list().some(({ value }) => value?.hash === hash)) return undefined
    // From the hash, so that two processes with the same key make one record, and revoking it leaves no twin.
    await add(
      keys,
      `key_${hash.replaceAll(/\W/g, '').slice(0, 12)}`,
      adminKey ? 'VEDETTE_ADMIN_KEY' : 'admin-key',
      given,
    )
    return undefined
  }
  if (keys.list().some(({ value }) => value?.scopes.includes('ADMIN'))) return undefined
  const secret = newSecret()
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  // The file goes first: after a crash in between, the next start finds it and makes the key.
  await writeSecret(path, secret)
  if (await add(keys, 'key_first', 'first key', secret)) return secret
  await unlink(path)
  return undefined
}
