import { countryName } from '../geo/index.ts'
import { count, milliseconds, percent, table } from './table.ts'

export interface SummaryOptions {
  url: string
  /** An API key with the scope ANALYTICS_READ. */
  key: string
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

const QUERY = (fields: string, dimensions: string): string => `
  query DemoSummary($from: DateTime!, $to: DateTime!, $limit: Int!) {
    requestAnalytics(
      timeRange: { from: $from, to: $to }
      groupBy: [${dimensions}]
      orderBy: [{ metric: REQUESTS, direction: DESC }]
      limit: $limit
    ) {
      rows { ${fields} }
      totals { requests errorRate durationMsP95 uniqClientIps }
    }
  }`

interface Answer {
  data?: { requestAnalytics: { rows: AnalyticsRow[]; totals: Omit<AnalyticsRow, 'service'> } }
  errors?: { message: string }[]
}

const ask = async (options: SummaryOptions, dimensions: string, fields: string, limit: number) => {
  const { url, key, from, to } = options
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      accept: 'application/graphql-response+json',
    },
    body: JSON.stringify({
      query: QUERY(fields, dimensions),
      variables: { from: from.toISOString(), to: to.toISOString(), limit },
    }),
  })
  const text = await response.text()
  const answer = (text.startsWith('{') ? JSON.parse(text) : {}) as Answer
  if (!answer.data || answer.errors) {
    const reason = answer.errors?.map(({ message }) => message).join('; ') ?? text.slice(0, 300)
    throw new Error(`the summary could not be read from ${url}/graphql: ${response.status} ${reason}`)
  }
  return answer.data.requestAnalytics
}

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
  const metrics = 'requests errorRate durationMsP95 uniqClientIps'
  const services = await ask(options, 'SERVICE', `service ${metrics}`, rows)
  const countries = await ask(options, 'CLIENT_COUNTRY', `clientCountry ${metrics}`, rows)
  const addresses = await ask(options, 'CLIENT_IP, CLIENT_COUNTRY', `clientIp clientCountry ${metrics}`, rows)
  const paths = await ask(options, 'SERVICE, PATH', `service path ${metrics}`, rows)
  const statuses = await ask(options, 'STATUS_CODE', `statusCode ${metrics}`, 12)
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
      { title: 'country', value: ({ clientCountry }) => countryName(clientCountry) || 'unknown' },
      REQUESTS,
      ERRORS,
    ]),
    table('Paths', paths.rows, [
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
