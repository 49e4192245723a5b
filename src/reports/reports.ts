import type { Logger } from 'pino'
import type { Registry } from 'prom-client'

import type { Analytics } from '../analytics/index.ts'
import type { ClickHouse } from '../clickhouse/index.ts'
import type { DetectorQueries, Suspicious } from '../detection/index.ts'
import type { Jobs } from '../jobs/index.ts'
import type { Redis } from '../redis/index.ts'
import { createReportBuilder } from './build/index.ts'
import {
  createDeliveries,
  createReportMail,
  createReportRuns,
  createUnsubscribeRoutes,
  createUnsubscribeTokens,
  type Deliveries,
  type MailSettings,
  type ReportMail,
  type ReportRuns,
} from './deliver/index.ts'
import { createReportPages, type ReportPages } from './pages.ts'
import { createIncidentPage, createNotices, type Notices, renderIncident } from './incident/index.ts'
import { createPreviews, type Preview } from './previews.ts'
import { createRendererAside } from './render/index.ts'
import { createSubscriptions, type Subscriptions } from './subscriptions.ts'
import type { Renderer } from './types.ts'

export interface ReportsDependencies {
  clickhouse: ClickHouse
  redis: Redis
  registry: Registry
  log: Logger
  dataDir: string
  analytics: Analytics
  suspicious: Suspicious
  detectorQueries: DetectorQueries
  jobs: Pick<Jobs, 'states'>
  policyName: (id: string) => string | undefined
  /** Lines that the geo databases' licences ask for. */
  attributions: () => readonly string[]
  mail: MailSettings
  secret: string
  publicUrl: string
  /** Whether this process makes and sends reports; else it answers for them. */
  sends: boolean
}

/** Reports: made when they are due, looked at, and mailed. */
export interface Reports {
  start: () => Promise<void>
  stop: () => Promise<void>
  subscriptions: Subscriptions
  deliveries: Deliveries
  runs: ReportRuns
  /** Incidents that are kept. */
  notices: Notices
  /** Builds a report to look at. */
  preview: Preview
  /** Builds a report to be sent; the last few are kept. */
  mail: ReportMail
  renderer: Renderer
  pages: ReportPages
  unsubscribe: ReturnType<typeof createUnsubscribeRoutes>
}

export const createReports = (dependencies: ReportsDependencies): Reports => {
  const { jobs, publicUrl, secret, sends } = dependencies
  const notices = createNotices(dependencies)
  const renderer = createRendererAside({ attributions: dependencies.attributions })
  const builder = createReportBuilder(dependencies)
  const preview = createPreviews(builder)
  const mail = createReportMail({ builder, renderer, publicUrl })
  const subscriptions = createSubscriptions(dependencies)
  const deliveries = createDeliveries({
    ...dependencies,
    render: (mailing, options) =>
      mailing.kind === 'INCIDENT'
        ? Promise.resolve(
            renderIncident(mailing.content, { ...options, publicUrl, attributions: dependencies.attributions() }),
          )
        : mail.render(mailing, options),
    isUnsubscribed: subscriptions.isUnsubscribed,
  })
  const runs = createReportRuns({
    ...dependencies,
    subscriptions,
    deliveries,
    reports: mail,
    newestIncident: (services) => notices.list(services)[0],
    isClosed: async (to) => {
      const hourly = (await jobs.states()).find(({ job }) => job.name === 'hourly')
      return (hourly?.doneUntil ?? new Date(0)) >= to
    },
    makes: sends,
  })
  const pages = createReportPages({ preview, renderer, publicUrl })
  const incidentPage = createIncidentPage({ ...dependencies, notices })
  return {
    subscriptions,
    deliveries,
    runs,
    notices,
    preview,
    mail,
    renderer,
    pages: {
      ...pages,
      routes: (app) => {
        pages.routes(app)
        incidentPage.routes(app)
      },
    },
    unsubscribe: createUnsubscribeRoutes({
      tokens: createUnsubscribeTokens(secret),
      nameOf: (id) => subscriptions.get(id)?.name,
      isUnsubscribed: subscriptions.isUnsubscribed,
      unsubscribe: subscriptions.unsubscribe,
    }),
    start: async () => {
      await Promise.all([subscriptions.start(), notices.start()])
      deliveries.start()
      await runs.start()
    },
    stop: async () => {
      await runs.stop()
      await deliveries.stop()
      await Promise.all([subscriptions.stop(), notices.stop(), renderer.stop()])
    },
  }
}
