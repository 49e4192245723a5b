import { periodOf } from '../build/index.ts'
import { brief, fileName, reportJson } from '../render/index.ts'
import type { LeastSeverity, ReportFormat, SubscriptionValues } from '../subscriptions.ts'
import type { Rendered, Report, ReportBuilder, Renderer, ReportKind, ReportScope } from '../types.ts'
import type { Mailing, RenderMailing } from './types.ts'

/** What a report is about, as JSON holds it. */
export interface ReportContent {
  kind: ReportKind
  /** RFC 3339. */
  period: readonly [from: string, to: string]
  previous: readonly [from: string, to: string]
  timezone: string
  services: readonly string[] | null
  minSeverity: LeastSeverity | null
  format: ReportFormat
}

type Wanted = Pick<SubscriptionValues, 'timezone' | 'services' | 'minSeverity' | 'format'> & { kind: ReportKind }

/** The report of the last whole period before `at`. */
export const contentOf = ({ kind, timezone, services, minSeverity, format }: Wanted, at: Date): ReportContent => {
  const { period, previous } = periodOf(kind, at, timezone)
  return {
    kind,
    period: [period.from.toISOString(), period.to.toISOString()],
    previous: [previous.from.toISOString(), previous.to.toISOString()],
    timezone,
    services: services.length === 0 ? null : services,
    minSeverity,
    format,
  }
}

export const scopeOf = ({ kind, period, previous, timezone, services }: ReportContent): ReportScope => ({
  kind,
  period: { from: new Date(period[0]), to: new Date(period[1]) },
  previous: { from: new Date(previous[0]), to: new Date(previous[1]) },
  timezone,
  services,
})

/** Subscriptions that are due at once share what is built; later ones get what came meanwhile. */
const KEPT_MS = 60_000
const MOST = 8

export interface ReportMail {
  build: (content: ReportContent) => Promise<Report>
  /** For `createDeliveries`. */
  render: RenderMailing
}

/**
 * Reports as mails. A mail is made from what the report is about, not kept: a closed period gives the same report again. Where rows came
 * late and the process was restarted between two recipients, the later one gets the numbers with them; `generatedAt` tells.
 */
export const createReportMail = ({
  builder,
  renderer,
  publicUrl,
  now = Date.now,
}: {
  builder: ReportBuilder
  renderer: Pick<Renderer, 'mail' | 'pdf'>
  publicUrl: string
  now?: (() => number) | undefined
}): ReportMail => {
  const built = new Map<string, { at: number; report: Promise<Report> }>()

  const buildNow = (content: ReportContent): Promise<Report> =>
    builder.build(scopeOf(content), { minSeverity: content.minSeverity ?? undefined })

  const build = (content: ReportContent): Promise<Report> => {
    const key = JSON.stringify([scopeOf(content), content.minSeverity])
    const known = built.get(key)
    if (known && now() - known.at < KEPT_MS) return known.report
    const report = buildNow(content)
    built.delete(key)
    built.set(key, { at: now(), report })
    report.catch(() => built.delete(key))
    if (built.size > MOST) built.delete(built.keys().next().value!)
    return report
  }

  const attachment = async (report: Report, format: 'PDF' | 'JSON'): Promise<Rendered['attachments'][number]> => {
    const filename = fileName(report.scope, format.toLowerCase())
    return format === 'PDF'
      ? { filename, type: 'application/pdf', content: await renderer.pdf(report, { publicUrl }) }
      : { filename, type: 'application/json', content: reportJson(report) }
  }

  return {
    build,
    render: async ({ content, subscriptionId }: Pick<Mailing, 'content' | 'subscriptionId'>, { unsubscribeUrl }) => {
      const wanted = content as ReportContent
      // A test tells how it is now; and made before its hours are closed, it must not be what subscribers get afterwards.
      const report = await (subscriptionId === null ? buildNow(wanted) : build(wanted))
      const options = { publicUrl, ...(unsubscribeUrl === undefined ? {} : { unsubscribeUrl }) }
      const { format } = wanted
      const plain = { html: '', images: [] }
      if (format === 'HTML' || format === 'CSV')
        return { ...(await renderer.mail(report, options)), ...(format === 'CSV' && plain) }
      const whole = await attachment(report, format)
      const rendered = await renderer.mail(brief(report, whole.filename), options)
      return { ...rendered, ...(format === 'JSON' && plain), attachments: [whole] }
    },
  }
}
