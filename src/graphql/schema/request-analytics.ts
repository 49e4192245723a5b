import {
  type AnalyticsRow,
  type AnalyticsSelection,
  changeOf,
  type Dimension,
  dimensions,
  fieldOf,
  keyOf,
  type Metric,
  type MetricRef,
  METRICS,
  type RequestAnalytics as Answer,
  type RequestAction,
  type Spent,
} from '../../analytics/index.ts'
import { builder } from '../builder.ts'
import { askerOf } from '../context.ts'
import { below, type Selected, selectionOf } from '../selection.ts'
import { type Column, columnsOf, ColumnType, tableOf } from './columns.ts'
import {
  AnalyticsOrder,
  BucketInput,
  CompareInput,
  MetricFilter,
  RequestActionEnum,
  RequestDimension,
  RequestFilter,
  RequestMetric,
  TimeRangeInput,
} from './inputs.ts'
import { AnalyticsMeta } from './meta.ts'
import { metricsIn, MetricSet, RequestMetrics } from './metrics.ts'

export const RequestAnalyticsRow = builder.objectRef<AnalyticsRow>('RequestAnalyticsRow').implement({
  description:
    'One group, flat: bucket, dimensions and metrics side by side. A dimension that is not in groupBy is null.',
  interfaces: [RequestMetrics],
  fields: (t) => {
    const text = (dimension: Dimension) =>
      t.string({
        nullable: true,
        description: dimensions[dimension].description,
        resolve: (row) => (row.dimensions[dimensions[dimension].field] as string | undefined) ?? null,
      })
    const whole = (dimension: Dimension) =>
      t.int({
        nullable: true,
        description: dimensions[dimension].description,
        resolve: (row) => (row.dimensions[dimensions[dimension].field] as number | undefined) ?? null,
      })
    return {
      bucketStart: t.field({
        type: 'DateTime',
        nullable: true,
        description: 'Where the bucket begins; null without buckets.',
        resolve: ({ bucket }) => bucket?.start ?? null,
      }),
      bucketLocal: t.string({
        nullable: true,
        description: 'The same on the clock of the time zone, with its offset: 2026-03-29T03:00:00+02:00.',
        resolve: ({ bucket }) => bucket?.local ?? null,
      }),
      bucketComplete: t.boolean({
        nullable: true,
        description: 'The whole bucket lies in the range, and nothing of it is still on its way.',
        resolve: ({ bucket }) => bucket?.complete ?? null,
      }),
      service: text('SERVICE'),
      host: text('HOST'),
      method: text('METHOD'),
      path: text('PATH'),
      route: text('ROUTE'),
      statusCode: whole('STATUS_CODE'),
      statusClass: text('STATUS_CLASS'),
      clientIp: t.field({
        type: 'IPAddress',
        nullable: true,
        description: dimensions.CLIENT_IP.description,
        resolve: (row) => (row.dimensions['clientIp'] as string | undefined) ?? null,
      }),
      clientSubnet: t.field({
        type: 'CIDR',
        nullable: true,
        description: dimensions.CLIENT_SUBNET.description,
        resolve: (row) => (row.dimensions['clientSubnet'] as string | undefined) ?? null,
      }),
      clientAsn: t.field({
        type: 'SafeInt',
        nullable: true,
        description: dimensions.CLIENT_ASN.description,
        resolve: (row) => (row.dimensions['clientAsn'] as number | undefined) ?? null,
      }),
      clientCountry: text('CLIENT_COUNTRY'),
      clientCity: text('CLIENT_CITY'),
      userId: text('USER_ID'),
      userAgent: text('USER_AGENT'),
      userAgentFamily: text('USER_AGENT_FAMILY'),
      action: t.field({
        type: RequestActionEnum,
        nullable: true,
        description: dimensions.ACTION.description,
        resolve: (row) => (row.dimensions['action'] as RequestAction | undefined) ?? null,
      }),
      policyId: text('POLICY_ID'),
      hourOfDay: whole('HOUR_OF_DAY'),
      dayOfWeek: whole('DAY_OF_WEEK'),
      previous: t.field({
        type: MetricSet,
        nullable: true,
        description: 'The same group one period earlier; null without compareTo.',
        resolve: ({ previous }) => previous && { values: previous },
      }),
      change: t.float({
        nullable: true,
        description: '(now - previous) / previous; null without compareTo, or where previous is 0 or absent.',
        args: { metric: t.arg({ type: RequestMetric, required: true, description: 'Of this metric.' }) },
        resolve: ({ values, previous }, { metric }) => {
          const key = keyOf({ field: fieldOf(metric) })
          return changeOf(values[key], previous?.[key])
        },
      }),
      isNew: t.boolean({
        nullable: true,
        description: 'Requests now and none one period earlier; null without compareTo.',
        resolve: ({ values, previous }) =>
          previous && Number(previous['requests']) === 0 && Number(values['requests']) > 0,
      }),
    }
  },
})

interface AnalyticsShape extends Answer {
  spent: Spent
  columns: Column[]
}

