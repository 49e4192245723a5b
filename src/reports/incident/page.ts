import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

import { principalOf, problem, requireScope } from '../../http/index.ts'
import { openedFromElsewhere } from '../from-elsewhere.ts'
import { assertKnown, FIGURES, invalid, POLICY, sendTable, servicesOf, shown, single } from '../pages.ts'
import type { Notices } from './notices.ts'
import { renderIncident } from './render.ts'
import { incidentReport } from './report.ts'

export interface IncidentPageDependencies {
  notices: Pick<Notices, 'list' | 'get'>
  publicUrl: string
  /** Lines that the geo databases' licences ask for. */
  attributions: () => readonly string[]
}

const FORMATS = ['html', 'text', 'csv', 'json'] as const

/**
 * `GET /reports/incident/{id|latest}` by scope REPORTS_READ: an incident as a page that looks like its mail; `?format=` text, json, or csv with
 * `table`. `services=` leaves out what touches none of these.
 */
export const createIncidentPage = ({ notices, publicUrl, attributions }: IncidentPageDependencies) => {
  const answer = (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const { id } = request.params as { id: string }
    const query = request.query as Record<string, unknown>
    assertKnown(query)
    const services = servicesOf(query['services'], principalOf(request))
    const timezone = single('timezone', query['timezone']) ?? 'UTC'
    if (timezone !== 'UTC') throw invalid('timezone', timezone, 'UTC, in which incidents are told')
    const format = single('format', query['format']) ?? 'html'
    if (!FORMATS.some((name) => name === format)) throw invalid('format', format, FORMATS.join(', '))
    const table = single('table', query['table']) ?? FIGURES
    const content = id === 'latest' ? notices.list(services)[0] : notices.get(id, services)
    if (!content) {
      const about = services === null ? '' : ` that touches ${services.join(', ')}`
      const detail =
        id === 'latest' ? `there is no incident yet${about}.` : `there is no incident ${shown(id)}${about}.`
      throw problem(404, { detail })
    }
    reply.header('cache-control', 'private, no-store')
    if (format === 'json') return reply.send(incidentReport(content))
    if (format === 'csv') return sendTable(reply, incidentReport(content), table)
    const { html, text } = renderIncident(content.notice, { publicUrl, attributions: attributions() })
    if (format === 'text') return reply.type('text/plain; charset=utf-8').send(text)
    return reply.type('text/html; charset=utf-8').header('content-security-policy', POLICY).send(html)
  }

  return {
    routes: (app: FastifyInstance): void =>
      void app.get('/reports/incident/:id', { onRequest: [openedFromElsewhere, requireScope('REPORTS_READ')] }, answer),
  }
}
