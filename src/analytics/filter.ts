import { join, param, type Sql, sql } from '../clickhouse/index.ts'
import { ipBytes, parseIp, parsePrefix, type Prefix, storedIp } from './address.ts'
import { dimensions, type RequestAction } from './dimensions.ts'
import { conflicting, invalid } from './errors.ts'
import { LIMITS } from './limits.ts'

type Maybe<T> = T | null | undefined

export interface StringFilter {
  eq?: Maybe<string>
  neq?: Maybe<string>
  in?: Maybe<readonly string[]>
  notIn?: Maybe<readonly string[]>
  like?: Maybe<string>
  notLike?: Maybe<string>
  startsWith?: Maybe<string>
  contains?: Maybe<string>
  matches?: Maybe<string>
  isNull?: Maybe<boolean>
}

export interface NumberFilter {
  eq?: Maybe<number>
  neq?: Maybe<number>
  in?: Maybe<readonly number[]>
  notIn?: Maybe<readonly number[]>
  gt?: Maybe<number>
  gte?: Maybe<number>
  lt?: Maybe<number>
  lte?: Maybe<number>
  isNull?: Maybe<boolean>
}

export interface IpFilter {
  eq?: Maybe<string>
  neq?: Maybe<string>
  /** Addresses and prefixes. */
  in?: Maybe<readonly string[]>
  notIn?: Maybe<readonly string[]>
}

export interface ActionFilter {
  eq?: Maybe<RequestAction>
  in?: Maybe<readonly RequestAction[]>
  notIn?: Maybe<readonly RequestAction[]>
}

const TEXT_FIELDS = {
  service: sql`service`,
  host: sql`host`,
  method: sql`method`,
  path: sql`path`,
  route: sql`route`,
  statusClass: dimensions.STATUS_CLASS.expression('UTC'),
  clientCountry: sql`country`,
  clientCity: sql`city`,
  userId: sql`user_id`,
  userAgent: sql`user_agent`,
  policyId: sql`policy_id`,
  traceId: sql`trace_id`,
}

/** NULL where the number is absent. */
const NUMBER_FIELDS = {
  statusCode: sql`status_code`,
  durationMs: sql`duration_ms`,
  requestBytes: sql`request_bytes`,
  responseBytes: sql`response_bytes`,
  clientAsn: sql`nullIf(asn, 0)`,
}

type TextField = keyof typeof TEXT_FIELDS
type NumberField = keyof typeof NUMBER_FIELDS

/**
 * Which requests are meant. Fields, and the operators of one field, hold together (AND). `not` is the exact complement.
 * Absent text counts as empty; an absent number fits only `neq`, `notIn` and `isNull`.
 * An empty `in` or `or` fits nothing, an empty `notIn` or `and` everything; null is as if it were not there.
 */
export type RequestFilter = { [field in TextField]?: Maybe<StringFilter> } & {
  [field in NumberField]?: Maybe<NumberFilter>
} & {
  and?: Maybe<readonly RequestFilter[]>
  or?: Maybe<readonly RequestFilter[]>
  not?: Maybe<RequestFilter>
  clientIp?: Maybe<IpFilter>
  action?: Maybe<ActionFilter>
}

export interface CompiledFilter {
  condition: Sql
  /** Regular expressions and where they stand: only the store can tell whether they are valid. */
  patterns: { argument: string; pattern: string }[]
  /** Fields that it looks at. */
  fields: ReadonlySet<string>
}

const not = (condition: Sql): Sql => sql`NOT (${condition})`
const all = (conditions: readonly Sql[]): Sql =>
  conditions.length === 0 ? sql`true` : sql`(${join(conditions, ' AND ')})`
const any = (conditions: readonly Sql[]): Sql =>
  conditions.length === 0 ? sql`false` : sql`(${join(conditions, ' OR ')})`

const checkText = (argument: string, text: string): string => {
  if (text.length > LIMITS.maxFilterTextLength)
    throw invalid(argument, `${text.length} characters`, `${LIMITS.maxFilterTextLength} characters at most`)
  return text
}

