import { join, param, raw, type Sql, sql } from '../clickhouse/index.ts'
import { type MetricRef, quantileLevel } from './metrics.ts'

/** An aggregate over rows that each stand for several requests, or over those of them where the condition holds. */
const aggregate = (name: 'sum' | 'max' | 'uniqCombinedMerge', of: Sql, when: Sql | undefined): Sql =>
  when ? sql`${raw(`${name}If`)}(${of}, ${when})` : sql`${raw(name)}(${of})`

const rate = (of: Sql, when: Sql | undefined): Sql =>
  sql`${aggregate('sum', of, when)} / ${aggregate('sum', sql`requests`, when)}`

/** As `quantiles` of raw rows: the sketches have the same error, and merging them adds none. */
export const mergedQuantiles = (levels: readonly number[], when: Sql | undefined): Sql => {
  const parameters = join(levels.map((level) => sql`${param('Float64', level)}`))
  return when
    ? sql`quantilesDDMergeIf(0.005, ${parameters})(duration_sketch, ${when})`
    : sql`quantilesDDMerge(0.005, ${parameters})(duration_sketch)`
}

/** What `metricSql` says of raw rows, of rows of a roll-up. @param when leaves out the other period's rows */
export const rolledUpMetricSql = (ref: MetricRef, when?: Sql): Sql => {
  const level = quantileLevel(ref)
  if (level !== undefined) return sql`${mergedQuantiles([level], when)}[1]`
  switch (ref.field) {
    case 'requests':
      return aggregate('sum', sql`requests`, when)
    case 'errors':
      return aggregate('sum', sql`client_errors + server_errors`, when)
    case 'errorRate':
      return rate(sql`client_errors + server_errors`, when)
    case 'clientErrorRate':
      return rate(sql`client_errors`, when)
    case 'serverErrorRate':
      return rate(sql`server_errors`, when)
    case 'limited':
      return aggregate('sum', sql`limited`, when)
    case 'limitedRate':
      return rate(sql`limited`, when)
    case 'blocked':
      return aggregate('sum', sql`blocked`, when)
    case 'requestBytes':
      return aggregate('sum', sql`request_bytes`, when)
    case 'responseBytes':
      return aggregate('sum', sql`response_bytes`, when)
    case 'durationMsAvg':
      return sql`${aggregate('sum', sql`duration_us`, when)} / 1000 / nullIf(${aggregate('sum', sql`durations`, when)}, 0)`
    case 'durationMsMax':
      return aggregate('max', sql`duration_max`, when)
    case 'uniqClientIps':
      return aggregate('uniqCombinedMerge', sql`ip_sketch`, when)
    case 'uniqPaths':
      return aggregate('uniqCombinedMerge', sql`path_sketch`, when)
    case 'uniqUserAgents':
      return aggregate('uniqCombinedMerge', sql`user_agent_sketch`, when)
    default:
      throw new TypeError(`${ref.field} is in no roll-up`)
  }
}
