import { param, type Sql, sql } from '../clickhouse/index.ts'
import { storedIp } from './address.ts'
import { type Cursor, decodeCursor, encodeCursor, type LogOrder, type Position } from './cursor.ts'
import { checkInteger, conflicting, invalid } from './errors.ts'
import { compileFilter, type RequestFilter } from './filter.ts'
import { LIMITS } from './limits.ts'
import { type LogField, logColumns, logOf, type RequestLog, STORED_DURATION, type StoredLog } from './log-row.ts'
import { type Asker, type Run, withPatterns } from './run.ts'
import { rowsOf, visibleTo, widening } from './scope.ts'
import { resolveTimeRange, type TimeRange, type TimeRangeInput } from './time-range.ts'

export interface RequestLogsInput {
  timeRange: TimeRangeInput
  where?: RequestFilter | null | undefined
  orderBy?: LogOrder | null | undefined
  first?: number | null | undefined
  after?: string | null | undefined
  last?: number | null | undefined
  before?: string | null | undefined
  /** What is read; other fields of the rows stay undefined. */
  fields: ReadonlySet<LogField>
  /** Of ours, beside what the asker gave: such as the evidence of a finding. */
  condition?: Sql | undefined
}

export interface RequestLogPage {
  edges: { cursor: string; node: RequestLog }[]
  hasNextPage: boolean
  hasPreviousPage: boolean
}

export interface LogQuery {
  range: TimeRange
  page: () => Promise<RequestLogPage>
  count: (mode: 'ESTIMATE' | 'EXACT') => Promise<number>
}

const DEFAULT_PAGE = 100

const moment = (timestamp: number) => new Date(timestamp)

const positionTuple = ({ timestamp, ip, batch, row }: Position): Sql =>
  sql`${moment(timestamp)}, ${param('IPv6', ip)}, ${batch}, ${param('UInt32', row)}`

const KEY = sql`timestamp, ip, batch, row`
const KEY_DESCENDING = sql`timestamp DESC, ip DESC, batch DESC, row DESC`

/** Which way a statement walks: an order read from its end is the opposite order. */
const walkOf = (order: LogOrder, backwards: boolean) => {
  const byDuration = order === 'DURATION_DESC'
  const descending = (order !== 'TIMESTAMP_ASC') !== backwards
  const key = byDuration ? sql`${STORED_DURATION}, ${KEY}` : KEY
  const orderBy = byDuration
    ? descending
      ? sql`${STORED_DURATION} DESC, ${KEY_DESCENDING}`
      : key
    : descending
      ? KEY_DESCENDING
      : KEY
  const beyond = (cursor: Cursor): Sql => {
    const place = byDuration
      ? sql`${param('Float32', cursor.duration)}, ${positionTuple(cursor)}`
      : positionTuple(cursor)
    return descending ? sql`(${key}) < (${place})` : sql`(${key}) > (${place})`
  }
  /** What is left of the range beyond the cursor, as far as time tells. */
  const rest = (range: TimeRange, cursor: Cursor | undefined): TimeRange => {
    if (!cursor || byDuration) return range
    return descending
      ? { from: range.from, to: Math.min(range.to, cursor.timestamp + 1) }
      : { from: Math.max(range.from, cursor.timestamp), to: range.to }
  }
  const pieces = (range: TimeRange): Iterable<TimeRange> =>
    range.from >= range.to ? [] : byDuration ? [range] : widening(range, descending ? 'newest' : 'oldest')
  return { orderBy, beyond, rest, pieces }
}

const cursorOf = (
  argument: 'after' | 'before',
  text: string | null | undefined,
  order: LogOrder,
): Cursor | undefined => {
  if (text === null || text === undefined) return undefined
  const cursor = decodeCursor(text)
  if (!cursor) throw invalid(argument, text, 'a cursor from an earlier answer, whole and unchanged')
  if (cursor.order !== order)
    throw conflicting(
      argument,
      `${argument} is a cursor of order ${cursor.order}, but orderBy is ${order}; a cursor goes on only in its own order`,
    )
  return cursor
}

const sizeOf = ({ first, last, after, before }: RequestLogsInput): { size: number; backwards: boolean } => {
  const backwards = (last ?? undefined) !== undefined
  if (backwards && (first ?? undefined) !== undefined)
    throw conflicting('last', 'first and last are both given; give first (with after) or last (with before)')
  if (backwards && after) throw conflicting('after', 'after goes with first; with last give before')
  if (before && !backwards) throw conflicting('before', 'before goes with last; with first give after')
  const [name, size] = backwards ? (['last', last!] as const) : (['first', first ?? DEFAULT_PAGE] as const)
  return { size: checkInteger(name, size, 1, LIMITS.maxPageSize), backwards }
}

