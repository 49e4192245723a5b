import { randomUUID } from 'node:crypto'

import type { Logger } from 'pino'

import { createRunner } from '../../analytics/index.ts'
import { type ClickHouse, param, sql } from '../../clickhouse/index.ts'
import type { BlockList } from '../../ratelimit/index.ts'
import { createVersions, StoreError, type Version, type VersionsDependencies } from '../../store/index.ts'
import { blockedCidr } from '../blocks.ts'
import { shownAddress } from '../judge.ts'
import type { Detectors } from '../settings.ts'
import { REVIEW_STATUSES, type Review, type ReviewStatus } from '../types.ts'
import { type Precision, precisionOf } from './precision.ts'

export const BLOCK_DURATIONS = ['ONE_HOUR', 'ONE_DAY', 'ONE_WEEK', 'FOREVER'] as const
export type BlockDuration = (typeof BLOCK_DURATIONS)[number]

const HOUR_MS = 3_600_000
const LENGTH_MS: Record<BlockDuration, number> = {
  ONE_HOUR: HOUR_MS,
  ONE_DAY: 24 * HOUR_MS,
  ONE_WEEK: 7 * 24 * HOUR_MS,
  FOREVER: Number.POSITIVE_INFINITY,
}

export interface ReviewInput {
  status: ReviewStatus
  note?: string | null | undefined
  /** Blocks the addresses as well. */
  block?: BlockDuration | null | undefined
  /** With FALSE_POSITIVE: the detectors that flagged an address leave it alone from now on. */
  except?: boolean | null | undefined
}

/** What is stored; merge.ts reads it in SQL. */
export interface Verdict {
  status: ReviewStatus
  note?: string
  /** That had flagged the address by then. */
  detectors: string[]
  /** Epoch ms of the newest finding that was there: a later one is news. */
  flaggedUntil: number
}

export interface VerdictsDependencies extends Omit<VersionsDependencies, 'kind'> {
  clickhouse: ClickHouse
  log: Logger
  detectors: Pick<Detectors, 'get' | 'exceptions' | 'addException'>
  blockList: Pick<BlockList, 'addMany' | 'active' | 'remove'>
  now?: (() => number) | undefined
}

/** What people said of suspicious addresses. Addresses are in the text of the store. */
export interface Verdicts {
  start: () => Promise<void>
  stop: () => Promise<void>
  /**
   * Notes a verdict on each of the addresses. What cannot be leaves everything as it was: an address that nothing flagged,
   * a block that the block list refuses. Where the store goes away half-way, the same again brings the rest.
   * @throws {StoreError} NOT_FOUND, INVALID with the field, UNAVAILABLE
   */
  review: (addresses: readonly string[], input: ReviewInput, options: { by: string }) => Promise<void>
  /** Newest first. @throws {StoreError} UNAVAILABLE */
  history: (address: string) => Promise<Review[]>
  /** By detector; those without a verdict are missing. From memory. */
  precision: () => Map<string, Precision>
}

const MOST_AT_ONCE = 1_000
/** Each is an exception for each of its detectors, written one by one. */
const MOST_EXCEPTED = 100
const LONGEST_NOTE = 1_000
const LONGEST_REASON = 500

const invalid = (field: string, message: string): StoreError =>
  new StoreError('INVALID', `${field}: ${message}`, { field })

const check = (addresses: readonly string[], { status, note, block, except }: ReviewInput): void => {
  if (addresses.length === 0 || addresses.length > MOST_AT_ONCE)
    throw invalid('ids', `${addresses.length} are given; allowed are 1 to ${MOST_AT_ONCE}`)
  if (!REVIEW_STATUSES.includes(status)) throw invalid('status', `allowed is ${REVIEW_STATUSES.join(', ')}`)
  if ((note ?? '').length > LONGEST_NOTE)
    throw invalid('note', `${note!.length} characters; allowed are ${LONGEST_NOTE} at most`)
  if (block && status === 'FALSE_POSITIVE')
    throw invalid('block', 'nobody is blocked for a false positive; leave block out, or give another status')
  if (except && status !== 'FALSE_POSITIVE')
    throw invalid('except', `only a FALSE_POSITIVE is excepted; the status is ${status}`)
  if (except && addresses.length > MOST_EXCEPTED)
    throw invalid('except', `${addresses.length} addresses; allowed are ${MOST_EXCEPTED} at once`)
}

