import type { Logger } from 'pino'

import {
  type BlockList,
  type BlockListEntry,
  createRefusal,
  type NewBlockListEntry,
  parsePrefix,
} from '../ratelimit/index.ts'
import { shownAddress } from './judge.ts'
import type { Finding } from './types.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const FIRST_MS = HOUR_MS
const FACTOR = 4
const LONGEST_MS = 30 * DAY_MS
/** Who was not blocked for that long begins anew. */
const FORGIVEN_AFTER_MS = 30 * DAY_MS
/** What somebody did longer ago is no reason to block now: the log was imported, or the service was away. */
const OLDEST_MS = 7 * DAY_MS
/** Forged logs shall not shut a site. */
const MOST_PER_HOUR = 200

export interface BlocksDependencies {
  blockList: BlockList
  trustedProxies: readonly string[]
  log: Logger
  now: () => number
}

/** What is blocked for an address as it is counted. */
export const blockedCidr = (address: string): string => {
  const shown = shownAddress(address)
  return shown.includes(':') ? `${shown}/64` : shown
}

/**
 * Blocks the addresses of findings whose detectors say so: for an hour at first, four times as long each time it comes back within
 * a month, 30 days at most. Private addresses and trusted proxies are left alone, and so is who a person took off the list
 * within a day. The same hour again blocks nobody twice.
 */
export const createBlocks = ({ blockList, trustedProxies, log, now }: BlocksDependencies) => {
  const refusal = createRefusal(trustedProxies)

  /** How long, given the block it had before, or undefined: not now. */
  const durationAfter = (before: BlockListEntry | undefined): number | undefined => {
    if (!before) return FIRST_MS
    if (blockList.isActive(before)) return undefined
    if (before.removedAt && now() - before.removedAt.getTime() < DAY_MS) return undefined
    const ended = before.expiresAt?.getTime() ?? 0
    if (now() - ended > FORGIVEN_AFTER_MS) return FIRST_MS
    return Math.min(LONGEST_MS, (ended - before.createdAt.getTime()) * FACTOR)
  }

  /** @returns how many were blocked */
  return async (findings: readonly Finding[], hour: Date): Promise<number> => {
    if (now() - hour.getTime() > OLDEST_MS || findings.every(({ mode }) => mode !== 'FLAG_AND_BLOCK')) return 0
    const worst = new Map<string, Finding>()
    for (const finding of findings) {
      const known = worst.get(finding.address)
      if (finding.mode === 'FLAG_AND_BLOCK' && (!known || finding.score > known.score))
        worst.set(finding.address, finding)
    }
    const due = [...worst.values()]
      .sort((a, b) => b.score - a.score || (a.address < b.address ? -1 : 1))
      .filter(({ address }) => {
        const prefix = parsePrefix(blockedCidr(address))
        return prefix && refusal(prefix) === undefined
      })
    if (due.length > MOST_PER_HOUR)
      log.warn(
        { wanted: due.length, blocked: MOST_PER_HOUR },
        'more addresses are to be blocked than an hour may block; the worst are, the others wait for the next',
      )
    const before = new Map(
      blockList
        .list()
        .filter(({ action, source }) => action === 'BLOCK' && source === 'AUTOMATIC')
        .map((entry) => [entry.cidr, entry]),
    )
    const entries = due
      .slice(0, MOST_PER_HOUR)
      .flatMap(({ address, detector, observed, threshold }): NewBlockListEntry[] => {
        const cidr = blockedCidr(address)
        const duration = durationAfter(before.get(cidr))
        if (duration === undefined) return []
        return [
          {
            cidr,
            action: 'BLOCK',
            source: 'AUTOMATIC',
            reason: `${detector}: ${observed} (threshold ${threshold}) in the hour from ${hour.toISOString().slice(0, 16)}Z`,
            expiresAt: new Date(now() + duration),
            idempotencyKey: `detected ${cidr} ${hour.toISOString()}`,
          },
        ]
      })
    if (entries.length > 0) await blockList.addMany(entries, { by: 'system' })
    return entries.length
  }
}