/** Up to here every row is counted; above it one granule of 16. */
const EXACT_UP_TO = 2_000_000

/**
 * @throws {AnalyticsError} INVALID_ARGUMENT at once, others from `page` and `count`
 */
export const planLogs = (input: RequestLogsInput, asker: Asker, run: Run, now: number): LogQuery => {
  const range = resolveTimeRange('timeRange', input.timeRange, now)
  const where = compileFilter(input.where)
  const filter = input.condition ? { ...where, condition: sql`${where.condition} AND ${input.condition}` } : where
  const order = input.orderBy ?? 'TIMESTAMP_DESC'
  const { size, backwards } = sizeOf(input)
  const cursor = backwards ? cursorOf('before', input.before, order) : cursorOf('after', input.after, order)
  const walk = walkOf(order, backwards)

  const read = async (): Promise<StoredLog[]> => {
    const rows: StoredLog[] = []
    for (const piece of walk.pieces(walk.rest(range, cursor))) {
      const beyond = cursor ? sql` AND ${walk.beyond(cursor)}` : sql``
      const wanted = param('UInt32', size + 1 - rows.length)
      rows.push(
        ...(await run<StoredLog>(
          sql`SELECT ${logColumns(input.fields)} FROM request_logs WHERE ${rowsOf(piece, asker, filter.condition)}${beyond} ORDER BY ${walk.orderBy} LIMIT ${wanted}`,
        )),
      )
      if (rows.length > size) break
    }
    return rows
  }

  const page = () =>
    withPatterns(run, filter, async (): Promise<RequestLogPage> => {
      const rows = await read()
      const hasMore = rows.length > size
      const shown = rows.slice(0, size)
      if (backwards) shown.reverse()
      const edges = shown.map((stored) => {
        const node = logOf(stored, input.fields)
        return { cursor: encodeCursor({ order, ...node.position, duration: stored.key_duration }), node }
      })
      return {
        edges,
        hasNextPage: backwards ? cursor !== undefined : hasMore,
        hasPreviousPage: backwards ? hasMore : cursor !== undefined,
      }
    })

  const counted = async (sample: Sql): Promise<number> => {
    const [row] = await run<{ rows: string }>(
      sql`SELECT count() AS rows FROM request_logs ${sample} WHERE ${rowsOf(range, asker, filter.condition)}`,
    )
    return Number(row!.rows)
  }

  const count = (mode: 'ESTIMATE' | 'EXACT') =>
    withPatterns(run, filter, async () => {
      if (
        mode === 'EXACT' ||
        (await rowsToRead(run, sql`SELECT * FROM request_logs WHERE ${rowsOf(range, asker, filter.condition)}`)) <=
          EXACT_UP_TO
      )
        return counted(sql``)
      return 16 * (await counted(sql`PREWHERE intDiv(_part_offset, 8192) % 16 = 0`))
    })

  return { range, page, count }
}

/** What the sort key says must be read at most. */
export const rowsToRead = async (run: Run, rows: Sql): Promise<number> => {
  const parts = await run<{ rows: string }>(sql`EXPLAIN ESTIMATE SELECT count() FROM (${rows})`)
  return parts.reduce((sum, { rows }) => sum + Number(rows), 0)
}

const ALL_IN_PLACE = (position: Position): Sql => {
  const at = moment(position.timestamp)
  return sql`toStartOfHour(timestamp) = toStartOfHour(${at}) AND timestamp = ${at} AND ip = ${param('IPv6', storedIp(position.ip))} AND batch = ${position.batch} AND row = ${param('UInt32', position.row)}`
}

/** One row by its place: reads one granule. */
export const findLog = async (
  position: Position,
  fields: ReadonlySet<LogField>,
  asker: Asker,
  run: Run,
): Promise<RequestLog | undefined> => {
  const [stored] = await run<StoredLog>(
    sql`SELECT ${logColumns(fields)} FROM request_logs WHERE ${ALL_IN_PLACE(position)} AND ${visibleTo(asker)} LIMIT 1`,
  )
  return stored && logOf(stored, fields)
}