const reasonOf = ({ status, note }: ReviewInput): string => {
  const said = note?.replaceAll(/\p{Cc}+/gu, ' ').trim()
  return `verdict ${status}${said ? `: ${said}` : ''}`.slice(0, LONGEST_REASON)
}

const reviewOf = ({ value, changedAt, changedBy }: Version<Verdict>): Review => ({
  status: value?.status ?? 'OPEN',
  note: value?.note ?? null,
  reviewedBy: changedBy,
  reviewedAt: changedAt,
  detectors: value?.detectors ?? [],
})

export const createVerdicts = (dependencies: VerdictsDependencies): Verdicts => {
  const { clickhouse, detectors, blockList, now = Date.now, ...rest } = dependencies
  const runnerFor = createRunner(clickhouse, randomUUID)
  const versions = createVersions<Verdict>({ kind: 'verdict', clickhouse, ...rest })

  /** By whom and until when each was flagged, over all findings there are. */
  const flagged = async (
    addresses: readonly string[],
  ): Promise<Map<string, Pick<Verdict, 'detectors' | 'flaggedUntil'>>> => {
    const rows = await runnerFor({ services: null, comment: 'verdicts' })<{
      address: string
      detectors: string[]
      until: number
    }>(
      sql`SELECT toString(f.address) AS address, arraySort(groupUniqArray(f.detector)) AS detectors, toUnixTimestamp(max(f.window_to)) AS until FROM findings AS f WHERE f.mode != 'REPORT_ONLY' AND f.address IN ${param('Array(IPv6)', [...addresses])} GROUP BY f.address`,
    )
    return new Map(rows.map(({ address, detectors, until }) => [address, { detectors, flaggedUntil: until * 1_000 }]))
  }

  const block = async (addresses: readonly string[], input: ReviewInput, by: string): Promise<void> => {
    if (!input.block) return
    const length = LENGTH_MS[input.block]
    const expiresAt = Number.isFinite(length) ? new Date(now() + length) : null
    const reason = reasonOf(input)
    try {
      await blockList.addMany(
        addresses.map((address) => ({ cidr: blockedCidr(address), source: 'MANUAL' as const, reason, expiresAt })),
        { by },
      )
    } catch (error) {
      if (error instanceof StoreError && error.code === 'INVALID')
        throw new StoreError('INVALID', error.message.replace(/; if it is meant.*/, ''), {
          field: 'block',
          cause: error,
        })
      throw error
    }
  }

  const unblock = async (addresses: readonly string[], input: ReviewInput, by: string): Promise<void> => {
    const cidrs = new Set(addresses.map(blockedCidr))
    for (const { id, cidr, action, source } of blockList.active())
      if (action === 'BLOCK' && source === 'AUTOMATIC' && cidrs.has(cidr))
        await blockList.remove(id, { by, reason: reasonOf(input) })
  }

  const except = async (found: ReadonlyMap<string, { detectors: string[] }>, input: ReviewInput, by: string) => {
    const known = new Set(
      detectors.exceptions().map(({ detector, cidr, pathPattern }) => `${detector} ${cidr} ${pathPattern}`),
    )
    for (const [address, { detectors: ids }] of found)
      for (const detector of ids) {
        const cidr = blockedCidr(address)
        if (!detectors.get(detector) || known.has(`${detector} ${cidr} null`)) continue
        await detectors.addException({ detector, cidr, note: reasonOf(input) }, { by })
      }
  }

  return {
    start: versions.start,
    stop: versions.stop,
    review: async (given, input, { by }) => {
      const addresses = [...new Set(given)]
      check(addresses, input)
      const found = await flagged(addresses)
      const missing = addresses.find((address) => !found.has(address))
      if (missing !== undefined)
        throw new StoreError('NOT_FOUND', `no detector has flagged ${shownAddress(missing)}; nothing was changed`, {
          field: 'ids',
        })
      await block(addresses, input, by)
      const note = input.note?.trim()
      await versions.writeMany(
        addresses.map((address) => ({
          id: shownAddress(address),
          change: () => ({ status: input.status, ...(note && { note }), ...found.get(address)! }),
        })),
        { by },
      )
      if (input.status !== 'FALSE_POSITIVE') return
      await unblock(addresses, input, by)
      if (input.except) await except(found, input, by)
    },
    history: async (address) => (await versions.history({ id: shownAddress(address) })).map(reviewOf),
    precision: () => precisionOf(versions.list().map(({ value }) => value!)),
  }
}
