import type { Address, Prefix } from '../address.ts'

export const BLOCK_ACTIONS = ['BLOCK', 'RATE_LIMIT', 'CHALLENGE', 'ALLOW'] as const
/**
 * - BLOCK: denied
 * - RATE_LIMIT: its limits are enforced, also where the policy is in SHADOW or OFF
 * - CHALLENGE: a captcha by bouncers that can show one (CrowdSec's), denied by `/v1/decide`, which cannot
 * - ALLOW: always passes, whatever else names it, and is not counted
 */
export type BlockAction = (typeof BLOCK_ACTIONS)[number]

export const BLOCK_SOURCES = ['MANUAL', 'AUTOMATIC', 'FEED'] as const
export type BlockSource = (typeof BLOCK_SOURCES)[number]

/** One prefix on the list. There is one for each (cidr, action, source): added again, it gets a new reason and expiry. */
export interface BlockListEntry {
  /** `blk_` and 16 characters made of cidr, action and source. */
  id: string
  cidr: string
  prefix: Prefix
  action: BlockAction
  source: BlockSource
  reason: string
  /** API key id, "cli" or "system". */
  createdBy: string
  createdAt: Date
  /** Null: never. */
  expiresAt: Date | null
  removedAt: Date | null
  removedBy: string | null
  removedReason: string | null
  version: number
}

export interface NewBlockListEntry {
  /** An address or a CIDR. */
  cidr: string
  action?: BlockAction | undefined
  source?: BlockSource | undefined
  reason: string
  expiresAt?: Date | null | undefined
  /** Also private, loopback, link-local, ULA and CGNAT ranges and trusted proxies, which are refused otherwise. */
  force?: boolean | undefined
  /** The same again from the same author changes nothing, not even what was removed since. */
  idempotencyKey?: string | undefined
}

export interface BlockListChange {
  action: 'added' | 'changed' | 'removed'
  entry: BlockListEntry
}

/** Blocked and allowed prefixes: stored in ClickHouse, held by every process as a prefix tree, at most 2 s behind. */
export interface BlockList {
  start: () => Promise<void>
  stop: () => Promise<void>
  /** False: neither ClickHouse nor a snapshot has said yet what is on the list; an empty one then means nothing. */
  readonly loaded: boolean
  /** Takes over now what ClickHouse has. @throws {StoreError} UNAVAILABLE */
  refresh: () => Promise<void>
  /** The entry that decides for the address: ALLOW before all, then the longest prefix. Undefined: none. At most 2 µs at 100,000. */
  lookup: (address: Address) => BlockListEntry | undefined
  /** From memory, newest first; removed and expired ones too. */
  list: () => BlockListEntry[]
  /** In force now. */
  active: () => BlockListEntry[]
  get: (id: string) => BlockListEntry | undefined
  isActive: (entry: BlockListEntry) => boolean
  /** @throws {StoreError} INVALID with the field, UNAVAILABLE */
  add: (entry: NewBlockListEntry, options: { by: string }) => Promise<BlockListEntry>
  /**
   * Many at once, such as a file's: all or none up to 100,000 (see `Versions.writeMany`). What is named twice gets what was
   * said last. @throws {StoreError} INVALID says which of them, from 1
   */
  addMany: (entries: readonly NewBlockListEntry[], options: { by: string }) => Promise<BlockListEntry[]>
  /** Ends it; once more: no change. @throws {StoreError} NOT_FOUND, UNAVAILABLE */
  remove: (id: string, options: { by: string; reason?: string | undefined }) => Promise<BlockListEntry>
  /** What every consumer that knows no exceptions may deny: blocks less what is allowed within them. */
  denied: () => { cidr: string; expiresAt: Date | null; entry: BlockListEntry }[]
  /** Rises with every change and expiry of what is in force: for caches and ETags. */
  readonly revision: number
  /** Changes as this process learns of them, its own and others'. @returns stops it */
  onChange: (listener: (changes: readonly BlockListChange[]) => void) => () => void
}