const checkList = <T>(argument: string, list: readonly T[]): readonly T[] => {
  if (list.length > LIMITS.maxFilterListLength)
    throw invalid(argument, `${list.length} values`, `${LIMITS.maxFilterListLength} values at most`)
  return list
}

/** In LIKE a backslash takes the meaning from `%`, `_` or itself; before anything else ClickHouse refuses it or guesses. */
const checkLike = (argument: string, pattern: string): string => {
  if (!/^(?:[^\\]|\\[\\%_])*$/s.test(checkText(argument, pattern)))
    throw invalid(argument, pattern, 'a LIKE pattern: % any text, _ one character, a backslash only before %, _ or \\')
  return pattern
}

type Operators<Filter> = {
  [operator in keyof Filter]-?: (of: Sql, value: NonNullable<Filter[operator]>, argument: string) => Sql
}

const texts = (argument: string, list: readonly string[]): readonly string[] =>
  checkList(argument, list).map((text, index) => checkText(`${argument}[${index}]`, text))

const TEXT: Omit<Operators<StringFilter>, 'matches'> = {
  eq: (of, value, argument) => sql`${of} = ${checkText(argument, value)}`,
  neq: (of, value, argument) => sql`${of} != ${checkText(argument, value)}`,
  in: (of, value, argument) => sql`${of} IN ${texts(argument, value)}`,
  notIn: (of, value, argument) => sql`${of} NOT IN ${texts(argument, value)}`,
  like: (of, value, argument) => sql`${of} LIKE ${checkLike(argument, value)}`,
  notLike: (of, value, argument) => sql`${of} NOT LIKE ${checkLike(argument, value)}`,
  startsWith: (of, value, argument) => sql`startsWith(${of}, ${checkText(argument, value)})`,
  contains: (of, value, argument) => sql`position(${of}, ${checkText(argument, value)}) > 0`,
  isNull: (of, value) => (value ? sql`${of} = ''` : sql`${of} != ''`),
}

const numbers = (argument: string, list: readonly number[]) => param('Array(Int64)', [...checkList(argument, list)])
/** Comparing with NULL gives NULL; here it is false, so that NOT makes it true. */
const known = (comparison: Sql): Sql => sql`ifNull(${comparison}, false)`

const NUMBER: Operators<NumberFilter> = {
  eq: (of, value) => known(sql`${of} = ${value}`),
  neq: (of, value) => not(known(sql`${of} = ${value}`)),
  in: (of, value, argument) => known(sql`${of} IN ${numbers(argument, value)}`),
  notIn: (of, value, argument) => not(known(sql`${of} IN ${numbers(argument, value)}`)),
  gt: (of, value) => known(sql`${of} > ${value}`),
  gte: (of, value) => known(sql`${of} >= ${value}`),
  lt: (of, value) => known(sql`${of} < ${value}`),
  lte: (of, value) => known(sql`${of} <= ${value}`),
  isNull: (of, value) => (value ? sql`${of} IS NULL` : sql`${of} IS NOT NULL`),
}

const compareIps = (a: string, b: string): number => Buffer.compare(ipBytes(a), ipBytes(b))

/**
 * One set lookup for each length of prefix, however long the list; the span of the whole list, which the sort key understands, comes first.
 */
const inPrefixes = (prefixes: readonly Prefix[]): Sql => {
  if (prefixes.length === 0) return sql`false`
  const byBits = Map.groupBy(prefixes, ({ bits }) => bits)
  const lookups = [...byBits].map(([bits, group]) => {
    const networks = param(
      'Array(IPv6)',
      group.map(({ first }) => first),
    )
    return bits === 128
      ? sql`ip IN ${networks}`
      : sql`tupleElement(IPv6CIDRToRange(ip, ${param('UInt8', bits)}), 1) IN ${networks}`
  })
  const first = prefixes.map((prefix) => prefix.first).reduce((a, b) => (compareIps(a, b) <= 0 ? a : b))
  const last = prefixes.map((prefix) => prefix.last).reduce((a, b) => (compareIps(a, b) >= 0 ? a : b))
  return sql`(ip BETWEEN ${param('IPv6', first)} AND ${param('IPv6', last)} AND ${any(lookups)})`
}

