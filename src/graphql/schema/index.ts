import { lexicographicSortSchema, printSchema as print } from 'graphql'

import '../scalars.ts'
import './api-keys.ts'
import './block-list.ts'
import './campaigns.ts'
import './detector-backtest.ts'
import './detector-changes.ts'
import './detectors.ts'
import './dimension-values.ts'
import './ip-report.ts'
import './jobs.ts'
import './node.ts'
import './rate-limit-analytics.ts'
import './rate-limit-policies.ts'
import './report-subscriptions.ts'
import './reports.ts'
import './request-analytics.ts'
import './request-logs.ts'
import './suspicious-ip-reviews.ts'
import './suspicious-ips.ts'
import './viewer.ts'
import { builder } from '../builder.ts'

export const schema = builder.toSchema({ sortSchema: false })

/** The SDL as it is kept in schema/schema.graphql. */
export const printSchema = (): string => `${print(lexicographicSortSchema(schema))}\n`
