import { AnalyticsError } from '../analytics/index.ts'
import { type ClickHouse, ClickHouseError, param, sql } from '../clickhouse/index.ts'
import { shortReason } from './check.ts'
import { gatherFacts } from './enrich.ts'
import {
  type Candidate,
  candidateOf,
  find,
  type FindOptions,
  HOUR_MS,
  type PassRow,
  statementOptions,
  viewOf,
} from './find.ts'
import { toFindings } from './findings.ts'
import { type Exempt, shownAddress } from './judge.ts'
import { passSql } from './sql/compile.ts'
import { summaryOf } from './suspicious/detections.ts'
import type { Detector, Finding } from './types.ts'
import { type Told, verdictStatuses } from './verdict-statuses.ts'

/** What a detector would have flagged. Addresses are counted once, however often they would have been. */
export interface Backtest {
  /** Closed hours that were looked at. */
  windows: number
  /** Addresses. */
  flagged: number
  /** Of these, such as a person called an attacker. */
  flaggedAlreadyConfirmed: number
  /** Of these, such as a person called none. */
  flaggedAlreadyFalsePositive: number
  /** Of these, such as no detector has flagged in what is kept, by the hours that were looked at or later. */
  flaggedNew: number
  /** The worst window of each of the worst addresses, 20 at most. Their runId is empty: they are not stored. */
  sample: (Finding & { summary: string })[]
  elapsedMs: number
}

export interface BacktestDependencies {
  clickhouse: ClickHouse
  exempt: Exempt
  /** What one backtest may take. Default 120,000. */
  budgetMs?: number
}

export interface BacktestOptions {
  /** Half-open; what is no whole hour at its ends is left out. */
  range: { from: number; to: number }
  signal?: AbortSignal | undefined
  comment: string
}

const DAY_MS = 24 * HOUR_MS
const seconds = (time: number) => param("DateTime('UTC')", time / 1_000)
const LONGEST_DAYS = 60
/** More is no threshold at all. */
const MOST_ADDRESSES = 200_000
/** Addresses of one statement. */
const SLICE = 20_000
const SAMPLE = 20

const tooMuch = (message: string, cause?: unknown): AnalyticsError =>
  new AnalyticsError('LIMIT_EXCEEDED', message, { argument: 'timeRange', cause })

/** For the one who asked. A detector that cannot be run is what they can mend. */
const explain = (error: unknown, { id }: Detector): unknown => {
  if (!(error instanceof ClickHouseError)) return error
  const retry = 'try again in a few seconds'
  switch (error.kind) {
    case 'refused':
      return new AnalyticsError(
        'INVALID_ARGUMENT',
        `${id} cannot be run with these parameters: ${shortReason(error)}`,
        {
          argument: 'parameters',
          cause: error,
        },
      )
    case 'timeout':
      return new AnalyticsError('TIMEOUT', `${id} takes too long on one hour of this range`, { cause: error })
    case 'cancelled':
      return new AnalyticsError('CANCELLED', 'the request was cancelled', { cause: error })
    case 'overloaded':
      return new AnalyticsError('OVERLOADED', `the store has too much to do; ${retry}`, { cause: error })
    case 'unavailable':
      return new AnalyticsError('UNAVAILABLE', `the store does not answer; ${retry}`, { cause: error })
    default:
      return error
  }
}

const wholeHours = ({ from, to }: BacktestOptions['range']): { from: number; to: number } => {
  if (to - from > LONGEST_DAYS * DAY_MS)
    throw new AnalyticsError(
      'INVALID_ARGUMENT',
      `timeRange is ${Math.round((to - from) / DAY_MS)} days; allowed is ${LONGEST_DAYS} days at most`,
      { argument: 'timeRange' },
    )
  return { from: Math.ceil(from / HOUR_MS) * HOUR_MS, to: Math.floor(to / HOUR_MS) * HOUR_MS }
}

/** The worst of an address first; of equals the earlier hour. */
const isWorse = (a: Hit, b: Hit): boolean => a.severity > b.severity || (a.severity === b.severity && a.hour < b.hour)

interface Hit {
  candidate: Candidate
  hour: number
  /** How far beyond the threshold. */
  severity: number
}

const severityOf = ({ observed, threshold }: Candidate): number => (threshold > 0 ? observed / threshold : Infinity)

/**
 * Tries a detector on the closed hours of the past, as the hourly job would have run it: without verified crawlers, and
 * without those whom exceptions, the block list or trusted proxies exempt now.
 */