const ip = (argument: string, text: string) => {
  const address = parseIp(text)
  if (address === undefined) throw invalid(argument, text, 'an IPv4 or IPv6 address')
  return param('IPv6', storedIp(address))
}

const prefixes = (argument: string, list: readonly string[]): Prefix[] =>
  checkList(argument, list).map((text, index) => {
    const parsed = parsePrefix(text)
    if (!parsed)
      throw invalid(`${argument}[${index}]`, text, 'an address or a prefix such as 10.0.0.0/8 or 2001:db8::/32')
    return parsed.prefix
  })

const IP: Operators<IpFilter> = {
  eq: (of, value, argument) => sql`${of} = ${ip(argument, value)}`,
  neq: (of, value, argument) => sql`${of} != ${ip(argument, value)}`,
  in: (_of, value, argument) => inPrefixes(prefixes(argument, value)),
  notIn: (_of, value, argument) => not(inPrefixes(prefixes(argument, value))),
}

const ACTION: Operators<ActionFilter> = {
  eq: (of, value) => sql`${of} = ${value.toLowerCase()}`,
  in: (of, value) => sql`${of} IN ${value.map((action) => action.toLowerCase())}`,
  notIn: (of, value) => sql`${of} NOT IN ${value.map((action) => action.toLowerCase())}`,
}

type AnyOperators = Record<string, (of: Sql, value: never, argument: string) => Sql>

/**
 * @param argument where the filter stands, for messages
 * @throws {AnalyticsError} INVALID_ARGUMENT
 */
export const compileFilter = (filter: Maybe<RequestFilter>, argument = 'where'): CompiledFilter => {
  const patterns: CompiledFilter['patterns'] = []
  const fields = new Set<string>()
  let conditions = 0

  const field = (of: Sql, operators: AnyOperators, given: object, path: string): Sql =>
    all(
      Object.entries(given)
        .filter(([, value]) => value !== null && value !== undefined)
        .map(([operator, value]) => {
          if (++conditions > LIMITS.maxFilterConditions)
            throw conflicting(
              argument,
              `${argument} has more than ${LIMITS.maxFilterConditions} conditions; lists go into one in or notIn`,
            )
          const at = `${path}.${operator}`
          if (operator !== 'matches') return operators[operator]!(of, value as never, at)
          patterns.push({ argument: at, pattern: checkText(at, value) })
          return sql`match(${of}, ${value as string})`
        }),
    )

  const walk = (node: RequestFilter, path: string, depth: number): Sql => {
    if (depth > LIMITS.maxFilterDepth)
      throw conflicting(
        path,
        `${argument} nests and, or and not deeper than ${LIMITS.maxFilterDepth}; write it flatter`,
      )
    const nested = (name: 'and' | 'or') =>
      checkList(`${path}.${name}`, node[name]!).map((child, index) =>
        walk(child, `${path}.${name}[${index}]`, depth + 1),
      )
    return all(
      Object.entries(node)
        .filter(([, value]) => value !== null && value !== undefined)
        .map(([name, value]) => {
          const at = `${path}.${name}`
          if (name === 'and') return all(nested('and'))
          if (name === 'or') return any(nested('or'))
          if (name === 'not') return not(walk(value as RequestFilter, at, depth + 1))
          fields.add(name)
          if (name === 'clientIp') return field(sql`ip`, IP, value as object, at)
          if (name === 'action') return field(sql`CAST(action, 'String')`, ACTION, value as object, at)
          if (name in TEXT_FIELDS) return field(TEXT_FIELDS[name as TextField], TEXT, value as object, at)
          return field(NUMBER_FIELDS[name as NumberField], NUMBER, value as object, at)
        }),
    )
  }

  return { condition: filter ? walk(filter, argument, 0) : sql`true`, patterns, fields }
}
