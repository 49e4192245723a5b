export { createReportBuilder, reportId, type ReportBuilderDependencies } from './build.ts'
export { periodOf } from './calendar.ts'
