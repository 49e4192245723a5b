import { bind, join, param, raw, type Sql, sql } from '../../clickhouse/index.ts'
import { type Aggregates, parseAggregates, qualify } from '../files/aggregates.ts'
import { withoutComments } from '../files/tokens.ts'
import { patternToRegExp } from '../../ratelimit/index.ts'
import type { Detector } from '../types.ts'
import { addressRange } from './address-range.ts'
import { relations, type View } from './relations.ts'

const parsed = (detector: Detector): Aggregates => {
  const aggregates = parseAggregates(detector.sql)
  if (typeof aggregates === 'string') throw new TypeError(`${detector.path}: ${aggregates}`)
  return aggregates
}

/** Rows that exceptions by path take away from a detector. */
const exceptedRows = ({ exceptions }: Detector): Sql | undefined => {
  const rows = exceptions.flatMap(({ cidr, pathPattern }) => {
    if (pathPattern === null) return []
    const path = sql`match(path, ${patternToRegExp(pathPattern)})`
    return [cidr === null ? path : sql`(${path} AND ${addressRange(sql`ip`, cidr)})`]
  })
  return rows.length > 0 ? join(rows, ' OR ') : undefined
}

/** The row expressions of a detector of the shared pass under names of its own. */
const columnsOf = (detector: Detector, prefix: string): Sql[] => {
  const excepted = exceptedRows(detector)
  return qualify(parsed(detector), prefix).columns.map(({ name, expression }) => {
    const bound = bind(expression, detector.values)
    return excepted && name === `${prefix}__evidence`
      ? sql`((${bound}) AND NOT (${excepted})) AS ${raw(name)}`
      : sql`(${bound}) AS ${raw(name)}`
  })
}

/**
 * The one pass over the hour: a row {address, detector, observed, threshold, details} for each address and detector that found something.
 * @param byHour over several hours at once: each row also has `hour`, in seconds since 1970
 */
export const passSql = (
  detectors: readonly Detector[],
  view: View,
  { byHour = false }: { byHour?: boolean } = {},
): Sql => {
  const columns: Sql[] = []
  const results: Sql[] = []
  const findings: Sql[] = []
  for (const detector of detectors) {
    const { id, values } = detector
    const aggregates = qualify(parsed(detector), id)
    columns.push(...columnsOf(detector, id))
    results.push(...aggregates.results.map(({ name, expression }) => sql`${bind(expression, values)} AS ${raw(name)}`))
    const name = (part: string): Sql => raw(`${id}__${part}`)
    const holds = sql`${name('observed')} >= ${name('threshold')}${aggregates.condition ? sql` AND (${bind(aggregates.condition, values)})` : sql``}`
    const details = aggregates.results
      .filter((result) => !/__(?:observed|threshold)$/.test(result.name))
      .map((result) => sql`${result.name.slice(id.length + 2)}, toString(${raw(result.name)})`)
    const flagged = sql`ifNull(${holds}, false)`
    findings.push(
      sql`(${param('String', id)}, ifNull(toFloat64(${name('observed')}), 0), ifNull(toFloat64(${name('threshold')}), 0), if(${flagged}, ${details.length > 0 ? sql`toJSONString(map(${join(details)}))` : sql`'{}'`}, '{}'), ${flagged})`,
    )
  }
  const withs = columns.length > 0 ? sql`WITH ${join(columns)} ` : sql``
  const hour = byHour ? sql`toUnixTimestamp(toStartOfHour(timestamp)) AS hour, ` : sql``
  const keys = byHour ? sql`hour, address` : sql`address`
  return sql`WITH ${relations(view, 'requests')} SELECT ${keys}, tupleElement(finding, 1) AS detector, tupleElement(finding, 2) AS observed, tupleElement(finding, 3) AS threshold, tupleElement(finding, 4) AS details FROM (${withs}SELECT ${hour}address, ${join(results)} FROM requests GROUP BY ${keys}) ARRAY JOIN arrayFilter(f -> tupleElement(f, 5), [${join(findings)}]) AS finding`
}

/** A detector with a statement of its own: rows {address, observed, threshold, …}, whose other columns are details. */
export const statementSql = (detector: Detector, view: View): Sql => {
  const body = withoutComments(detector.sql).replace(/;\s*$/, '')
  const own = bind(body, { ...detector.values, ...instantsOf(view) })
  // A WITH of its own goes on where ours ends.
  const clause = relations(view, body, exceptedRows(detector))
  const inner = /^WITH\b/i.test(body)
    ? sql`WITH ${clause}, ${bind(body.replace(/^WITH\b/i, ''), { ...detector.values, ...instantsOf(view) })}`
    : sql`WITH ${clause} ${own}`
  return sql`SELECT * FROM (${inner}) WHERE observed >= threshold`
}

const instantsOf = ({ hour, from, to }: View) => ({
  hour: Math.floor(hour.getTime() / 1_000),
  from: Math.floor(from.getTime() / 1_000),
  to: Math.floor(to.getTime() / 1_000),
})

/** A row for each address, detector and target of evidence: of probes for all addresses, else of those in `addresses`. */
export const evidenceSql = (detectors: readonly Detector[], view: View, which: Sql): Sql => {
  const columns = detectors.flatMap((detector) =>
    detector.stage === 'requests' && detector.evidence !== ''
      ? columnsOf(detector, detector.id)
      : [
          sql`(${bind(detector.evidence === '' ? 'true' : detector.evidence, { ...detector.values, ...instantsOf(view) })}) AS ${raw(`${detector.id}__evidence`)}`,
        ],
  )
  const kinds = join(
    detectors.map(({ id }) => sql`if(ifNull(${raw(`${id}__evidence`)}, false), ${param('String', id)}, '')`),
  )
  return sql`WITH ${relations(view, 'requests')}, ${join(columns)} SELECT address, kind, substringUTF8(path, 1, 200) AS target, count() AS requests, min(timestamp) AS first_seen, max(timestamp) AS last_seen FROM requests ARRAY JOIN arrayFilter(k -> k != '', [${kinds}]) AS kind WHERE ${which} GROUP BY address, kind, target`
}

/** The rows of an address that prove a finding, by their ids (batch, row). */
export const evidenceRowsSql = (detector: Detector, view: View, address: string): Sql => {
  const columns = detector.stage === 'requests' && detector.evidence !== '' ? columnsOf(detector, detector.id) : []
  const withs = sql`WITH ${join([relations(view, 'requests'), ...columns])}`
  const evidence =
    detector.evidence === ''
      ? sql`true`
      : detector.stage === 'requests'
        ? raw(`${detector.id}__evidence`)
        : bind(detector.evidence, { ...detector.values, ...instantsOf(view) })
  return sql`${withs} SELECT batch, row FROM requests WHERE ${addressRange(sql`ip`, address)} AND ${evidence}`
}
