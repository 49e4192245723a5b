import { problem } from '../../http/index.ts'
import { isWithin, parsePrefix, type Prefix } from '../address.ts'
import { type Decision, originOf, prefixOfDecision, scopeOf, typeOf } from './decision.ts'

/** As Fastify reads a query: a name that comes twice has several values. */
export type Query = Readonly<Record<string, string | readonly string[] | undefined>>

export interface Filter {
  /** Equal for equal filters. */
  key: string
  /** Of these alone; undefined: the address does not matter. */
  around: { prefix: Prefix; contains: boolean } | undefined
  matches: (decision: Decision) => boolean
}

/** CrowdSec reads the first of several, too. */
const first = (query: Query, name: string): string | undefined => {
  const value = query[name]
  return typeof value === 'string' ? value : value?.[0]
}

const words = (text: string | undefined): string[] | undefined => text?.split(',').map((word) => word.trim())

/** What Go's `strconv.ParseBool` takes. */
const BOOLEANS = new Map(
  Object.entries({ 1: true, t: true, T: true, TRUE: true, true: true, True: true }).concat(
    Object.entries({ 0: false, f: false, F: false, FALSE: false, false: false, False: false }),
  ),
)

/** @throws {Problem} 400 */
export const readBoolean = (query: Query, name: string): boolean | undefined => {
  const text = first(query, name)
  if (text === undefined) return undefined
  const value = BOOLEANS.get(text)
  if (value === undefined) throw problem(400, { detail: `${name} is "${text.slice(0, 50)}"; it takes true or false.` })
  return value
}

/** @throws {Problem} 400 */
export const readWhole = (query: Query, name: string): number | undefined => {
  const text = first(query, name)
  if (text === undefined) return undefined
  const value = Number(text)
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(value))
    throw problem(400, { detail: `${name} is "${text.slice(0, 50)}"; it takes a whole number from 0 on.` })
  return value
}

const readPrefix = (query: Query): Prefix | undefined => {
  for (const name of ['ip', 'range']) {
    const text = first(query, name)
    if (text === undefined) continue
    const prefix = parsePrefix(text)
    if (!prefix)
      throw problem(400, {
        detail: `${name} is "${text.slice(0, 50)}"; it takes an IPv4 or IPv6 address or a CIDR, such as 203.0.113.7 or 2001:db8::/32.`,
      })
    return prefix
  }
  return undefined
}

const covers = (outer: Prefix, inner: Prefix): boolean => outer.bits <= inner.bits && isWithin(inner.address, outer)

/** The same address however it is written. */
const canonical = (value: string): string => parsePrefix(value)?.cidr ?? value

/**
 * The filters of /v1/decisions and /v1/decisions/stream; names that are not among them do not matter, as with CrowdSec.
 * @param defaultScopes where the query names none
 * @throws {Problem} 400 with the name, what was given, and what is allowed
 */
export const readFilter = (query: Query, defaultScopes?: string): Filter => {
  const prefix = readPrefix(query)
  const contains = readBoolean(query, 'contains') ?? true
  const named = words((first(query, 'scopes') ?? first(query, 'scope') ?? defaultScopes)?.toLowerCase())
  // There are no others.
  const scopes = named?.includes('ip') && named.includes('range') ? undefined : named
  const given = first(query, 'value')
  const value = given === undefined ? undefined : canonical(given)
  const type = first(query, 'type')
  const origins = words(first(query, 'origins'))
  const containing = words(first(query, 'scenarios_containing')?.toLowerCase())
  const notContaining = words(first(query, 'scenarios_not_containing')?.toLowerCase())

  const byAddress = (decision: Decision): boolean => {
    const own = prefix && prefixOfDecision(decision)
    return !own || (contains ? covers(own, prefix) : covers(prefix, own))
  }
  const byScenario = ({ entry }: Decision): boolean => {
    if (!containing && !notContaining) return true
    const scenario = entry.reason.toLowerCase()
    const holdsOne = (some: readonly string[]) => some.some((word) => scenario.includes(word))
    return (!containing || holdsOne(containing)) && !(notContaining && holdsOne(notContaining))
  }
  return {
    key: JSON.stringify([
      prefix?.cidr,
      prefix && contains,
      scopes?.toSorted(),
      value,
      type,
      origins?.toSorted(),
      containing?.toSorted(),
      notContaining?.toSorted(),
    ]),
    around: prefix && { prefix, contains },
    matches: (decision) =>
      (value === undefined || decision.value === value) &&
      (type === undefined || typeOf(decision.entry) === type) &&
      (!scopes || scopes.includes(scopeOf(decision.value).toLowerCase())) &&
      (!origins || origins.includes(originOf(decision.entry))) &&
      byScenario(decision) &&
      byAddress(decision),
  }
}
