import { ident, join, type Sql, sql } from '../clickhouse/index.ts'
import { type MetricRef, metricSql, quantiles } from './metrics.ts'
import type { Piece, RolledUp } from './pick-source.ts'
import { mergedQuantiles, rolledUpMetricSql } from './rollup-metrics.ts'
import type { Asker } from './run.ts'
import { rowsOf, visibleTo } from './scope.ts'
import type { TimeRange } from './time-range.ts'

/** Rows to aggregate, and how metrics are made of them. */
export interface RowSource {
  /** SELECT of the rows of a range: `timestamp` and what dimensions need. */
  rows: (range: TimeRange, period: 'current' | 'previous', asker: Asker, condition: Sql) => Sql
  metric: (ref: MetricRef, when?: Sql) => Sql
  quantiles: (levels: readonly number[], when?: Sql) => Sql
}

const RAW: RowSource = {
  rows: (range, _period, asker, condition) => sql`SELECT * FROM request_logs WHERE ${rowsOf(range, asker, condition)}`,
  metric: metricSql,
  quantiles,
}

/** A request as a row of a roll-up that stands for it alone. */
const MEASURES: Record<string, Sql> = {
  requests: sql`1`,
  client_errors: sql`status_code BETWEEN 400 AND 499`,
  server_errors: sql`status_code >= 500`,
  limited: sql`action = 'rate_limited'`,
  blocked: sql`action = 'blocked'`,
  request_bytes: sql`ifNull(r.request_bytes, 0)`,
  response_bytes: sql`ifNull(r.response_bytes, 0)`,
  durations: sql`duration_ms IS NOT NULL`,
  duration_us: sql`toUInt64(round(ifNull(duration_ms, 0) * 1000))`,
  duration_max: sql`duration_ms`,
}

const SKETCHES: Record<string, Sql> = {
  duration_sketch: sql`quantilesDDStateIf(0.005, 0.5)(assumeNotNull(duration_ms), duration_ms IS NOT NULL)`,
  ip_sketch: sql`uniqCombinedState(ip)`,
  path_sketch: sql`uniqCombinedState(path)`,
  user_agent_sketch: sql`uniqCombinedStateIf(toString(user_agent), user_agent != '')`,
}

/** A measure of several requests. */
const total = (name: string): Sql =>
  SKETCHES[name] ?? (name === 'duration_max' ? sql`max(${MEASURES[name]!})` : sql`sum(${MEASURES[name]!})`)

/** Raw rows with the columns of the roll-up; where it has sketches, made to such of an hour, since one for each request is dear. */
const rawRows = ({ table, measures }: RolledUp, where: Sql): Sql => {
  const columns = join(table.columns.map(ident))
  const rows = sql`(SELECT * FROM request_logs WHERE ${where}) AS r`
  const named = (of: (name: string) => Sql) => join(measures.map((name) => sql`${of(name)} AS ${ident(name)}`))
  if (!table.hasSketches) return sql`SELECT timestamp, ${columns}, ${named((name) => MEASURES[name]!)} FROM ${rows}`
  return sql`SELECT toStartOfHour(r.timestamp) AS timestamp, ${columns}, ${named(total)} FROM ${rows} GROUP BY toStartOfHour(r.timestamp), ${columns}`
}

const rolledUpRows = ({ table, measures }: RolledUp, piece: Piece, asker: Asker, condition: Sql): Sql => {
  const isDays = piece.rows === 'days'
  const columns = join([...table.columns, ...measures].map(ident))
  const [first, end] = [new Date(piece.from), new Date(piece.to)]
  const [time, within] = isDays
    ? [sql`toDateTime(day)`, sql`day >= toDate(${first}) AND day < toDate(${end})`]
    : [sql`hour`, sql`hour >= ${first} AND hour < ${end}`]
  return sql`SELECT ${time} AS timestamp, ${columns} FROM ${ident(isDays ? table.days! : table.hours)} WHERE ${join([within, visibleTo(asker), condition], ' AND ')}`
}

/** One SELECT for all raw pieces and one for each other: each costs the store some milliseconds to plan. */
const pieceRows = (picked: RolledUp, pieces: readonly Piece[], asker: Asker, condition: Sql): Sql => {
  const edges = pieces.filter(({ rows }) => rows === 'raw').map((piece) => sql`(${rowsOf(piece, asker, condition)})`)
  return join(
    [
      ...(edges.length > 0 ? [rawRows(picked, join(edges, ' OR '))] : []),
      ...pieces.filter(({ rows }) => rows !== 'raw').map((piece) => rolledUpRows(picked, piece, asker, condition)),
    ],
    ' UNION ALL ',
  )
}

/** Undefined: raw rows. */
export const rowSource = (picked: RolledUp | undefined): RowSource =>
  picked
    ? {
        rows: (_range, period, asker, condition) => pieceRows(picked, picked[period], asker, condition),
        metric: rolledUpMetricSql,
        quantiles: mergedQuantiles,
      }
    : RAW
