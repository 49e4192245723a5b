import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'

import type { Known } from './collector.ts'
import { beginning } from './lines.ts'

/** How much of its beginning makes a file known. */
const PREFIX_BYTES = 4096

export interface Identity {
  /** `PREFIX_BYTES-SHA256`, as the collector takes it. */
  name: string
  /** Bytes of the file that are in already. */
  offset: number
}

const fingerprintOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('base64url')

/**
 * Whether this file was imported before, under whatever name, and how far. A file that was shorter than 4 KiB then is known
 * by as much as there was. Undefined: the file is empty.
 */
export const identify = async (path: string, known: readonly Known[]): Promise<Identity | undefined> => {
  const prefix = await beginning(path, PREFIX_BYTES)
  if (prefix.length === 0) return undefined
  const found = known
    .filter(
      ({ prefixBytes, fingerprint }) =>
        prefixBytes <= prefix.length && fingerprintOf(prefix.subarray(0, prefixBytes)) === fingerprint,
    )
    .toSorted((one, other) => other.prefixBytes - one.prefixBytes)[0]
  if (found) return { name: `${found.prefixBytes}-${found.fingerprint}`, offset: found.offset }
  return { name: `${prefix.length}-${fingerprintOf(prefix)}`, offset: 0 }
}

/** What tells a rotated file from the one that is being read. */
export const fileState = async (
  path: string,
): Promise<{ inode: number; size: number; changedMsAgo: number } | undefined> => {
  try {
    const { ino, size, mtimeMs } = await stat(path)
    return { inode: ino, size, changedMsAgo: Date.now() - mtimeMs }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
