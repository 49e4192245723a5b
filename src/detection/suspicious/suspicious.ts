import { randomUUID } from 'node:crypto'

import { type Asker, createRunner, resolveTimeRange, type TimeRangeInput } from '../../analytics/index.ts'
import { param, type Sql, sql } from '../../clickhouse/index.ts'
import { type BlockList, type BlockListEntry, parseAddress } from '../../ratelimit/index.ts'
import { StoreError } from '../../store/index.ts'
import type { Detectors } from '../settings.ts'
import type { Finding, Review, SuspiciousIp } from '../types.ts'
import { addressOfId, countedAddress, holdsAddress } from './address.ts'
import { type CampaignOf, campaignsOf } from './campaigns.ts'
import { evidenceOf, findDetections, summaryOf } from './detections.ts'
import { findSuspects, listByNumber, type ListInput, planList } from './list.ts'
import type { Range, Suspect } from './merge.ts'
import type { Precision } from './precision.ts'
import { findReviewed, type Reviewed } from './reviewed.ts'
import { findTraits } from './traits.ts'
import { createVerdicts, type ReviewInput, type VerdictsDependencies } from './verdicts.ts'

export interface SuspiciousDependencies extends Omit<VerdictsDependencies, 'detectors' | 'blockList'> {
  detectors: Detectors
  blockList: BlockList
}

export interface SuspiciousAddress extends Suspect, SuspiciousIp {}

export interface SuspiciousPage {
  edges: { cursor: string; node: SuspiciousAddress }[]
  hasNextPage: boolean
  hasPreviousPage: boolean
}

export interface SuspiciousInput extends Omit<ListInput, 'range' | 'seenInRange'> {
  /** Default: all that is kept. */
  lastSeen?: TimeRangeInput | null | undefined
}

/**
 * Who was flagged, why, and what people said of it. Each asker sees what was found in their services alone. Throws AnalyticsError where it reads,
 * StoreError where it changes.
 */
export interface Suspicious {
  start: () => Promise<void>
  stop: () => Promise<void>
  /** The range of a question; default: all that is kept. */
  rangeOf: (input?: TimeRangeInput | null) => Range
  list: (input: SuspiciousInput, asker: Asker) => { page: () => Promise<SuspiciousPage>; count: () => Promise<number> }
  /** Flagged last first; `detector`: whose strongest finding is of this one. */
  listByNumber: (
    input: { detector?: string | undefined; offset: number; limit: number },
    asker: Asker,
  ) => Promise<{ count: number; rows: SuspiciousAddress[] }>
  /** By ids, in their order; those that are not suspicious, or not for the asker, are undefined. */
  get: (ids: readonly string[], asker: Asker, range?: Range) => Promise<(SuspiciousAddress | undefined)[]>
  /** The address itself, or of IPv6 its /64. */
  ofIp: (ip: string, range: Range, asker: Asker) => Promise<SuspiciousAddress | undefined>
  /** Whom a run of the hourly job flagged that the same detector had not flagged within the day before; the worst first. */
  flaggedBy: (run: { runId: string; window: { from: Date } }, asker: Asker) => Promise<SuspiciousAddress[]>
  /** By address; newest first, `first` of each at most. */
  detections: (
    input: { addresses: readonly string[]; first: number; range?: Range },
    asker: Asker,
  ) => Promise<Map<string, Finding[]>>
  /** A condition on request_logs: the rows that prove it. */
  evidence: (finding: Finding) => Sql
  summary: (finding: Finding) => string
  campaigns: (range: Range, asker: Asker) => Promise<CampaignOf[]>
  /** What in the block list names the address, and whether it is blocked now. */
  block: (suspect: Pick<SuspiciousIp, 'ip'>) => BlockListEntry | undefined
  blocksOf: (ip: string) => BlockListEntry[]
  /** All or none. @throws {StoreError} NOT_FOUND, INVALID with the field, UNAVAILABLE */
  review: (ids: readonly string[], input: ReviewInput, options: { by: string }) => Promise<void>
  history: (address: string) => Promise<Review[]>
  precision: () => Map<string, Precision>
  reviewed: (range: Range, asker: Asker) => Promise<Reviewed>
}

