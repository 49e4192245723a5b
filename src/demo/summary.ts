import { addressKind, countryName } from '../geo/index.ts'
import { ask, type Asker } from './ask.ts'
import { count, milliseconds, percent, table } from './table.ts'

export interface SummaryOptions extends Asker {
  /** The time to be summed up: [from, to). */
  from: Date
  to: Date
  /** Rows of each table. */
  rows?: number
}

interface AnalyticsRow {
  service: string
  clientCountry: string
  clientIp: string
  path: string
  statusCode: number
  requests: number
  errorRate: number | null
  durationMsP95: number | null
  uniqClientIps: number
  sharePercent: number | null
}

interface Question {
  /** Of RequestDimension, with commas between. */
  groupBy: string
  /** Of RequestAnalyticsRow. */
  fields: string
  limit: number
  where?: string
}

const documentOf = ({ groupBy, fields, where }: Question): string => `
  query DemoSummary($from: DateTime!, $to: DateTime!, $limit: Int!) {
    requestAnalytics(
      timeRange: { from: $from, to: $to }
      groupBy: [${groupBy}]
      where: ${where ?? 'null'}
      orderBy: [{ metric: REQUESTS, direction: DESC }]
      limit: $limit
    ) {
      rows { ${fields} requests errorRate durationMsP95 uniqClientIps }
      totals { requests errorRate durationMsP95 uniqClientIps }
    }
  }`

interface Answer {
  requestAnalytics: { rows: AnalyticsRow[]; totals: Omit<AnalyticsRow, 'service'> }
}

const analyse = async (
  { from, to, ...asker }: SummaryOptions,
  question: Question,
): Promise<Answer['requestAnalytics']> => {
  const variables = { from: from.toISOString(), to: to.toISOString(), limit: question.limit }
  return (await ask<Answer>(asker, documentOf(question), variables)).requestAnalytics
}

/** Files come with every page and would fill the table. */
const NO_FILES = `{ and: [${['/assets/%', '/images/%', '/wp-content/%'].map((path) => `{ path: { notLike: "${path}" } }`).join(' ')}] }`

const REQUESTS = { title: 'requests', value: ({ requests }: AnalyticsRow) => count(requests), right: true }
const ERRORS = { title: 'errors', value: ({ errorRate }: AnalyticsRow) => percent(errorRate), right: true }
const P95 = { title: 'p95', value: ({ durationMsP95 }: AnalyticsRow) => milliseconds(durationMsP95), right: true }
const ADDRESSES = { title: 'addresses', value: ({ uniqClientIps }: AnalyticsRow) => count(uniqClientIps), right: true }

/**
 * Asks the service's own GraphQL API what it saw, and sets the answers as tables.
 * @throws {Error} what the API said instead of an answer
 */
export const summary = async (options: SummaryOptions): Promise<string> => {
  const rows = options.rows ?? 8
  const services = await analyse(options, { groupBy: 'SERVICE', fields: 'service', limit: rows })
  const countries = await analyse(options, { groupBy: 'CLIENT_COUNTRY', fields: 'clientCountry', limit: rows })
  const addresses = await analyse(options, {
    groupBy: 'CLIENT_IP, CLIENT_COUNTRY',
    fields: 'clientIp clientCountry',
    limit: rows,
  })
  const paths = await analyse(options, {
    groupBy: 'SERVICE, PATH',
    fields: 'service path',
    limit: rows,
    where: NO_FILES,
  })
  const statuses = await analyse(options, { groupBy: 'STATUS_CODE', fields: 'statusCode', limit: 12 })
  const { requests, errorRate, uniqClientIps } = services.totals
  return [
    `${count(requests)} requests from ${count(uniqClientIps)} addresses, ${percent(errorRate)} errors`,
    table('Services', services.rows, [
      { title: 'service', value: ({ service }) => service },
      REQUESTS,
      ERRORS,
      P95,
      ADDRESSES,
    ]),
    table('Countries', countries.rows, [
      { title: 'country', value: ({ clientCountry }) => countryName(clientCountry) || 'unknown' },
      REQUESTS,
      ERRORS,
      ADDRESSES,
    ]),
    table('Addresses', addresses.rows, [
      { title: 'address', value: ({ clientIp }) => clientIp },
      {
        title: 'from',
        value: ({ clientIp, clientCountry }) =>
          countryName(clientCountry) || addressKind(clientIp).replaceAll('_', ' '),
      },
      REQUESTS,
      ERRORS,
    ]),
    table('Paths, without files', paths.rows, [
      { title: 'service', value: ({ service }) => service },
      { title: 'path', value: ({ path }) => path },
      REQUESTS,
      ERRORS,
      P95,
    ]),
    table('Statuses', statuses.rows, [
      { title: 'status', value: ({ statusCode }) => String(statusCode) },
      REQUESTS,
      P95,
      ADDRESSES,
    ]),
  ].join('\n\n')
}
