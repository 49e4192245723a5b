import type { ClickHouse, QueryOptions, Sql } from '../clickhouse/index.ts'
import { passSql, statementSql } from './sql/compile.ts'
import type { View } from './sql/relations.ts'
import type { Detector } from './types.ts'

/** What a detector says of one address in one window. */
export interface Candidate {
  detector: Detector
  /** As addresses are counted; IPv4 as the store has it, ::ffff:a.b.c.d. */
  address: string
  observed: number
  threshold: number
  details: Record<string, unknown>
}

/** One statement may use that much before it goes on on disk; the hour of 5 million rows and 500,000 addresses took 1.3 GB. */
const MEMORY = 3_000_000_000
const SECONDS = 600

export interface FindOptions {
  /** First moment of the hour that is closed. */
  hour: Date
  /** Undefined: looks at what is valid, as backtests do. */
  runId: string | undefined
  signal?: AbortSignal | undefined
  comment: string
}

export const HOUR_MS = 3_600_000

export const viewOf = (hour: Date, windowSeconds: number, runId: string | undefined): View => {
  const to = new Date(hour.getTime() + HOUR_MS)
  return { hour, from: new Date(to.getTime() - windowSeconds * 1_000), to, runId }
}

export const statementOptions = ({ signal, comment }: Pick<FindOptions, 'signal' | 'comment'>): QueryOptions => ({
  signal,
  comment,
  maxExecutionSeconds: SECONDS,
  settings: {
    max_memory_usage: MEMORY,
    max_bytes_before_external_group_by: MEMORY / 2,
    // What it looks for is not in detectors, and its search takes two thirds of the time of the shared pass over a small hour: 370 ms, 120 without.
    optimize_and_compare_chain: 0,
    output_format_json_quote_64bit_integers: 0,
    output_format_json_quote_denormals: 0,
  },
})

const numberOrText = (value: unknown): unknown =>
  typeof value === 'string' && /^-?\d{1,15}(?:\.\d+)?$/.test(value) ? Number(value) : value

const detailsOf = (values: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, numberOrText(value)]))

/** A row of the shared pass. */
export interface PassRow {
  address: string
  detector: string
  observed: number
  threshold: number
  /** JSON. */
  details: string
}

type StatementRow = Pick<Candidate, 'address' | 'observed' | 'threshold'>

export const candidateOf = (
  { address, detector, observed, threshold, details }: PassRow,
  byId: ReadonlyMap<string, Detector>,
): Candidate => ({
  detector: byId.get(detector)!,
  address,
  observed,
  threshold,
  details: detailsOf(JSON.parse(details) as Record<string, unknown>),
})

/** How one statement is run for several detectors: as it is, or so that a bad one does not take the others with it. */
export type Share = <T>(
  detectors: readonly Detector[],
  work: (some: readonly Detector[]) => Promise<T[]>,
) => Promise<T[]>

const asItIs: Share = (detectors, work) => work(detectors)

/** Of a small hour most of the time goes into reading the statements, which takes one core: two at once halve it. */
const AT_ONCE = 2

/** Results in the order of the tasks. */
const inTurns = async <T>(tasks: readonly (() => Promise<T>)[]): Promise<T[]> => {
  const results: T[] = []
  const waiting = tasks.entries()
  const work = async (): Promise<void> => {
    for (const [index, task] of waiting) results[index] = await task()
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return results
}

/** Runs detectors of one stage over the hour. */
export const find = async (
  clickhouse: ClickHouse,
  detectors: readonly Detector[],
  options: FindOptions,
  share: Share = asItIs,
): Promise<{ candidates: Candidate[]; rowsRead: number }> => {
  const { hour, runId } = options
  let rowsRead = 0
  const rowsOf = async <Row extends object>(statement: Sql): Promise<Row[]> => {
    const result = await clickhouse.query<Row>(statement, statementOptions(options))
    rowsRead += result.rowsRead
    return result.rows
  }
  const together = async (some: readonly Detector[]): Promise<Candidate[]> => {
    const byId = new Map(some.map((detector) => [detector.id, detector]))
    const rows = await rowsOf<PassRow>(passSql(some, viewOf(hour, HOUR_MS / 1_000, runId)))
    return rows.map((row) => candidateOf(row, byId))
  }
  const alone = async (detector: Detector): Promise<Candidate[]> => {
    const rows = await rowsOf<StatementRow>(statementSql(detector, viewOf(hour, detector.windowSeconds, runId)))
    return rows.map(({ address, observed, threshold, ...details }) => ({
      detector,
      address,
      observed,
      threshold,
      details: detailsOf(details),
    }))
  }
  const sharing = detectors.filter(({ stage }) => stage === 'requests')
  const statements = [
    ...(sharing.length > 0 ? [() => share(sharing, together)] : []),
    ...detectors
      .filter(({ stage }) => stage !== 'requests')
      .map((detector) => () => share([detector], () => alone(detector))),
  ]
  return { candidates: (await inTurns(statements)).flat(), rowsRead }
}
