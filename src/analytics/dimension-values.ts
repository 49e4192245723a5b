import { param, type Sql, sql } from '../clickhouse/index.ts'
import { countryName } from '../geo/index.ts'
import { type Dimension, dimensions } from './dimensions.ts'
import { checkInteger, invalid } from './errors.ts'
import { compileFilter, type RequestFilter } from './filter.ts'
import { toInteger } from './log-row.ts'
import { type Asker, type Run, withPatterns } from './run.ts'
import { rowsOf } from './scope.ts'
import { resolveTimeRange, type TimeRangeInput } from './time-range.ts'
import { isTimeZone, createZone } from './time-zone.ts'

export interface DimensionValuesInput {
  dimension: Dimension
  timeRange: TimeRangeInput
  timezone?: string | null | undefined
  where?: RequestFilter | null | undefined
  /** Text that the value or its label holds, whatever the case. */
  search?: string | null | undefined
  limit?: number | null | undefined
}

export interface DimensionValueCount {
  /** As filters take it. */
  value: string
  /** As people read it. */
  label: string
  requests: number | bigint
}

const DAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday']
const LETTERS = Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZ')
const COUNTRIES = LETTERS.flatMap((a) => LETTERS.map((b) => a + b)).filter((code) => countryName(code) !== '')

const labelOf = (dimension: Dimension, value: string, organization: string): string => {
  switch (dimension) {
    case 'CLIENT_COUNTRY':
      return countryName(value) || value
    case 'CLIENT_ASN':
      return organization ? `AS${value} ${organization}` : `AS${value}`
    case 'HOUR_OF_DAY':
      return `${value.padStart(2, '0')}:00`
    case 'DAY_OF_WEEK':
      return DAYS[Number(value) - 1]!
    default:
      return value
  }
}

/** Values whose labels are made here, and not in the store, that hold the text. */
const labelled = (dimension: Dimension, search: string): string[] => {
  const values =
    dimension === 'CLIENT_COUNTRY'
      ? COUNTRIES
      : dimension === 'DAY_OF_WEEK'
        ? DAYS.map((_, index) => String(index + 1))
        : []
  return values.filter((value) => labelOf(dimension, value, '').toLowerCase().includes(search.toLowerCase()))
}

const searchSql = (dimension: Dimension, search: string): Sql => {
  const inText = (text: Sql) => sql`positionCaseInsensitiveUTF8(${text}, ${search}) > 0`
  const shown =
    dimension === 'CLIENT_IP' || dimension === 'CLIENT_SUBNET'
      ? sql`replaceOne(toString(value), '::ffff:', '')`
      : sql`toString(value)`
  const organization = dimension === 'CLIENT_ASN' ? sql` OR ${inText(sql`organization`)}` : sql``
  return sql`${inText(shown)} OR toString(value) IN ${labelled(dimension, search)}${organization}`
}

/**
 * The values that occur, most requests first; unknown ones are left out.
 * @throws {AnalyticsError}
 */
export const findDimensionValues = (
  input: DimensionValuesInput,
  asker: Asker,
  run: Run,
  now: number,
): Promise<DimensionValueCount[]> => {
  const { dimension } = input
  const range = resolveTimeRange('timeRange', input.timeRange, now)
  const timezone = input.timezone ?? 'UTC'
  if (!isTimeZone(timezone)) throw invalid('timezone', timezone, 'an IANA time zone such as Europe/Paris')
  const filter = compileFilter(input.where)
  const limit = checkInteger('limit', input.limit ?? 100, 1, 1_000)
  if ((input.search?.length ?? 0) > 200)
    throw invalid('search', `${input.search!.length} characters`, '200 characters at most')
  const { expression, shown } = dimensions[dimension]
  const organization = dimension === 'CLIENT_ASN' ? sql`anyLast(as_organization)` : sql`''`
  const search = input.search ? sql`AND (${searchSql(dimension, input.search)})` : sql``
  const statement = sql`SELECT value, organization, requests FROM (SELECT ${expression(createZone(timezone).canonical)} AS value, ${organization} AS organization, count() AS requests FROM request_logs WHERE ${rowsOf(range, asker, filter.condition)} GROUP BY value) WHERE ${KNOWN[dimension] ?? sql`value != ''`} ${search} ORDER BY requests DESC, value LIMIT ${param('UInt32', limit)}`
  return withPatterns(run, filter, async () => {
    const rows = await run<{ value: string | number; organization: string; requests: string }>(statement)
    return rows.map((row) => {
      const value = String(shown(row.value))
      return { value, label: labelOf(dimension, value, row.organization), requests: toInteger(row.requests) }
    })
  })
}

/** What is not text is known when it is there at all; the number of a network is 0 where it is not known. */
const KNOWN: Partial<Record<Dimension, Sql>> = {
  STATUS_CODE: sql`true`,
  CLIENT_IP: sql`true`,
  CLIENT_SUBNET: sql`true`,
  CLIENT_ASN: sql`value != 0`,
  HOUR_OF_DAY: sql`true`,
  DAY_OF_WEEK: sql`true`,
}
