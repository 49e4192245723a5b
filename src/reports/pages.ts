import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { parse, print } from 'graphql'

import { AnalyticsError, isTimeZone } from '../analytics/index.ts'
import { mayUse, type Principal, principalOf, type Problem, problem, requireScope } from '../http/index.ts'
import { QUESTION_NAMES, queryLink, questionOf, SEVERITIES, severitiesFrom } from './build/index.ts'
import { type ReportContent, scopeOf } from './deliver/index.ts'
import { openedFromElsewhere } from './from-elsewhere.ts'
import { type Content, pathOf, reportAt, reportBefore, type Wanted } from './place.ts'
import type { Preview } from './previews.ts'
import { csvName, tableCsv } from './render/csv.ts'
import { fileName, reportJson } from './render/index.ts'
import type { ReportFormat } from './subscriptions.ts'
import { REPORT_KINDS, type Renderer, type Report, type ReportKind, SUBSCRIPTION_KINDS, type Table } from './types.ts'

export interface ReportPagesDependencies {
  preview: Preview
  renderer: Pick<Renderer, 'page' | 'mail' | 'pdf'>
  publicUrl: string
  now?: (() => number) | undefined
}

/** Reports in a browser, each at an address that says what it is about. */
export interface ReportPages {
  /** As CSV the rows of a table; that of all numbers of the report unless one is named. */
  urlOf: (content: Content, format?: ReportFormat, table?: string) => string
  /** What figures and tables link to, in full. */
  absolute: (link: string) => string
  /**
   * `GET /reports/{hourly|daily|weekly|monthly}/{from|latest}` by scope REPORTS_READ: the report that holds this day or hour as a page;
   * `?format=` text, pdf, json (`reportJson`), or csv with `table`. `latest` is the last whole period; `?timezone=` and `services=` are of the report.
   *
   * `GET /reports/{kind}/{from}/look/{question}`: what numbers of it link to. Leads to GraphiQL with the question; it tells nothing that is
   * not in the address, so it needs no key.
   */
  routes: (app: FastifyInstance) => void
}

/** All numbers, whatever section they are of. */
export const FIGURES = 'figures'

export const POLICY =
  "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
const FORMATS = ['html', 'text', 'csv', 'pdf', 'json'] as const
const KIND_NAMES = SUBSCRIPTION_KINDS.map((kind) => kind.toLowerCase()).join(', ')
const STATUS: Partial<Record<AnalyticsError['code'], number>> = { TIMEOUT: 504, OVERLOADED: 503, UNAVAILABLE: 503 }

export const shown = (given: unknown): string => JSON.stringify(given).slice(0, 100)

export const invalid = (name: string, given: unknown, allowed: string): Problem =>
  problem(400, { detail: `${name} is ${shown(given)}; allowed is ${allowed}.` })

const kindOf = (given: string): ReportKind => {
  const kind = REPORT_KINDS.find((name) => name.toLowerCase() === given)
  if (kind) return kind
  throw problem(404, { detail: `there are no reports ${shown(given)}; there are: ${KIND_NAMES}.` })
}

export const single = (name: string, value: unknown): string | undefined => {
  if (value === undefined || typeof value === 'string') return value
  throw invalid(name, value, 'one value')
}

const PARAMETERS = ['timezone', 'services', 'format', 'table']

/** Else `service=shop` for `services=shop` would show those of all. @throws {Problem} 400 */
export const assertKnown = (query: object, allowed: readonly string[] = PARAMETERS): void => {
  const other = Object.keys(query).find((name) => !allowed.includes(name))
  if (other !== undefined)
    throw problem(400, { detail: `there is no parameter ${shown(other)}; there are: ${allowed.join(', ')}.` })
}

/** Null: none are given. */
const namesOf = (given: unknown): readonly string[] | null => {
  if (given === undefined) return null
  const services = [given].flat() as string[]
  if (services.length > 200 || services.some((name) => name === '' || name.length > 200))
    throw invalid('services', services, 'up to 200 names, each as a services= of its own')
  return [...new Set(services)].toSorted()
}

/** Those of the key alone where it is bound to some. @throws {Problem} 403 */
export const servicesOf = (given: unknown, principal: Principal): readonly string[] | null => {
  const services = namesOf(given)
  const foreign = services?.find((service) => !mayUse(principal, service))
  if (foreign !== undefined)
    throw problem(403, {
      detail: `services has ${shown(foreign)}; the key "${principal.name}" is for ${principal.services!.join(', ')}.`,
    })
  return services ?? principal.services
}

const wantedOf = (request: FastifyRequest, services: readonly string[] | null): Wanted => {
  const { kind } = request.params as { kind: string }
  const timezone = single('timezone', (request.query as Record<string, unknown>)['timezone']) ?? 'UTC'
  if (!isTimeZone(timezone)) throw invalid('timezone', timezone, 'an IANA name such as Europe/Berlin')
  return { kind: kindOf(kind), timezone, services }
}

