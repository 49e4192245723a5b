import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

import { countryName } from '../geo/index.ts'
import { principalOf, problem, requireScope } from '../http/index.ts'
import type { Analytics } from './analytics.ts'
import { AnalyticsError } from './errors.ts'
import type { LogField, RequestLog } from './log-row.ts'

export interface IpLogsDependencies {
  analytics: Analytics
  /** What links begin with, without a slash at the end. */
  publicUrl: string
}

const PAGE_SIZE = 100
const MAX_PAGE_SIZE = 1_000

const FIELDS: ReadonlySet<LogField> = new Set([
  'timestamp',
  'clientIp',
  'path',
  'method',
  'userAgent',
  'clientCountry',
  'clientCity',
])

const shown = (log: RequestLog) => ({
  ip_address: log.clientIp,
  timestamp: log.timestamp.toISOString(),
  path: log.path,
  method: log.method,
  user_agent: log.userAgent ?? '',
  country: log.clientCountry === null ? null : countryName(log.clientCountry) || log.clientCountry,
  city: log.clientCity,
})

const single = (value: unknown): string | undefined =>
  (Array.isArray(value) ? value.at(-1) : value) as string | undefined

/** As Django REST framework reads it: what is no number is the default, and too many are the most. */
const sizeOf = (given: string | undefined): number =>
  given !== undefined && /^0*[1-9]\d{0,8}$/.test(given) ? Math.min(Number(given), MAX_PAGE_SIZE) : PAGE_SIZE

const INVALID_PAGE = { detail: 'Invalid page.' }

const STATUS: Partial<Record<AnalyticsError['code'], number>> = { TIMEOUT: 504, OVERLOADED: 503, UNAVAILABLE: 503 }

const asProblem = (error: unknown): unknown => {
  const status = error instanceof AnalyticsError ? STATUS[error.code] : undefined
  return status
    ? problem(status, { detail: (error as Error).message, cause: error, headers: { 'retry-after': '5' } })
    : error
}

/**
 * `GET /api/ip-logs/`, the list that this service's predecessor had, field for field: pages by number, newest first.
 * New readers take `requestLogs`: a page by cursor does not shift while rows come in.
 */
export const createIpLogs = ({
  analytics,
  publicUrl,
}: IpLogsDependencies): { routes: (app: FastifyInstance) => void } => {
  const list = async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    const query = request.query as Record<string, unknown>
    const [page, pageSize] = [single(query['page']) ?? '1', single(query['page_size'])]
    const size = sizeOf(pageSize)
    const principal = principalOf(request)
    const asker = { services: principal.services, comment: `ip-logs key=${principal.keyId}` }
    const read = (number: number) =>
      analytics.listLogs({ offset: (number - 1) * size, limit: size, fields: FIELDS }, asker)
    const pagesOf = (count: number): number => Math.max(1, Math.ceil(count / size))

    const isLast = page === 'last'
    if (!isLast && !/^0*[1-9]\d{0,8}$/.test(page)) return reply.code(404).send(INVALID_PAGE)
    const number = isLast ? pagesOf((await read(1)).count) : Number(page)
    const { count, rows } = await read(number)
    if (number > pagesOf(count)) return reply.code(404).send(INVALID_PAGE)

    const link = (to: number): string | null => {
      if (to < 1 || to > pagesOf(count)) return null
      const parameters = new URLSearchParams({
        ...(to > 1 ? { page: String(to) } : {}),
        ...(pageSize === undefined ? {} : { page_size: pageSize }),
      })
      return `${publicUrl}/api/ip-logs/${parameters.size > 0 ? `?${parameters}` : ''}`
    }
    return { count, next: link(number + 1), previous: link(number - 1), results: rows.map(shown) }
  }

  const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    try {
      return await list(request, reply)
    } catch (error) {
      throw asProblem(error)
    }
  }
  return {
    routes: (app) => void app.get('/api/ip-logs/', { onRequest: requireScope('LOGS_READ') }, answer),
  }
}
