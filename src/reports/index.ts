export { periodOf, reportId } from './build/index.ts'
export { contentOf, type Delivery, type DeliveryState, type ReportContent } from './deliver/index.ts'
export {
  createIncidents,
  forgetInNotices,
  type IncidentContent,
  incidentReport,
  type Incidents,
  type IncidentsDependencies,
} from './incident/index.ts'
export { asAddress } from './mail-address.ts'
export { type Content, idOf, lastReports, reportBefore, reportOf, type Wanted } from './place.ts'
export { createReports, type Reports, type ReportsDependencies } from './reports.ts'
export { REPORT_FORMATS, type ReportFormat, type Subscription, type SubscriptionValues } from './subscriptions.ts'
export * from './types.ts'
