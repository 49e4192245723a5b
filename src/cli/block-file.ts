import { createReadStream } from 'node:fs'
import { text } from 'node:stream/consumers'

import { CliError } from './errors.ts'

/** One CIDR of a file, and where it stands. */
export interface BlockLine {
  /** From 1. */
  number: number
  cidr: string
  /** Undefined: none is written beside it. */
  reason: string | undefined
}

const readAll = async (path: string): Promise<string> => {
  try {
    return await text(path === '-' ? process.stdin : createReadStream(path))
  } catch (error) {
    throw new CliError(`${path} cannot be read: ${(error as Error).message}`, 2, error)
  }
}

/**
 * Reads one CIDR a line, with a reason behind it where there is one. Empty lines and what follows a `#` are passed over.
 * @param path `-`: stdin
 * @throws {CliError}
 */
export const readBlockFile = async (path: string): Promise<BlockLine[]> =>
  (await readAll(path)).split(/\r?\n/).flatMap((line, index) => {
    const [, cidr, reason] = /^\s*(\S+)\s*(.*?)\s*$/.exec(line.replace(/(^|\s)#.*$/, '')) ?? []
    return cidr === undefined ? [] : [{ number: index + 1, cidr, reason: reason || undefined }]
  })
