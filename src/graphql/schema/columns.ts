import {
  type AnalyticsRow,
  changeOf,
  type Dimension,
  dimensions,
  keyOf,
  type MetricRef,
  metrics,
} from '../../analytics/index.ts'
import { builder } from '../builder.ts'

/** A column of `table`, and how a row's cell is read. */
export interface Column {
  name: string
  kind: 'BUCKET' | 'DIMENSION' | 'METRIC' | 'COMPARISON'
  type: string
  unit: string | null
  description: string
  cell: (row: AnalyticsRow) => unknown
}

const ColumnKind = builder.enumType('ColumnKind', {
  description: 'What a column holds.',
  values: {
    BUCKET: { description: 'Beginning of a bucket.' },
    DIMENSION: { description: 'What is grouped by.' },
    METRIC: { description: 'What is measured.' },
    COMPARISON: { description: 'What was measured one period earlier, and its change.' },
  },
} as const)

export const ColumnType = builder.objectRef<Column>('Column').implement({
  description: 'A column of a table.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'As in rows.' }),
    kind: t.field({ type: ColumnKind, description: 'What it holds.', resolve: ({ kind }) => kind }),
    type: t.exposeString('type', { description: 'Scalar of its cells.' }),
    unit: t.exposeString('unit', { nullable: true, description: 'Of a metric.' }),
    description: t.exposeString('description', { nullable: true, description: 'In a sentence.' }),
  }),
})

const BUCKET: Column = {
  name: 'bucketStart',
  kind: 'BUCKET',
  type: 'DateTime',
  unit: null,
  description: 'Where the bucket begins.',
  cell: ({ bucket }) => bucket?.start.toISOString() ?? null,
}

const dimensionColumn = (dimension: Dimension): Column => {
  const { field, type, description } = dimensions[dimension]
  return { name: field, kind: 'DIMENSION', type, unit: null, description, cell: (row) => row.dimensions[field] ?? null }
}

/** A number that JSON cannot hold exactly goes out as text, which is what `table` has for it instead of an error. */
const cellOf = (value: number | bigint | null | undefined) =>
  typeof value === 'bigint' ? value.toString() : (value ?? null)

const metricColumns = (ref: MetricRef, isCompared: boolean): Column[] => {
  const key = keyOf(ref)
  const { unit, description, kind } = metrics[ref.field]
  const type = kind === 'count' && ref.field !== 'requestsPerSecond' ? 'SafeInt' : 'Float'
  const now: Column = { name: key, kind: 'METRIC', type, unit, description, cell: ({ values }) => cellOf(values[key]) }
  if (!isCompared) return [now]
  return [
    now,
    {
      ...now,
      name: `previous.${key}`,
      kind: 'COMPARISON',
      description: `One period earlier: ${description}`,
      cell: ({ previous }) => cellOf(previous?.[key]),
    },
    {
      name: `change.${key}`,
      kind: 'COMPARISON',
      type: 'Float',
      unit: 'ratio',
      description: `(now - previous) / previous: ${description}`,
      cell: ({ values, previous }) => changeOf(values[key], previous?.[key]),
    },
  ]
}

export const columnsOf = (asked: {
  hasBuckets: boolean
  groupBy: readonly Dimension[]
  metrics: readonly MetricRef[]
  isCompared: boolean
}): Column[] => {
  const refs = [...new Map(asked.metrics.map((ref) => [keyOf(ref), ref])).values()]
  return [
    ...(asked.hasBuckets ? [BUCKET] : []),
    ...asked.groupBy.map(dimensionColumn),
    ...refs.flatMap((ref) => metricColumns(ref, asked.isCompared)),
  ]
}

export const tableOf = (rows: readonly AnalyticsRow[], columns: readonly Column[]): unknown[][] =>
  rows.map((row) => columns.map(({ cell }) => cell(row)))
