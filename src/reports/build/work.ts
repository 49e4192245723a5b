import type { Analytics, Asker } from '../../analytics/index.ts'
import type { Chart, ReportScope, Section } from '../types.ts'
import type { Buckets } from './calendar.ts'
import type { QuestionName } from './questions.ts'
import type { SectionFile } from './read.ts'
import type { Severity } from './severity.ts'
import { before, sentence } from './words.ts'

/** What a report is told of one suspicious address; src/detection has more. */
export interface Suspect {
  address: string
  ip: string
  score: number
  severity: Severity
  firstSeenAt: Date
  lastSeenAt: Date
  requests: number
  country: string | null
  asOrganization: string | null
  detectors: readonly string[]
  review: { status: string }
  isBlocked: boolean
}

/** src/detection's `Suspicious`, as far as a report asks it: rooms of one floor do not import each other. */
export interface SuspiciousSource {
  list: (
    input: {
      lastSeen: { from: Date; to: Date }
      where: { severity: readonly Severity[] }
      first: number
      after?: string
    },
    asker: Asker,
  ) => { page: () => Promise<{ edges: { cursor: string; node: Suspect }[]; hasNextPage: boolean }> }
  campaigns: (
    range: { from: number; to: number },
    asker: Asker,
  ) => Promise<
    {
      campaign: {
        id: string
        summary: string
        ips: readonly string[]
        firstSeenAt: Date
        lastSeenAt: Date
        requests: number
      }
      addresses: readonly string[]
    }[]
  >
  precision: () => ReadonlyMap<
    string,
    {
      confirmed: number
      falsePositives: number
      precision: number | null
      interval: { low: number; high: number } | null
    }
  >
  reviewed: (
    range: { from: number; to: number },
    asker: Asker,
  ) => Promise<{ flagged: number; reviewed: number; share: number | null; timeToVerdictMs: number | null }>
}

/** src/detection's `DetectorQueries`, as far as a report asks it. */
export interface DetectorSource {
  detectors: { get: (id: string) => { name: string; mode: string; severity: Severity } | undefined }
}

export interface Sources {
  analytics: Pick<Analytics, 'rateLimitEffectiveness'>
  suspicious: SuspiciousSource
  detectorQueries: DetectorSource
  /** A policy's name by its id; undefined: it is there no more. */
  policyName: (id: string) => string | undefined
}

/** What a section is made of. */
export interface Work extends Sources {
  scope: ReportScope
  file: SectionFile
  asker: Asker
  buckets: Buckets
  /** Severities that are asked for. */
  severities: readonly Severity[]
  generatedAt: Date
  /** Where a number can be looked into. */
  link: (question: QuestionName) => string
  /** The rows of a statement of the section's file; 64-bit numbers are text. */
  rows: <Row extends object>(statement: string) => Promise<Row[]>
}

export interface Made extends Omit<Section, 'id' | 'title'> {
  /** What of it goes into the subject; the lowest rank stands first. */
  headline?: { text: string; rank: number } | undefined
  /** There is nothing worth a mail. */
  nothing?: boolean
}

export type MakeSection = (work: Work) => Promise<Made>

/** As the store gives a condition: of some expressions 0 or 1. */
export type Flag = boolean | 0 | 1

/** How long a point of a chart is. */
const EACH = { HOURLY: 'five minutes', DAILY: 'hour', WEEKLY: 'day', MONTHLY: 'day' } as const

/**
 * A line over the period, with the period before as a second one. `values` by the beginning of the bucket in seconds; `alt` ends what
 * begins with the title.
 */
export const lineChart = (
  { buckets, scope: { kind } }: Pick<Work, 'buckets' | 'scope'>,
  { name, unit, alt }: Pick<Chart, 'alt' | 'unit'> & { name: string },
  values: ReadonlyMap<number, number>,
): Chart => {
  const title = `${name} per ${EACH[kind]}`
  const at = (start: number | null): number | null => (start === null ? null : (values.get(start / 1_000) ?? 0))
  return {
    kind: 'line',
    title,
    alt: `${title}: ${alt}`,
    unit,
    categories: buckets.points.map(({ start }) => new Date(start)),
    series: [
      { name, values: buckets.points.map(({ start }) => at(start)) },
      { name: sentence(before(kind)), values: buckets.points.map(({ previous }) => at(previous)), previous: true },
    ],
  }
}

/** The two rows of a statement that is grouped by `current`, either of which may be missing. */
export const byPeriod = <Row extends { current: Flag }>(rows: readonly Row[]) => ({
  current: rows.find(({ current }) => Boolean(current)),
  previous: rows.find(({ current }) => !current),
})

/** a / b; null: b is 0. */
export const share = (a: number, b: number): number | null => (b === 0 ? null : a / b)
