import { createHash } from 'node:crypto'

import { parsePrefix, patternToRegExp } from '../ratelimit/index.ts'
import type { DetectorException, DetectorFile } from './types.ts'
import { invalid } from './values.ts'

/** As the detector of an exception: every one. */
export const ANY = '*'
/** How ids of exceptions begin. */
export const EXCEPTION_ID = 'exc_'

export type StoredException = Omit<DetectorException, 'id' | 'createdBy' | 'createdAt'>

export interface NewException {
  /** Default: every detector. */
  detector?: string | undefined
  cidr?: string | null | undefined
  pathPattern?: string | null | undefined
  note: string
}

const checkPath = (pathPattern: string, file: DetectorFile | undefined): void => {
  try {
    patternToRegExp(pathPattern)
  } catch (error) {
    invalid('pathPattern', pathPattern, `a path such as /healthz or /api/*: ${(error as Error).message}`)
  }
  const seesPaths = !file || (file.stage === 'requests' ? file.evidence !== '' : /\brequests\b/.test(file.sql))
  if (!seesPaths)
    invalid('pathPattern', pathPattern, `none for ${file.id}, which does not look at single paths; give cidr alone`)
}

/** @throws {StoreError} INVALID with the field */
export const checkException = (
  { detector = ANY, cidr = null, pathPattern = null, note }: NewException,
  files: ReadonlyMap<string, DetectorFile>,
): StoredException => {
  if (detector !== ANY && !files.has(detector)) invalid('detector', detector, `* or ${[...files.keys()].join(', ')}`)
  if (cidr === null && pathPattern === null) invalid('cidr', null, 'an address or CIDR, unless pathPattern is given')
  const prefix = cidr === null ? undefined : parsePrefix(cidr)
  if (cidr !== null && !prefix) invalid('cidr', cidr, 'an address or a CIDR such as 203.0.113.0/24')
  if (pathPattern !== null) checkPath(pathPattern, files.get(detector))
  if (note.trim() === '' || note.length > 1_000) invalid('note', note, 'why, in 1 to 1,000 characters')
  return { detector, cidr: prefix?.cidr ?? null, pathPattern, note }
}

/** The same for the same detector, cidr and pathPattern. */
export const exceptionIdOf = ({ detector, cidr, pathPattern }: StoredException): string =>
  EXCEPTION_ID +
  createHash('sha256')
    .update(JSON.stringify([detector, cidr, pathPattern]))
    .digest('hex')
    .slice(0, 12)