const RequestAnalytics = builder.objectRef<AnalyticsShape>('RequestAnalytics').implement({
  description: 'The answer of a group-by. Only what is selected is computed.',
  fields: (t) => ({
    rows: t.field({
      type: [RequestAnalyticsRow],
      description: 'With buckets by time first, then in the order of the groups.',
      resolve: ({ rows }) => rows,
    }),
    totals: t.field({
      type: MetricSet,
      description: 'Over the whole range, not the sum of the rows.',
      resolve: ({ totals }) => ({ values: totals! }),
    }),
    others: t.field({
      type: MetricSet,
      nullable: true,
      description:
        'All requests outside the groups in rows, together; null where there are none, or without dimensions.',
      resolve: ({ others }) => others && { values: others },
    }),
    previousTotals: t.field({
      type: MetricSet,
      nullable: true,
      description: 'Totals one period earlier; null without compareTo.',
      resolve: ({ previousTotals }) => previousTotals && { values: previousTotals },
    }),
    totalGroups: t.field({
      type: 'SafeInt',
      nullable: true,
      description: 'How many groups there are that having leaves; null without dimensions.',
      resolve: ({ totalGroups }) => totalGroups,
    }),
    columns: t.field({
      type: [ColumnType],
      description: 'What the columns of table are.',
      resolve: ({ columns }) => columns,
    }),
    table: t.field({
      type: 'JSON',
      description: 'The rows as a list of lists, in the order of columns.',
      resolve: ({ rows, columns }) => tableOf(rows, columns),
    }),
    meta: t.field({ type: AnalyticsMeta, description: 'How the answer came about.', resolve: (answer) => answer }),
  }),
})

/** Metrics behind `change(metric)` and `isNew`, which need both periods. */
const comparedIn = (selected: readonly Selected[]): MetricRef[] =>
  selected.flatMap(({ name, args }) => (name === 'change' ? [{ field: fieldOf(args['metric'] as Metric) }] : []))

const tableMetrics = (
  asked: readonly Metric[] | null | undefined,
  rows: readonly MetricRef[] | undefined,
): MetricRef[] => {
  if (asked)
    return asked.filter((metric) => METRICS[metric] !== 'requestsChange').map((metric) => ({ field: fieldOf(metric) }))
  return rows && rows.length > 0 ? [...rows] : [{ field: 'requests' }]
}

builder.queryField('requestAnalytics', (t) =>
  t.field({
    type: RequestAnalytics,
    authScopes: { scope: 'ANALYTICS_READ' },
    description: 'Group-by over requests: one flat row for each group and bucket. Scope ANALYTICS_READ.',
    args: {
      timeRange: t.arg({ type: TimeRangeInput, required: true, description: 'Which requests, by their timestamp.' }),
      groupBy: t.arg({
        type: [RequestDimension],
        required: true,
        defaultValue: [],
        description: 'Up to six dimensions.',
      }),
      bucket: t.arg({ type: BucketInput, description: 'Cut the range into buckets; {} chooses their length.' }),
      timezone: t.arg({ type: 'TimeZone', description: 'Whose clock hours, days and buckets follow. Default UTC.' }),
      where: t.arg({ type: RequestFilter, description: 'Which of the requests.' }),
      having: t.arg({
        type: [MetricFilter],
        description: 'Which groups, by their metrics over the whole range; without dimensions, which buckets.',
      }),
      orderBy: t.arg({
        type: [AnalyticsOrder],
        description:
          'Order of the groups, most requests first by default; without dimensions, of the buckets, by time by default.',
      }),
      limit: t.arg.int({
        description:
          'How many groups, each with all its buckets: 100 by default, 10,000 rows at most. Without dimensions, how many buckets; all by default.',
      }),
      offset: t.arg.int({ defaultValue: 0, description: 'How many groups to leave out before.' }),
      compareTo: t.arg({ type: CompareInput, description: 'An earlier range for previous, change and isNew.' }),
      metrics: t.arg({
        type: [RequestMetric],
        description: 'Metrics of columns and table. Default: those selected in rows, else REQUESTS.',
      }),
    },
    resolve: async (_root, { metrics, ...input }, context, info) => {
      const selected = selectionOf(info)
      const inRows = below(selected, 'rows')
      const rows = inRows && metricsIn(inRows)
      const wantsTable = selected.some(({ name }) => name === 'table' || name === 'columns')
      const shown = wantsTable ? tableMetrics(metrics, rows) : []
      const compared = inRows ? comparedIn(inRows) : []
      const part = (name: 'totals' | 'previousTotals' | 'others') => {
        const fields = below(selected, name)
        return fields && { [name]: metricsIn(fields) }
      }
      const selection: AnalyticsSelection = {
        ...(inRows || wantsTable ? { rows: [...(rows ?? []), ...compared, ...shown] } : {}),
        previous: [
          ...metricsIn(below(inRows ?? [], 'previous') ?? []),
          ...compared,
          ...(wantsTable && input.compareTo ? shown : []),
        ],
        ...part('totals'),
        ...part('previousTotals'),
        ...part('others'),
        totalGroups: [...selected, ...(below(selected, 'meta') ?? [])].some(
          ({ name }) => name === 'totalGroups' || name === 'truncated',
        ),
      }
      const answer = await context.analytics.requestAnalytics(
        { ...input, selection },
        askerOf(context, 'requestAnalytics'),
      )
      const columns = columnsOf({
        hasBuckets: Boolean(input.bucket),
        groupBy: input.groupBy,
        metrics: shown,
        isCompared: Boolean(input.compareTo),
      })
      return { ...answer, columns }
    },
  }),
)
