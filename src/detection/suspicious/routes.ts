import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

import { AnalyticsError } from '../../analytics/index.ts'
import { countryName } from '../../geo/index.ts'
import { principalOf, problem, requireScope } from '../../http/index.ts'
import type { Detector } from '../types.ts'
import type { Suspicious, SuspiciousAddress } from './suspicious.ts'

export interface SuspiciousIpsRouteDependencies {
  suspicious: Pick<Suspicious, 'listByNumber'>
  detectors: { get: (id: string) => Pick<Detector, 'unit'> | undefined }
  /** What links begin with, without a slash at the end. */
  publicUrl: string
}

const PATH = '/api/suspicious-ips/'
const PAGE_SIZE = 100
const MAX_PAGE_SIZE = 1_000
const INVALID_PAGE = { detail: 'Invalid page.' }

const single = (value: unknown): string | undefined =>
  (Array.isArray(value) ? value.at(-1) : value) as string | undefined

const isNumber = (text: string | undefined): text is string => text !== undefined && /^0*[1-9]\d{0,8}$/.test(text)

const STATUS: Partial<Record<AnalyticsError['code'], number>> = { TIMEOUT: 504, OVERLOADED: 503, UNAVAILABLE: 503 }

const asProblem = (error: unknown): unknown => {
  const status = error instanceof AnalyticsError ? STATUS[error.code] : undefined
  return status
    ? problem(status, { detail: (error as Error).message, cause: error, headers: { 'retry-after': '5' } })
    : error
}

/**
 * `GET /api/suspicious-ips/`, the list that this service's predecessor had, field for field: one row for each address flagged,
 * flagged last first, in pages by number. `detection_type` is the detector of its strongest finding, `details` what
 * that finding says with what is known of the address. `?detection_type=` asks for one of them. New readers take `suspiciousIps`.
 */
export const createSuspiciousIpsRoute = ({
  suspicious,
  detectors,
  publicUrl,
}: SuspiciousIpsRouteDependencies): { routes: (app: FastifyInstance) => void } => {
  const shown = (suspect: SuspiciousAddress) => {
    const { strongest, country } = suspect
    return {
      ip_address: suspect.ip,
      detection_type: strongest.detector,
      flagged_at: suspect.flaggedAt.toISOString(),
      is_blocked: suspect.isBlocked,
      details: {
        observed: strongest.observed,
        threshold: strongest.threshold,
        unit: detectors.get(strongest.detector)?.unit ?? null,
        window_from: strongest.window.from.toISOString(),
        window_to: strongest.window.to.toISOString(),
        severity: suspect.severity,
        score: suspect.score,
        detection_types: suspect.detectors,
        request_count: suspect.requests,
        error_rate: suspect.errorRate,
        first_seen: suspect.firstSeenAt.toISOString(),
        last_seen: suspect.lastSeenAt.toISOString(),
        country: country === null ? null : countryName(country) || country,
        city: suspect.city,
        services: suspect.services,
        status: suspect.review.status,
      },
    }
  }

  const list = async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    const query = request.query as Record<string, unknown>
    const page = single(query['page']) ?? '1'
    const pageSize = single(query['page_size'])
    const detector = single(query['detection_type'])
    const size = isNumber(pageSize) ? Math.min(Number(pageSize), MAX_PAGE_SIZE) : PAGE_SIZE
    const principal = principalOf(request)
    const asker = { services: principal.services, comment: `suspicious-ips key=${principal.keyId}` }
    const read = (number: number) =>
      suspicious.listByNumber({ detector, offset: (number - 1) * size, limit: size }, asker)
    const pagesOf = (count: number): number => Math.max(1, Math.ceil(count / size))

    const isLast = page === 'last'
    if (!isLast && !isNumber(page)) return reply.code(404).send(INVALID_PAGE)
    const number = isLast ? pagesOf((await read(1)).count) : Number(page)
    const { count, rows } = await read(number)
    if (number > pagesOf(count)) return reply.code(404).send(INVALID_PAGE)

    const link = (to: number): string | null => {
      if (to < 1 || to > pagesOf(count)) return null
      const parameters = new URLSearchParams({
        ...(detector === undefined ? {} : { detection_type: detector }),
        ...(to > 1 ? { page: String(to) } : {}),
        ...(pageSize === undefined ? {} : { page_size: pageSize }),
      })
      return `${publicUrl}${PATH}${parameters.size > 0 ? `?${parameters}` : ''}`
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
    routes: (app) => void app.get(PATH, { onRequest: requireScope('SECURITY_READ') }, answer),
  }
}
