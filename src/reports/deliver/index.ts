export { createDeliveries, type Deliveries, type DeliveriesDependencies } from './deliveries.ts'
export { due } from './due.ts'
export { contentOf, createReportMail, type ReportContent, type ReportMail, scopeOf } from './report-mail.ts'
export { createUnsubscribeRoutes, type UnsubscribeDependencies, unsubscribeUrl } from './routes.ts'
export { createReportRuns, type ReportRun, type ReportRuns, type ReportRunsDependencies } from './runs.ts'
export { createUnsubscribeTokens, type UnsubscribeTokens } from './token.ts'
export {
  type Delivery,
  type DeliveryState,
  DELIVERY_STATES,
  type Mailing,
  type MailSettings,
  type RenderMailing,
} from './types.ts'
