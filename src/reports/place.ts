import { nameOf, pathTo, periodOf, reportId } from './build/index.ts'
import { contentOf, type ReportContent, scopeOf } from './deliver/index.ts'
import type { IncidentContent } from './incident/index.ts'
import { isScheduled } from './schedule.ts'
import type { Subscription } from './subscriptions.ts'
import { REPORT_KINDS, type ReportKind } from './types.ts'

/** What a report may be asked for, beside when. */
export interface Wanted {
  kind: ReportKind
  /** IANA name. */
  timezone: string
  /** Null: all. */
  services: readonly string[] | null
}

const HOUR = 3_600_000
const DAY = 24 * HOUR
/** From the beginning of a period as UTC shows it, a time by which the next has surely begun in every zone. */
const SURELY_OVER: Record<ReportKind, number> = { HOURLY: 2 * HOUR, DAILY: 3 * DAY, WEEKLY: 9 * DAY, MONTHLY: 34 * DAY }

/** How many periods of each kind are listed, and found by their id. */
const LISTED: Record<ReportKind, number> = { HOURLY: 48, DAILY: 60, WEEKLY: 26, MONTHLY: 13 }

/** What can be looked at: a report of a period, or an incident. */
export type Content = ReportContent | IncidentContent

export const idOf = (content: Content): string =>
  content.kind === 'INCIDENT' ? content.id : reportId(scopeOf(content))

/** The report of the last whole period before `at`. */
export const reportBefore = ({ kind, timezone, services }: Wanted, at: Date): ReportContent =>
  contentOf({ kind, timezone, services: services ?? [], minSeverity: null, format: 'HTML' }, at)

/** Where the report is, below PUBLIC_URL. */
export const pathOf = (content: Content, query: Readonly<Record<string, string>> = {}): string => {
  // An incident is the same whatever services its reader may see.
  if (content.kind === 'INCIDENT') {
    const parameters = new URLSearchParams(query)
    return `/reports/incident/${content.id}${parameters.size > 0 ? `?${parameters}` : ''}`
  }
  const { kind, period, timezone, services } = content
  return pathTo({ kind, from: new Date(period[0]), timezone, services }, { query })
}

/** What `nameOf` gives, or the name of any other day in the period. @returns undefined: no such day or hour, or not over yet */
export const reportAt = (wanted: Wanted, name: string, now: Date): ReportContent | undefined => {
  const { kind, timezone } = wanted
  const form = kind === 'HOURLY' ? /^\d{4}-\d\d-\d\dT\d\d(:\d\d)?$/ : /^\d{4}-\d\d-\d\d$/
  if (!form.test(name)) return undefined
  const start = Date.parse(kind === 'HOURLY' ? `${name.padEnd(16, ':00')}Z` : name)
  // Date.parse takes 30 February for 2 March.
  if (Number.isNaN(start) || !new Date(start).toISOString().startsWith(name)) return undefined
  if (start < 0 || start > now.getTime()) return undefined
  let { period } = periodOf(kind, new Date(start + SURELY_OVER[kind]), timezone)
  while (nameOf(kind, period.from, timezone) > name) ({ period } = periodOf(kind, period.from, timezone))
  const isThere = kind !== 'DAILY' || nameOf(kind, period.from, timezone) === name
  return isThere && period.to <= now ? reportBefore(wanted, period.to) : undefined
}

/** The last periods, newest first. */
export const lastReports = (wanted: Wanted, now: Date): ReportContent[] => {
  const found = [reportBefore(wanted, now)]
  while (found.length < LISTED[wanted.kind]) found.push(reportBefore(wanted, new Date(found.at(-1)!.period[0])))
  return found
}

/**
 * The report of this id among the last ones of each kind: in UTC over `services`, and as each of the subscriptions has them.
 * What an id is made of cannot be read from it, so it is looked for.
 */
export const reportOf = (
  id: string,
  services: readonly string[] | null,
  subscriptions: readonly Subscription[],
  now: Date,
): ReportContent | undefined => {
  const wanted: Wanted[] = [
    ...REPORT_KINDS.map((kind) => ({ kind, timezone: 'UTC', services })),
    ...subscriptions
      .filter(isScheduled)
      .map((one) => ({ ...one, services: one.services.length > 0 ? one.services : null })),
  ]
  for (const one of wanted) {
    const found = lastReports(one, now).find((content) => idOf(content) === id)
    if (found) return found
  }
  return undefined
}
