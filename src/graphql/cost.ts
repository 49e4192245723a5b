import { type FieldNode, valueFromASTUntyped } from 'graphql'

import { type Document, fieldsOf, type Operation } from './selection.ts'

/** Points that one operation may cost. A statement over a range is 10, so this is some twenty panels of a dashboard at once. */
export const MAX_COST = 250

const STATEMENT = 10

const namesBelow = (field: FieldNode, document: Document): Set<string> =>
  new Set(fieldsOf(field.selectionSet, document).map((node) => node.name.value))

const argumentsOf = (field: FieldNode, { variableValues }: Document): Record<string, unknown> =>
  Object.fromEntries(
    (field.arguments ?? []).map(({ name, value }) => [name.value, valueFromASTUntyped(value, variableValues)]),
  )

/** Statements that requestAnalytics will run; a comparison reads a second range. */
const analyticsCost = (field: FieldNode, document: Document): number => {
  const args = argumentsOf(field, document)
  const below = namesBelow(field, document)
  const groups = Array.isArray(args['groupBy']) && args['groupBy'].length > 0
  const rows = ['rows', 'table', 'totalGroups'].some((name) => below.has(name)) ? (groups && args['bucket'] ? 2 : 1) : 0
  const totals = below.has('totals') || below.has('previousTotals') ? 1 : 0
  const others = below.has('others') ? 2 : 0
  return Math.max(1, rows + totals + others) * STATEMENT * (args['compareTo'] ? 2 : 1)
}

/** Pages read an hour or so when the order is by time, the whole range by duration. */
const logsCost = (field: FieldNode, document: Document): number => {
  const args = argumentsOf(field, document)
  const size = Number(args['first'] ?? args['last'] ?? 100)
  const counts = fieldsOf(field.selectionSet, document).filter((node) => node.name.value === 'totalCount')
  const counted = counts.filter((node) => argumentsOf(node, document)['mode'] !== 'NONE').length
  const page = args['orderBy'] === 'DURATION_DESC' ? STATEMENT : 2
  return page + Math.ceil(Math.max(0, size) / 100) + counted * STATEMENT
}

/** Rows, their buckets, and totals are statements over the decisions; error rates read the requests, too. */
const effectivenessCost = (field: FieldNode, document: Document): number => {
  const parts = fieldsOf(field.selectionSet, document).filter(({ name }) => ['rows', 'totals'].includes(name.value))
  const rates = parts.some((part) => [...namesBelow(part, document)].some((name) => name.startsWith('serverErrorRate')))
  const rows = parts.some(({ name }) => name.value === 'rows') && argumentsOf(field, document)['bucket'] ? 1 : 0
  return Math.max(1, new Set(parts.map(({ name }) => name.value)).size + rows + (rates ? 2 : 0)) * STATEMENT
}

/** Reads every request of the range twice, and simulates those of the busiest clients one by one. */
const BACKTEST = 5 * STATEMENT

/** How often it is selected, at any depth. A fragment is looked through once, however often it is spread. */
const timesSelected = (field: FieldNode, name: string, document: Document, seen = new Set<unknown>()): number => {
  if (seen.has(field)) return 0
  seen.add(field)
  return fieldsOf(field.selectionSet, document).reduce(
    (sum, node) => sum + (node.name.value === name ? 1 : timesSelected(node, name, document, seen)),
    0,
  )
}

/** The fields of this name at any depth. A fragment is looked through once. */
const fieldsNamed = (field: FieldNode, name: string, document: Document, seen = new Set<unknown>()): FieldNode[] => {
  if (seen.has(field)) return []
  seen.add(field)
  return fieldsOf(field.selectionSet, document).flatMap((node) => [
    ...(node.name.value === name ? [node] : []),
    ...fieldsNamed(node, name, document, seen),
  ])
}

/** Rows of one address in one window lie together: such a statement is a small part of one over a range. */
const FEW_ROWS = 0.4
/** What most suspicious addresses have at most; the price is for the usual page, not for the worst. */
const USUAL_DETECTIONS = 3

