import type { Period, ReportScope } from '../types.ts'
import { pathTo } from './path.ts'
import { SEVERITIES, type Severity } from './severity.ts'

const rangeOf = ({ from, to }: Period): string => `{ from: "${from.toISOString()}", to: "${to.toISOString()}" }`
const listOf = (texts: readonly string[]): string => JSON.stringify(texts)

/** `timeRange: …, compareTo: …, where: …` of requestAnalytics for both periods. */
const requests = ({ period, previous, services }: ReportScope): string =>
  [
    `timeRange: ${rangeOf(period)}`,
    `compareTo: { period: CUSTOM, custom: ${rangeOf(previous)} }`,
    ...(services ? [`where: { service: { in: ${listOf(services)} } }`] : []),
  ].join(', ')

const METRICS = 'requests errors errorRate durationMsP95 uniqClientIps'
const LIMITS =
  'evaluated allowed limited shadowLimited blocked limitedRate uniqLimitedClients repeatOffenders passedAfterLimit limitedConfirmedAbusive limitedFalsePositive precision'

/** What a number of a report came from, as a question to GraphQL. A link names it, so that it is short and the question that of the version that is asked. */
const QUESTIONS = {
  requests: (scope) =>
    `{ requestAnalytics(${requests(scope)}) { totals { ${METRICS} } previousTotals { ${METRICS} } } }`,
  services: (scope) =>
    `{ requestAnalytics(groupBy: [SERVICE], limit: 1000, ${requests(scope)}) { rows { service ${METRICS} previous { requests } } } }`,
  countries: (scope) =>
    `{ requestAnalytics(groupBy: [CLIENT_COUNTRY], limit: 1000, ${requests(scope)}) { totalGroups rows { clientCountry requests errors limited blocked previous { requests } } } }`,
  errors: (scope) =>
    `{ requestAnalytics(groupBy: [SERVICE, ROUTE], limit: 1000, having: [{ metric: SERVER_ERROR_RATE, gt: 0 }], ${requests(scope)}) { totals { requests serverErrorRate } previousTotals { requests serverErrorRate } rows { service route requests serverErrorRate previous { serverErrorRate } } } }`,
  suspicious: ({ period, services }, severities) => {
    const least = severities.length < SEVERITIES.length ? `, severity: [${severities.join(', ')}]` : ''
    const theirs = services ? `, service: ${listOf(services)}` : ''
    return `{ suspiciousIps(where: { lastSeen: ${rangeOf(period)}${least}${theirs} }) { totalCount nodes { ip score severity detectorIds review { status } isBlocked requests campaign { summary } detections(first: 5) { summary } } } campaigns(timeRange: ${rangeOf(period)}) { totalCount nodes { summary ips requests } } }`
  },
  detectors: ({ period }) =>
    `{ detectors { id name mode detections(timeRange: ${rangeOf(period)}) confirmed falsePositives precision } }`,
  limits: ({ period, services }) =>
    `{ rateLimitEffectiveness(timeRange: ${rangeOf(period)}${services ? `, services: ${listOf(services)}` : ''}) { totals { ${LIMITS} } rows { policyId service ${LIMITS} } } }`,
  blocks: () =>
    '{ blockList(where: { action: [BLOCK], active: null }, first: 1000) { totalCount nodes { cidr source reason createdBy createdAt expiresAt active } } }',
  pipeline: () =>
    '{ jobs { name doneUntil lastSuccessAt } jobRuns(job: "hourly", first: 100) { nodes { windowFrom status attempt windowRows error } } viewer { freshness { completeThrough rollupThrough } } }',
} satisfies Record<string, (scope: ReportScope, severities: readonly Severity[]) => string>

export type QuestionName = keyof typeof QUESTIONS
export const QUESTION_NAMES = Object.keys(QUESTIONS) as readonly QuestionName[]

/** GraphQL's text of it. */
export const questionOf = (name: QuestionName, scope: ReportScope, severities: readonly Severity[]): string =>
  QUESTIONS[name](scope, severities)

/** Where a browser gets the question to ask it, below PUBLIC_URL. */
export const linkTo = (
  name: QuestionName,
  { kind, period, timezone, services }: ReportScope,
  severities: readonly Severity[],
): string =>
  pathTo(
    { kind, from: period.from, timezone, services },
    {
      below: `/look/${name}`,
      query: severities.length < SEVERITIES.length ? { minSeverity: severities[0]! } : {},
    },
  )
