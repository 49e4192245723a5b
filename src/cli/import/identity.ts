import { createHash } from 'node:crypto'

import type { Known } from './collector.ts'
import { beginning, type LogFile } from './lines.ts'

/** How much of its beginning makes a file known. */
const PREFIX_BYTES = 4096
const NEWLINE = 0x0a

export interface Identity {
  /** `PREFIX_BYTES-SHA256`, as the collector takes it. */
  name: string
  /** Bytes of the file that are in already. */
  offset: number
}

const nameOf = (prefix: Buffer): string => `${prefix.length}-${createHash('sha256').update(prefix).digest('base64url')}`

/**
 * Whether this file was imported before, under whatever name, and how far. A file that was shorter than 4 KiB then is known
 * by the whole lines there were: part of a line is the same in many files. Undefined: it has none yet.
 * @param growing whether a last line without an end may still get the rest of it
 */
export const identify = async (
  log: LogFile,
  known: readonly Known[],
  growing: boolean,
): Promise<Identity | undefined> => {
  const prefix = await beginning(log, PREFIX_BYTES)
  const [found] = known
    .map(({ prefixBytes, fingerprint, offset }) => ({ prefixBytes, name: `${prefixBytes}-${fingerprint}`, offset }))
    .filter(({ prefixBytes, name }) => prefixBytes <= prefix.length && nameOf(prefix.subarray(0, prefixBytes)) === name)
    .toSorted((one, other) => other.prefixBytes - one.prefixBytes)
  if (found) return { name: found.name, offset: found.offset }
  const lines = prefix.subarray(0, prefix.lastIndexOf(NEWLINE) + 1)
  const stable = prefix.length === PREFIX_BYTES || !growing ? prefix : lines
  return stable.length === 0 ? undefined : { name: nameOf(stable), offset: 0 }
}