/** Below `size` suspicious addresses: findings and campaigns are read for all at once, rows and histories one by one. */
const suspectsCost = (field: FieldNode, document: Document, size: number): number => {
  const times = (name: string): number => timesSelected(field, name, document)
  const detections = fieldsNamed(field, 'detections', document)
  const ofEach = detections.reduce(
    (most, node) =>
      Math.max(most, Math.min(USUAL_DETECTIONS, Number(argumentsOf(node, document)['first'] ?? USUAL_DETECTIONS))),
    0,
  )
  return (
    (detections.length + 2 * Math.min(1, times('campaign'))) * STATEMENT +
    Math.ceil(
      size *
        FEW_ROWS *
        (2 * times('requestLogs') + times('reviewHistory') + ofEach * (times('evidence') + 0.5 * times('jobRun'))),
    )
  )
}

const suspiciousCost = (field: FieldNode, document: Document): number => {
  const args = argumentsOf(field, document)
  const counts = fieldsOf(field.selectionSet, document).filter((node) => node.name.value === 'totalCount').length
  const size = Math.max(0, Number(args['first'] ?? args['last'] ?? 100))
  return (1 + counts) * STATEMENT + suspectsCost(field, document, size)
}

/** Each part is a statement over the requests of one address or network. */
const reportCost = (field: FieldNode, document: Document): number => {
  const parts = fieldsOf(field.selectionSet, document).filter(({ name }) => !['ip', 'blocks'].includes(name.value))
  return Math.max(1, parts.length) * STATEMENT + suspectsCost(field, document, 1)
}

/** Some forty statements, but one after the other, and over roll-ups. */
const REPORT = 2 * STATEMENT
const OF_A_REPORT = ['headline', 'generatedAt', 'sections']

/** Below `size` reports. Each is built once, whatever is asked of it, and its mails are few rows. */
const reportsCost = (field: FieldNode, document: Document, size: number): number => {
  const times = (name: string): number => timesSelected(field, name, document)
  const statements = times('totals') + times('previousTotals') + times('topSuspiciousIps')
  const building = OF_A_REPORT.some((name) => times(name) > 0) ? REPORT : 0
  return Math.ceil(
    size * (building + statements * STATEMENT + FEW_ROWS * (times('deliveries') + times('lastDelivery'))),
  )
}

const sizeOf = (field: FieldNode, document: Document, usual: number): number =>
  Math.max(0, Number(argumentsOf(field, document)['first'] ?? usual))

const costOf = (field: FieldNode, document: Document): number => {
  switch (field.name.value) {
    case 'requestAnalytics':
      return analyticsCost(field, document)
    case 'requestLogs':
      return logsCost(field, document)
    case 'dimensionValues':
      return STATEMENT
    case 'rateLimitEffectiveness':
      return effectivenessCost(field, document)
    case 'backtestRateLimit':
    case 'backtestDetector':
      return BACKTEST
    case 'detectors':
      return 1 + timesSelected(field, 'detections', document) * STATEMENT
    case 'suspiciousIps':
      return suspiciousCost(field, document)
    case 'campaigns':
      return 2 * STATEMENT
    case 'ipReport':
      return reportCost(field, document)
    case 'securityReports':
      return 1 + reportsCost(field, document, sizeOf(field, document, 10))
    case 'reportSubscriptions':
      return 1 + reportsCost(field, document, sizeOf(field, document, 100))
    case 'sendTestReport':
      return 1 + REPORT
    case 'node':
      return (
        1 +
        timesSelected(field, 'hits', document) * STATEMENT +
        suspectsCost(field, document, 1) +
        reportsCost(field, document, 1)
      )
    default:
      return 1 + timesSelected(field, 'hits', document) * STATEMENT + suspectsCost(field, document, 1)
  }
}

/** The price of an operation in points. */
export const priceOf = ({ fields, document }: Operation): number =>
  fields.reduce((sum, field) => sum + costOf(field, document), 0)
