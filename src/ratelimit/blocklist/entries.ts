import { createHash } from 'node:crypto'

import { StoreError, type Version } from '../../store/index.ts'
import { parsePrefix, type Prefix } from '../address.ts'
import type { Refusal } from './reserved.ts'
import {
  BLOCK_ACTIONS,
  BLOCK_SOURCES,
  type BlockAction,
  type BlockListEntry,
  type BlockSource,
  type NewBlockListEntry,
} from './types.ts'

/** An entry as it is stored; times are RFC 3339. What is not so is left out, since a list of 100,000 is read at each start. */
export interface EntryRecord {
  cidr: string
  action: BlockAction
  source: BlockSource
  reason: string
  createdAt: string
  createdBy: string
  expiresAt?: string
  removedAt?: string
  removedBy?: string
  removedReason?: string
  /** Hashes of (author, idempotency key), newest last. */
  requests?: string[]
}

/** A new entry that was found good. */
export interface CheckedEntry {
  id: string
  prefix: Prefix
  action: BlockAction
  source: BlockSource
  reason: string
  expiresAt: Date | null
  idempotencyKey: string | undefined
}

/** How ids of entries begin. */
export const BLOCK_LIST_ENTRY_ID = 'blk_'

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const ID_LENGTH = 16
const LONGEST_REASON = 500
const LONGEST_KEY = 255
/** Keys that one entry remembers: a client repeats the request that just failed, not one of last week. */
const REQUESTS = 8

/** From what makes an entry the same, so that two processes that add one at once make one. 95 bits. */
export const entryId = (cidr: string, action: BlockAction, source: BlockSource): string => {
  let rest = BigInt(`0x${createHash('sha256').update(`${cidr}|${action}|${source}`).digest('hex')}`)
  let text = ''
  for (let length = 0; length < ID_LENGTH; length++) {
    text += BASE62[Number(rest % 62n)]!
    rest /= 62n
  }
  return `${BLOCK_LIST_ENTRY_ID}${text}`
}

const invalid = (field: string, message: string): StoreError =>
  new StoreError('INVALID', `${field}: ${message}`, { field })

const shown = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)

const checkText = (field: string, text: string, longest: number): string => {
  const trimmed = text.trim()
  if (trimmed === '' || trimmed.length > longest || /\p{Cc}/u.test(trimmed))
    throw invalid(field, `${shown(text)} is not allowed; give 1 to ${longest} printable characters`)
  return trimmed
}

const oneOf = <T extends string>(field: string, given: T, allowed: readonly T[]): T => {
  if (!allowed.includes(given)) throw invalid(field, `${shown(given)} is none of ${allowed.join(', ')}`)
  return given
}

/** @throws {StoreError} INVALID, naming the field, what was given and what is allowed */
export const checkNewEntry = (entry: NewBlockListEntry, refusal: Refusal): CheckedEntry => {
  const { action = 'BLOCK', source = 'MANUAL', reason, expiresAt = null, force = false, idempotencyKey } = entry
  const prefix = parsePrefix(entry.cidr)
  if (!prefix)
    throw invalid(
      'cidr',
      `${shown(entry.cidr)} is no address; give one such as 203.0.113.7, 192.0.2.0/24 or 2001:db8::/32`,
    )
  oneOf('action', action, BLOCK_ACTIONS)
  oneOf('source', source, BLOCK_SOURCES)
  const refused = action === 'ALLOW' || force ? undefined : refusal(prefix)
  if (refused !== undefined) throw invalid('cidr', `${refused}; if it is meant all the same, set force`)
  if (expiresAt && !(expiresAt.getTime() > Date.now()))
    throw invalid(
      'expiresAt',
      Number.isNaN(expiresAt.getTime())
        ? 'not a time; give RFC 3339'
        : `${expiresAt.toISOString()} is over; give a time to come, or none for an entry without end`,
    )
  if (idempotencyKey !== undefined) checkText('idempotencyKey', idempotencyKey, LONGEST_KEY)
  return {
    id: entryId(prefix.cidr, action, source),
    prefix,
    action,
    source,
    reason: checkText('reason', reason, LONGEST_REASON),
    expiresAt,
    idempotencyKey,
  }
}

/** Hashed, since clients choose keys freely and some put secrets into them. */
export const requestHash = (by: string, idempotencyKey: string): string =>
  createHash('sha256').update(`${by}\0${idempotencyKey}`).digest('base64url').slice(0, 22)

const isOver = ({ removedAt, expiresAt }: EntryRecord, now: number): boolean =>
  removedAt !== undefined || (expiresAt !== undefined && Date.parse(expiresAt) <= now)

/** The record with the entry added; the very same record where that changes nothing. */
export const withAdded = (current: EntryRecord | undefined, entry: CheckedEntry, by: string): EntryRecord => {
  const now = Date.now()
  const request = entry.idempotencyKey === undefined ? undefined : requestHash(by, entry.idempotencyKey)
  if (current && request !== undefined && current.requests?.includes(request)) return current
  const expiresAt = entry.expiresAt?.toISOString()
  const goesOn = current !== undefined && !isOver(current, now)
  if (goesOn && request === undefined && current.reason === entry.reason && current.expiresAt === expiresAt)
    return current
  const requests = request === undefined ? current?.requests : [...(current?.requests ?? []), request].slice(-REQUESTS)
  return {
    cidr: entry.prefix.cidr,
    action: entry.action,
    source: entry.source,
    reason: entry.reason,
    createdAt: goesOn ? current.createdAt : new Date(now).toISOString(),
    createdBy: goesOn ? current.createdBy : by,
    ...(expiresAt !== undefined && { expiresAt }),
    ...(requests && { requests }),
  }
}

/** The record with the entry ended; the very same record where it was removed already. */
export const withRemoved = (current: EntryRecord, by: string, reason: string | undefined): EntryRecord =>
  current.removedAt === undefined
    ? {
        ...current,
        removedAt: new Date().toISOString(),
        removedBy: by,
        ...(reason?.trim() && { removedReason: checkText('reason', reason, LONGEST_REASON) }),
      }
    : current

const asDate = (text: string | undefined): Date | null => (text === undefined ? null : new Date(text))

/** @throws {TypeError} it is none that this program could have written */
export const asEntry = ({ id, version, value }: Version<EntryRecord>): BlockListEntry => {
  const { cidr, action, source, reason, createdAt, createdBy, expiresAt, removedAt, removedBy, removedReason } = value!
  const prefix = parsePrefix(cidr)
  if (!prefix) throw new TypeError(`${shown(cidr)} is no address`)
  return {
    id,
    cidr,
    prefix,
    action,
    source,
    reason,
    createdAt: new Date(createdAt),
    createdBy,
    expiresAt: asDate(expiresAt),
    removedAt: asDate(removedAt),
    removedBy: removedBy ?? null,
    removedReason: removedReason ?? null,
    version,
  }
}