export const createBacktest = ({ clickhouse, exempt, budgetMs = 120_000 }: BacktestDependencies) => {
  /** First moments of hours whose run is valid: others have nothing to look back at. */
  const closedHours = async ({ from, to }: { from: number; to: number }, comment: string): Promise<number[]> => {
    const { rows } = await clickhouse.query<{ hour: number }>(
      sql`SELECT toUnixTimestamp(window_from) AS hour FROM valid_runs WHERE job = 'hourly' AND window_from >= ${seconds(from)} AND window_from < ${seconds(to)} ORDER BY hour`,
      statementOptions({ comment }),
    )
    return rows.map(({ hour }) => hour * 1_000)
  }

  /** The hours of a day at once, since these detectors look at one hour each. */
  const ofDay = async (detector: Detector, hours: readonly number[], options: Omit<FindOptions, 'hour'>) => {
    const [first, last] = [hours[0]!, hours.at(-1)!]
    const view = viewOf(new Date(last), (last - first + HOUR_MS) / 1_000, undefined)
    const { rows } = await clickhouse.query<PassRow & { hour: number }>(
      sql`SELECT * FROM (${passSql([detector], view, { byHour: true })}) LIMIT ${param('UInt32', 24 * MOST_ADDRESSES)}`,
      statementOptions(options),
    )
    const byId = new Map([[detector.id, detector]])
    return rows.map(({ hour, ...row }) => ({ hour: hour * 1_000, candidate: candidateOf(row, byId) }))
  }

  async function* candidatesOf(
    detector: Detector,
    hours: readonly number[],
    options: Omit<FindOptions, 'hour'>,
  ): AsyncGenerator<{ done: number; found: { hour: number; candidate: Candidate }[] }> {
    let done = 0
    if (detector.stage === 'requests') {
      const days = Map.groupBy(hours, (hour) => Math.floor(hour / DAY_MS))
      for (const ofOne of days.values()) {
        const known = new Set(ofOne)
        const found = (await ofDay(detector, ofOne, options)).filter(({ hour }) => known.has(hour))
        yield { done: (done += ofOne.length), found }
      }
      return
    }
    for (const hour of hours) {
      const { candidates } = await find(clickhouse, [detector], { ...options, hour: new Date(hour) })
      yield { done: ++done, found: candidates.map((candidate) => ({ hour, candidate })) }
    }
  }

  /** How many of them any detector has flagged in what is kept. */
  const flaggedBefore = async (addresses: readonly string[], comment: string): Promise<number> => {
    let known = 0
    for (let from = 0; from < addresses.length; from += SLICE) {
      const some = param('Array(IPv6)', addresses.slice(from, from + SLICE))
      const { rows } = await clickhouse.query<{ known: number }>(
        sql`SELECT toUInt32(uniqExact(address)) AS known FROM findings WHERE mode != 'REPORT_ONLY' AND address IN ${some}`,
        statementOptions({ comment }),
      )
      known += rows[0]!.known
    }
    return known
  }

  const sampleOf = async (hits: readonly Hit[], options: Omit<FindOptions, 'hour'>): Promise<Backtest['sample']> => {
    const sample: Backtest['sample'] = []
    for (const [time, ofHour] of Map.groupBy(hits, ({ hour }) => hour)) {
      const hour = new Date(time)
      const candidates = ofHour.map(({ candidate }) => candidate)
      const facts = await gatherFacts(clickhouse, candidates, { ...options, hour })
      for (const finding of toFindings(candidates, { facts, repeated: new Set(), hour, runId: '' }))
        sample.push({ ...finding, ip: shownAddress(finding.ip), summary: summaryOf(finding, candidates[0]!.detector) })
    }
    return sample.sort((a, b) => b.score - a.score || b.observed - a.observed || (a.address < b.address ? -1 : 1))
  }

  /** @throws {AnalyticsError} */
  return async (detector: Detector, { range, signal, comment }: BacktestOptions): Promise<Backtest> => {
    const startedAt = performance.now()
    const options = { runId: undefined, signal, comment }
    try {
      const hours = await closedHours(wholeHours(range), comment)
      const worst = new Map<string, Hit>()
      for await (const { done, found } of candidatesOf(detector, hours, options)) {
        for (const { hour, candidate } of found) {
          if (exempt(candidate)) continue
          const hit = { hour, candidate, severity: severityOf(candidate) }
          const known = worst.get(candidate.address)
          if (!known || isWorse(hit, known)) worst.set(candidate.address, hit)
        }
        if (worst.size > MOST_ADDRESSES)
          throw tooMuch(
            `these parameters flag more than ${MOST_ADDRESSES} addresses in the first ${done} of ${hours.length} hours; raise the threshold, or ask for a shorter timeRange`,
          )
        if (done < hours.length && performance.now() - startedAt > budgetMs)
          throw tooMuch(
            `only ${done} of ${hours.length} hours could be looked at within ${budgetMs / 1_000} s; ask for a shorter timeRange`,
          )
      }
      const addresses = [...worst.keys()]
      const said = await verdictStatuses(clickhouse, { signal, comment })
      const having = (verdict: Told) => addresses.filter((address) => said.get(address) === verdict).length
      const top = [...worst.values()]
        .sort((a, b) => (isWorse(a, b) ? -1 : isWorse(b, a) || a.candidate.address > b.candidate.address ? 1 : -1))
        .slice(0, SAMPLE)
      return {
        windows: hours.length,
        flagged: addresses.length,
        flaggedAlreadyConfirmed: having('CONFIRMED'),
        flaggedAlreadyFalsePositive: having('FALSE_POSITIVE'),
        flaggedNew: addresses.length - (await flaggedBefore(addresses, comment)),
        sample: await sampleOf(top, options),
        elapsedMs: performance.now() - startedAt,
      }
    } catch (error) {
      throw explain(error, detector)
    }
  }
}