/** @throws {StoreError} NOT_FOUND */
const known = (id: string): string => {
  const address = addressOfId(id)
  if (address !== undefined) return address
  throw new StoreError('NOT_FOUND', `${JSON.stringify(id)} is no id of a suspicious address; nothing was changed`, {
    field: 'ids',
  })
}

export const createSuspicious = (dependencies: SuspiciousDependencies): Suspicious => {
  const { clickhouse, detectors, blockList, now = Date.now } = dependencies
  const verdicts = createVerdicts(dependencies)
  const runnerFor = createRunner(clickhouse, randomUUID)

  // Not the last days: the findings of a log of long ago are what somebody imported it for.
  const everything = (): Range => ({ from: 0, to: now() })
  const rangeOf = (input?: TimeRangeInput | null): Range =>
    input ? resolveTimeRange('timeRange', input, now()) : everything()

  const block = ({ ip }: Pick<SuspiciousIp, 'ip'>): BlockListEntry | undefined => {
    const address = parseAddress(ip)
    const entry = address && blockList.lookup(address)
    return entry?.action === 'BLOCK' ? entry : undefined
  }
  const shown = (suspect: Suspect): SuspiciousAddress => ({ ...suspect, isBlocked: block(suspect) !== undefined })

  const find = async (addresses: readonly string[], range: Range, asker: Asker) => {
    const found = await findSuspects([...new Set(addresses)], range, asker, runnerFor(asker))
    return (address: string | undefined): SuspiciousAddress | undefined => {
      const suspect = address === undefined ? undefined : found.get(address)
      return suspect && shown(suspect)
    }
  }

  return {
    start: verdicts.start,
    stop: verdicts.stop,
    rangeOf,
    list: ({ lastSeen, ...input }, asker) => {
      const range = lastSeen ? resolveTimeRange('where.lastSeen', lastSeen, now()) : everything()
      const plan = planList({ ...input, range, seenInRange: Boolean(lastSeen) }, asker, runnerFor(asker))
      return {
        count: plan.count,
        page: async () => {
          const { edges, ...rest } = await plan.page()
          return { ...rest, edges: edges.map(({ cursor, node }) => ({ cursor, node: shown(node) })) }
        },
      }
    },
    listByNumber: async (input, asker) => {
      const { count, rows } = await listByNumber({ ...input, range: everything() }, asker, runnerFor(asker))
      return { count, rows: rows.map(shown) }
    },
    get: async (ids, asker, range = everything()) => {
      const addresses = ids.map(addressOfId)
      const suspect = await find(
        addresses.filter((address) => address !== undefined),
        range,
        asker,
      )
      return addresses.map(suspect)
    },
    ofIp: async (ip, range, asker) => {
      const address = countedAddress(ip)
      return address === undefined ? undefined : (await find([address], range, asker))(address)
    },
    flaggedBy: async ({ runId, window }, asker) => {
      const { services } = asker
      const theirs = services ? sql` AND hasAny(services, ${[...services]})` : sql``
      const rows = await runnerFor(asker)<{ address: string }>(
        sql`SELECT DISTINCT toString(address) AS address FROM findings_by_run WHERE hour = ${window.from} AND run_id = ${param('UInt64', runId)} AND NOT repeated AND mode != 'REPORT_ONLY'${theirs}`,
      )
      const addresses = rows.map(({ address }) => address)
      const suspect = await find(addresses, everything(), asker)
      return addresses
        .map(suspect)
        .filter((found) => found !== undefined)
        .sort((a, b) => b.score - a.score || (a.address < b.address ? -1 : 1))
    },
    detections: ({ range = everything(), ...input }, asker) =>
      findDetections({ ...input, range }, asker, runnerFor(asker)),
    evidence: (finding) => evidenceOf(finding, detectors.get(finding.detector)),
    summary: (finding) => summaryOf(finding, detectors.get(finding.detector)),
    campaigns: async (range, asker) => campaignsOf(await findTraits(range, asker, runnerFor(asker))),
    block,
    blocksOf: (ip) => blockList.list().filter(({ cidr }) => holdsAddress(cidr, ip)),
    review: async (ids, input, options) => verdicts.review(ids.map(known), input, options),
    history: verdicts.history,
    precision: verdicts.precision,
    reviewed: (range, asker) => findReviewed(range, asker, runnerFor(asker)),
  }
}
