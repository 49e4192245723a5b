import { randomBytes, randomUUID } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { ConfigError } from './config.ts'

const SHORTEST = 32

const read = async (path: string): Promise<string | undefined> => {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  const secret = text?.trim()
  if (secret !== undefined && secret.length < SHORTEST)
    throw new ConfigError(
      `${path} holds ${secret.length} characters, not ${SHORTEST} or more; put the secret back, or remove the file to have one made`,
    )
  return secret
}

/**
 * VEDETTE_SECRET, or the one in `DATA_DIR/secret` (0600), which is made where there is none.
 * @throws {ConfigError} what the file holds is none
 */
export const loadSecret = async (dataDir: string, given: string | undefined): Promise<string> => {
  if (given !== undefined) return given
  const path = join(dataDir, 'secret')
  const known = await read(path)
  if (known !== undefined) return known
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  // Appears whole or not at all; of two processes that make one, both go on with the first.
  const draft = `${path}.${randomUUID()}`
  try {
    await writeFile(draft, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600, flag: 'wx', flush: true })
    await link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  } finally {
    await rm(draft, { force: true })
  }
  return (await read(path))!
}