const contentAt = (wanted: Wanted, from: string, now: Date): ReportContent => {
  const content = from === 'latest' ? reportBefore(wanted, now) : reportAt(wanted, from, now)
  if (content) return content
  const time =
    wanted.kind === 'HOURLY' ? 'a time in it, in UTC, such as 2026-11-24T13' : 'a time in it such as 2026-11-24'
  const last = pathOf(reportBefore(wanted, now))
  throw invalid('the period', from, `latest, or ${time}, once it is over; the last one is ${last}`)
}

const figuresOf = ({ sections }: Pick<Report, 'sections'>): Table => ({
  id: FIGURES,
  title: 'Figures',
  columns: ['section', 'figure', 'unit', 'value', 'previous'].map((key) => ({ key, title: key, kind: 'text' })),
  rows: sections.flatMap(({ id, figures }) =>
    figures.map(({ label, unit, value, previous }) => ({ section: id, figure: label, unit, value, previous })),
  ),
  shown: 0,
  link: '',
})

/** @throws {Problem} 404: it has no such table */
export const sendTable = (reply: FastifyReply, report: Pick<Report, 'sections'>, table: string): FastifyReply => {
  const tables = [figuresOf(report), ...report.sections.flatMap((section) => section.tables)]
  const found = tables.find(({ id }) => id === table)
  if (!found)
    throw problem(404, {
      detail: `this report has no table ${shown(table)}; it has: ${tables.map(({ id }) => id).join(', ')}.`,
    })
  return reply
    .type('text/csv; charset=utf-8')
    .header('content-disposition', `attachment; filename="${csvName(found.id)}"`)
    .send(tableCsv(found))
}

const asProblem = (error: unknown): unknown => {
  const status = error instanceof AnalyticsError ? STATUS[error.code] : undefined
  return status
    ? problem(status, { detail: (error as Error).message, cause: error, headers: { 'retry-after': '30' } })
    : error
}

/** Pages of reports, and the addresses of these. */
export const createReportPages = (dependencies: ReportPagesDependencies): ReportPages => {
  const { preview, renderer, publicUrl, now = Date.now } = dependencies

  const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const { from } = request.params as { from: string }
    const query = request.query as Record<string, unknown>
    assertKnown(query)
    const wanted = wantedOf(request, servicesOf(query['services'], principalOf(request)))
    const format = single('format', query['format']) ?? 'html'
    if (!FORMATS.some((name) => name === format)) throw invalid('format', format, FORMATS.join(', '))
    const table = single('table', query['table']) ?? FIGURES
    const content = contentAt(wanted, from, new Date(now()))
    const report = await preview(content)
    reply.header('cache-control', 'private, no-store')
    if (format === 'json') return reply.type('application/json; charset=utf-8').send(reportJson(report))
    if (format === 'pdf') {
      const pdf = await renderer.pdf(report, { publicUrl })
      const name = fileName(report.scope, 'pdf')
      return reply.type('application/pdf').header('content-disposition', `inline; filename="${name}"`).send(pdf)
    }
    if (format === 'text') {
      const { text } = await renderer.mail(report, { publicUrl })
      return reply.type('text/plain; charset=utf-8').send(text)
    }
    if (format === 'html') {
      const page = await renderer.page(report, { publicUrl })
      return reply.type('text/html; charset=utf-8').header('content-security-policy', POLICY).send(page)
    }
    return sendTable(reply, report, table)
  }

  const look = (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const { from, question } = request.params as { from: string; question: string }
    const query = request.query as Record<string, unknown>
    assertKnown(query, ['timezone', 'services', 'minSeverity'])
    const name = QUESTION_NAMES.find((known) => known === question)
    if (!name)
      throw problem(404, {
        detail: `there is no question ${shown(question)}; there are: ${QUESTION_NAMES.join(', ')}.`,
      })
    const given = single('minSeverity', query['minSeverity']) ?? 'LOW'
    const least = SEVERITIES.find((severity) => severity === given)
    if (!least) throw invalid('minSeverity', given, SEVERITIES.join(', '))
    const scope = scopeOf(contentAt(wantedOf(request, namesOf(query['services'])), from, new Date(now())))
    // Named, for GraphiQL's tab.
    const text = `query ${name} ${questionOf(name, scope, severitiesFrom(least))}`
    return reply.redirect(`${publicUrl}${queryLink(print(parse(text)))}`)
  }

  return {
    absolute: (link) => `${publicUrl}${link}`,
    urlOf: (content, format = 'HTML', table = FIGURES) => {
      const csv = { ...(format === 'CSV' && table !== FIGURES && { table }) }
      return `${publicUrl}${pathOf(content, format === 'HTML' ? {} : { format: format.toLowerCase(), ...csv })}`
    },
    routes: (app) => {
      app.get(
        '/reports/:kind/:from',
        { onRequest: [openedFromElsewhere, requireScope('REPORTS_READ')] },
        async (request, reply) => {
          try {
            return await answer(request, reply)
          } catch (error) {
            throw asProblem(error)
          }
        },
      )
      app.get('/reports/:kind/:from/look/:question', look)
    },
  }
}
