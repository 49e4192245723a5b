import type { DataSource as Source, Granularity, Spent, TimeRange } from '../../analytics/index.ts'
import { builder } from '../builder.ts'
import { Freshness, freshnessFor } from './freshness.ts'
import { GranularityEnum } from './inputs.ts'

export interface Meta {
  range: TimeRange
  previousRange?: TimeRange | undefined
  granularity?: Exclude<Granularity, 'AUTO'> | null
  timeZone: string
  truncated: boolean
  /** Absent: raw rows. */
  dataSource?: Source
  spent: Spent
}

export const DataSource = builder.enumType('DataSource', {
  description:
    'Which rows an answer was made of. Roll-ups give what raw rows give; late requests are in them once their hour is run again, which the job hourly does by itself.',
  values: {
    RAW: { description: 'The requests themselves.' },
    ROLLUP_HOURLY: {
      description: 'Hours that are closed from the hourly roll-ups, the rest from the requests themselves.',
    },
    ROLLUP_DAILY: { description: 'Whole days (UTC) from the daily roll-ups, the rest as with ROLLUP_HOURLY.' },
  },
} as const)

const at = (milliseconds: number | undefined): Date | null =>
  milliseconds === undefined ? null : new Date(milliseconds)

export const AnalyticsMeta = builder.objectRef<Meta>('AnalyticsMeta').implement({
  description: 'How an answer came about.',
  fields: (t) => ({
    queryId: t.id({
      description: 'Of the first statement, as the query log of the store knows it.',
      resolve: ({ spent }) => spent.queryId,
    }),
    from: t.field({
      type: 'DateTime',
      description: 'Beginning of the range.',
      resolve: ({ range }) => new Date(range.from),
    }),
    to: t.field({
      type: 'DateTime',
      description: 'End of the range; not in it.',
      resolve: ({ range }) => new Date(range.to),
    }),
    previousFrom: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'Beginning of the range compared with.',
      resolve: ({ previousRange }) => at(previousRange?.from),
    }),
    previousTo: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'End of the range compared with; not in it.',
      resolve: ({ previousRange }) => at(previousRange?.to),
    }),
    granularity: t.field({
      type: GranularityEnum,
      nullable: true,
      description: 'Of the buckets; null without buckets, or where their interval has no name.',
      resolve: ({ granularity }) => granularity ?? null,
    }),
    timezone: t.field({
      type: 'TimeZone',
      description: 'Whose clock was followed.',
      resolve: ({ timeZone }) => timeZone,
    }),
    source: t.field({
      type: DataSource,
      description: 'Which rows were read.',
      resolve: ({ dataSource }) => dataSource ?? 'RAW',
    }),
    truncated: t.exposeBoolean('truncated', {
      description: 'There are groups beyond those shown: see totalGroups, others, limit and offset.',
    }),
    rowsRead: t.field({
      type: 'SafeInt',
      description: 'Rows read from the store.',
      resolve: ({ spent }) => spent.rowsRead,
    }),
    bytesRead: t.field({
      type: 'SafeInt',
      description: 'Bytes read, unpacked.',
      resolve: ({ spent }) => spent.bytesRead,
    }),
    elapsedMs: t.float({
      description: 'Time that the statements took, added up.',
      resolve: ({ spent }) => Math.round(spent.elapsedMs * 1_000) / 1_000,
    }),
    cost: t.int({ description: 'Price of the whole operation in points.', resolve: (_meta, _args, { cost }) => cost }),
    freshness: t.field({
      type: Freshness,
      description: 'How far the store has got.',
      resolve: (_meta, _args, context) => freshnessFor(context),
    }),
    sql: t.string({
      nullable: true,
      authScopes: { scope: 'ADMIN' },
      description: 'The statements, without the values. Scope ADMIN.',
      resolve: ({ spent }) => spent.statements.join(';\n'),
    }),
  }),
})
