import { type DimensionValueCount, LIMITS, type QueryEstimate as Estimate } from '../../analytics/index.ts'
import { builder } from '../builder.ts'
import { askerOf } from '../context.ts'
import { DataSource } from './meta.ts'
import { RequestDimension, RequestFilter, TimeRangeInput } from './inputs.ts'

const DimensionValue = builder.objectRef<DimensionValueCount>('DimensionValue').implement({
  description: 'A value that occurs.',
  fields: (t) => ({
    value: t.exposeString('value', { description: 'As filters take it.' }),
    label: t.exposeString('label', {
      description: 'As people read it: a country by its name, a network with who runs it.',
    }),
    requests: t.expose('requests', { type: 'SafeInt', description: 'Requests that have it.' }),
  }),
})

builder.queryField('dimensionValues', (t) =>
  t.field({
    type: [DimensionValue],
    authScopes: { scope: 'ANALYTICS_READ' },
    description:
      'The values of a dimension that occur, most requests first, for drop-down lists. Unknown ones are left out. Scope ANALYTICS_READ.',
    args: {
      dimension: t.arg({ type: RequestDimension, required: true, description: 'Whose values.' }),
      timeRange: t.arg({ type: TimeRangeInput, required: true, description: 'Of which requests.' }),
      timezone: t.arg({ type: 'TimeZone', description: 'Whose clock hours and days follow. Default UTC.' }),
      where: t.arg({ type: RequestFilter, description: 'Of which of them.' }),
      search: t.arg.string({ description: 'Text that the value or its label holds; case does not count.' }),
      limit: t.arg.int({ defaultValue: 100, description: '1,000 at most.' }),
    },
    resolve: (_root, input, context) => context.analytics.dimensionValues(input, askerOf(context, 'dimensionValues')),
  }),
)

const QueryEstimate = builder.objectRef<Estimate>('QueryEstimate').implement({
  description: 'What a question would take.',
  fields: (t) => ({
    allowed: t.exposeBoolean('allowed', { description: 'Whether it would be answered.' }),
    reasons: t.exposeStringList('reasons', { description: 'Why not, and the way out.' }),
    rowsToRead: t.expose('rowsToRead', {
      type: 'SafeInt',
      description: `Rows to read at most; ${LIMITS.maxRowsToRead} are allowed.`,
    }),
    source: t.field({
      type: DataSource,
      description: 'Which rows it would read, for counts; estimates and quantiles may need others.',
      resolve: ({ source }) => source,
    }),
  }),
})

builder.queryField('estimate', (t) =>
  t.field({
    type: QueryEstimate,
    authScopes: { scope: 'ANALYTICS_READ' },
    description: 'What a question would read, by the index alone: it is not run. Scope ANALYTICS_READ.',
    args: {
      timeRange: t.arg({ type: TimeRangeInput, required: true, description: 'Which requests.' }),
      groupBy: t.arg({
        type: [RequestDimension],
        required: true,
        defaultValue: [],
        description: 'As in requestAnalytics.',
      }),
      where: t.arg({ type: RequestFilter, description: 'Which of them.' }),
    },
    resolve: (_root, input, context) => context.analytics.estimate(input, askerOf(context, 'estimate')),
  }),
)
