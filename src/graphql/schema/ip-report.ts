import type { GraphQLResolveInfo } from 'graphql'

import type { RequestAnalyticsInput, TimeRangeInput as RangeInput } from '../../analytics/index.ts'
import { neighbourhood } from '../../detection/index.ts'
import { builder } from '../builder.ts'
import { askerOf, type Context } from '../context.ts'
import { publicError } from '../errors.ts'
import { selectionOf } from '../selection.ts'
import { BlockListEntry } from './block-list.ts'
import { BucketInput, TimeRangeInput } from './inputs.ts'
import { metricsIn, MetricSet } from './metrics.ts'
import { RequestAnalyticsRow } from './request-analytics.ts'
import { SuspiciousIp } from './suspicious-ips.ts'

interface Report {
  ip: string
  timeRange: RangeInput
}

const of = ({ ip }: Report) => ({ clientIp: { eq: ip } })

const rowsOf = async (
  { timeRange }: Report,
  input: Omit<RequestAnalyticsInput, 'timeRange' | 'selection'>,
  context: Context,
  info: GraphQLResolveInfo,
) => {
  const selection = { rows: metricsIn(selectionOf(info)) }
  const asker = askerOf(context, `ipReport.${info.fieldName}`)
  return (await context.analytics.requestAnalytics({ ...input, timeRange, selection }, asker)).rows
}

const networkOf = (ip: string, prefix: number | null | undefined): string => {
  const [least, most] = ip.includes(':') ? [16, 128] : [8, 32]
  if (prefix !== null && prefix !== undefined && !(prefix >= least && prefix <= most))
    throw publicError('INVALID_ARGUMENT', `prefix is ${prefix}; allowed is ${least} to ${most} for ${ip}`, {
      argument: 'prefix',
    })
  return neighbourhood(ip, prefix ?? undefined)
}

const IpReport = builder.objectRef<Report>('IpReport').implement({
  description: 'All that is known of one address. Only what is selected is computed.',
  fields: (t) => ({
    ip: t.expose('ip', { type: 'IPAddress', description: 'The address.' }),
    metrics: t.field({
      type: MetricSet,
      description: 'Over all of its requests in the range.',
      resolve: async (report, _args, context, info) => {
        const { totals } = await context.analytics.requestAnalytics(
          { timeRange: report.timeRange, where: of(report), selection: { totals: metricsIn(selectionOf(info)) } },
          askerOf(context, 'ipReport.metrics'),
        )
        return { values: totals! }
      },
    }),
    suspicious: t.field({
      type: SuspiciousIp,
      nullable: true,
      description: 'What detectors found in hours that touch the range, of IPv6 for its /64; null: nothing.',
      resolve: async ({ ip, timeRange }, _args, context) => {
        const range = context.suspicious.rangeOf(timeRange)
        const suspect = await context.suspicious.ofIp(ip, range, askerOf(context, 'ipReport.suspicious'))
        return suspect ? { ...suspect, range } : null
      },
    }),
    blocks: t.field({
      type: [BlockListEntry],
      description: 'Entries of the block list that name it, newest first; those that are over, too.',
      resolve: ({ ip }, _args, { suspicious }) => suspicious.blocksOf(ip),
    }),
    timeline: t.field({
      type: [RequestAnalyticsRow],
      description: 'Its requests by time.',
      args: {
        bucket: t.arg({ type: BucketInput, description: 'How the range is cut; by default the finest that fits.' }),
      },
      resolve: (report, { bucket }, context, info) =>
        rowsOf(report, { where: of(report), bucket: bucket ?? {} }, context, info),
    }),
    topPaths: t.field({
      type: [RequestAnalyticsRow],
      description: 'What it asked for most.',
      args: { limit: t.arg.int({ required: true, defaultValue: 10, description: 'How many paths.' }) },
      resolve: (report, { limit }, context, info) =>
        rowsOf(report, { where: of(report), groupBy: ['PATH'], limit }, context, info),
    }),
    neighbours: t.field({
      type: [RequestAnalyticsRow],
      description: 'Other addresses of its network in the range, the busiest first, 100 at most.',
      args: { prefix: t.arg.int({ description: 'Length of the prefix: 24 by default, 64 for IPv6.' }) },
      resolve: (report, { prefix }, context, info) => {
        const clientIp = { in: [networkOf(report.ip, prefix)], neq: report.ip }
        return rowsOf(report, { where: { clientIp }, groupBy: ['CLIENT_IP'], limit: 100 }, context, info)
      },
    }),
  }),
})

builder.queryField('ipReport', (t) =>
  t.field({
    type: IpReport,
    authScopes: { scope: 'SECURITY_READ' },
    description: 'All that is known of one address. Scope SECURITY_READ.',
    args: {
      ip: t.arg({ type: 'IPAddress', required: true, description: 'The address.' }),
      timeRange: t.arg({ type: TimeRangeInput, required: true, description: 'When.' }),
    },
    resolve: (_root, report, { suspicious }) => {
      // Refused here where it cannot be, since a report of no field would not look at it.
      suspicious.rangeOf(report.timeRange)
      return report
    },
  }),
)
