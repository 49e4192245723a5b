import { createHash, randomUUID } from 'node:crypto'

import { type Asker, createRunner } from '../../analytics/index.ts'
import type { ClickHouse } from '../../clickhouse/index.ts'
import type { Report, ReportBuilder, ReportScope, Section } from '../types.ts'
import { type Buckets, bucketsOf } from './calendar.ts'
import { linkTo } from './questions.ts'
import { bind, readSections, type SectionFile } from './read.ts'
import { makerOf } from './sections/index.ts'
import { severitiesFrom } from './severity.ts'
import { sentence } from './words.ts'
import type { Made, Sources, Work } from './work.ts'

export interface ReportBuilderDependencies extends Omit<Sources, 'policyName'> {
  clickhouse: ClickHouse
  policyName?: Sources['policyName'] | undefined
  /** Milliseconds since 1970, for tests. */
  now?: (() => number) | undefined
}

/** The same for what is the same: kind, period, zone and services, in any order. */
export const reportId = ({ kind, period, timezone, services }: ReportScope): string => {
  const what = [kind, period.from.toISOString(), period.to.toISOString(), timezone, services && services.toSorted()]
  return `rep_${createHash('sha256').update(JSON.stringify(what)).digest('base64url').slice(0, 16)}`
}

/** @throws {RangeError} */
const check = ({ period, previous, services }: ReportScope): void => {
  for (const [name, { from, to }] of Object.entries({ period, previous })) {
    if (!(from < to)) throw new RangeError(`${name}.from is not before ${name}.to; a report needs a time to be about`)
    if (from.getTime() % 1_000 !== 0 || to.getTime() % 1_000 !== 0)
      throw new RangeError(`${name} has parts of a second; reports begin and end with whole ones`)
  }
  if (previous.to > period.from) throw new RangeError('previous ends after period begins; they may not overlap')
  if (services?.length === 0) throw new RangeError('services is empty; give some, or null for all')
}

const seconds = (date: Date): number => date.getTime() / 1_000

const parametersOf = ({ period, previous, services, timezone }: ReportScope, { edges }: Buckets) => {
  return {
    from: seconds(period.from),
    to: seconds(period.to),
    previous_from: seconds(previous.from),
    previous_to: seconds(previous.to),
    services: services ?? [],
    timezone,
    edges,
  }
}

const headlineOf = (made: readonly Made[]): string =>
  sentence(
    made
      .flatMap(({ headline }) => headline ?? [])
      .toSorted((a, b) => a.rank - b.rank)
      .map(({ text }) => text)
      .join(', '),
  )

const sectionOf = ({ id, title }: SectionFile, { lead, advice, figures, charts, tables }: Made): Section => ({
  id,
  title,
  lead,
  advice,
  figures,
  charts,
  // An empty one would be an empty attachment.
  tables: tables.filter(({ rows }) => rows.length > 0),
})

/**
 * Reports from what is stored: hours that are closed from the roll-ups, the rest from raw rows. `build` throws RangeError for a scope that makes
 * no sense, AnalyticsError where the store does not answer.
 */
export const createReportBuilder = (dependencies: ReportBuilderDependencies): ReportBuilder => {
  const { clickhouse, now = Date.now, policyName = () => undefined, ...sources } = dependencies
  const runnerFor = createRunner(clickhouse, randomUUID)
  let files: readonly SectionFile[] | undefined

  return {
    build: async (scope, { minSeverity = 'LOW', signal } = {}): Promise<Report> => {
      check(scope)
      files ??= await readSections()
      const generatedAt = new Date(now())
      const buckets = bucketsOf(scope)
      const parameters = parametersOf(scope, buckets)
      const severities = severitiesFrom(minSeverity)
      const made: Made[] = []
      const wanted = files.filter(({ kinds }) => kinds.has(scope.kind))
      // One after the other: a report is never urgent, and the store has others to serve.
      for (const file of wanted) {
        const asker: Asker = { services: scope.services, signal, comment: `report ${file.id}` }
        const run = runnerFor(asker)
        const work: Work = {
          ...sources,
          policyName,
          scope,
          file,
          asker,
          buckets,
          severities,
          generatedAt,
          link: (question) => linkTo(question, scope, severities),
          rows: (statement) => run(bind(file.statements.get(statement)!, parameters)),
        }
        made.push(await makerOf(file.id)(work))
      }
      return {
        id: reportId(scope),
        scope,
        generatedAt,
        headline: headlineOf(made),
        sections: wanted.map((file, index) => sectionOf(file, made[index]!)),
        empty: made.some(({ nothing }) => nothing === true),
      }
    },
  }
}
