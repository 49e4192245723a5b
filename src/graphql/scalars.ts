import { GraphQLError, Kind, type ValueNode, valueFromASTUntyped } from 'graphql'

import {
  AnalyticsError,
  type Interval,
  INTERVAL_ALLOWED,
  isTimeZone,
  parseInterval,
  parseIp,
  parsePrefix,
} from '../analytics/index.ts'
import { builder } from './builder.ts'

const shown = (given: unknown): string => {
  const text = JSON.stringify(given) ?? String(given)
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}

const refuse = (scalar: string, given: unknown, allowed: string): never => {
  throw new GraphQLError(`${scalar} cannot be ${shown(given)}; allowed is ${allowed}`, {
    extensions: { code: 'BAD_USER_INPUT' },
  })
}

const DATE_TIME =
  "RFC 3339 with an offset ('2026-03-29T10:00:00Z'), a date ('2026-03-29', midnight UTC), or seconds or milliseconds since 1970"

/** Of seconds and milliseconds since 1970, what lies below is seconds (until 5138), above milliseconds (from 1973 on). */
const SECONDS_BELOW = 1e11

const fromEpoch = (given: number): Date | undefined => {
  const date = new Date(Math.abs(given) < SECONDS_BELOW ? given * 1_000 : given)
  return Number.isNaN(date.getTime()) ? undefined : date
}

const fromText = (given: string): Date | undefined => {
  if (/^-?\d{1,16}(?:\.\d+)?$/.test(given) && !/^\d{4}$/.test(given)) return fromEpoch(Number(given))
  const [, day, time, fraction, offset] =
    /^(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:?\d\d))?$/.exec(given) ?? []
  if (!day) return undefined
  const midnight = new Date(`${day}T00:00:00Z`)
  // Engines take 30 February for 2 March.
  if (Number.isNaN(midnight.getTime()) || midnight.toISOString().slice(0, 10) !== day) return undefined
  if (!time) return midnight
  const zone = offset!.toUpperCase().replace(/^([+-]\d\d)(\d\d)$/, '$1:$2')
  const date = new Date(
    `${day}T${time.length === 5 ? `${time}:00` : time}.${(fraction ?? '').slice(0, 3).padEnd(3, '0')}${zone}`,
  )
  return Number.isNaN(date.getTime()) ? undefined : date
}

const parseDateTime = (given: unknown): Date =>
  (typeof given === 'number' ? fromEpoch(given) : typeof given === 'string' ? fromText(given.trim()) : undefined) ??
  refuse('DateTime', given, DATE_TIME)

/** Literals stand in the document as nodes; a number there is its digits. */
const literal =
  <T>(parse: (given: unknown) => T) =>
  (node: ValueNode): T =>
    parse(
      node.kind === Kind.INT || node.kind === Kind.FLOAT
        ? Number(node.value)
        : node.kind === Kind.STRING
          ? node.value
          : valueFromASTUntyped(node),
    )

const text = (scalar: string, allowed: string, read: (given: string) => string | undefined) => (given: unknown) =>
  (typeof given === 'string' ? read(given.trim()) : undefined) ?? refuse(scalar, given, allowed)

const parseAddress = text('IPAddress', 'an IPv4 or IPv6 address', parseIp)
const parseCidr = text(
  'CIDR',
  'an address or a prefix such as 10.0.0.0/8 or 2001:db8::/32',
  (given) => parsePrefix(given)?.cidr,
)
const parseTimeZone = text('TimeZone', 'an IANA time zone such as Europe/Paris', (given) =>
  isTimeZone(given) ? given : undefined,
)

const parseIntervalInput = (given: unknown): Interval =>
  (typeof given === 'string' ? parseInterval(given.trim()) : undefined) ?? refuse('Interval', given, INTERVAL_ALLOWED)

const parseSafeInt = (given: unknown): number =>
  typeof given === 'number' && Number.isSafeInteger(given)
    ? given
    : refuse('SafeInt', given, 'a whole number from -(2^53 - 1) to 2^53 - 1')

builder.scalarType('DateTime', {
  description: `An instant. Out: RFC 3339 in UTC with milliseconds. In: ${DATE_TIME} (Grafana's \${__timeFrom} is milliseconds).`,
  serialize: (value) => value.toISOString(),
  parseValue: parseDateTime,
  parseLiteral: literal(parseDateTime),
})

builder.scalarType('IPAddress', {
  description: 'An IPv4 or IPv6 address; IPv6 compressed as in RFC 5952, IPv4 mapped into IPv6 as IPv4.',
  serialize: (value) => value,
  parseValue: parseAddress,
  parseLiteral: literal(parseAddress),
})

builder.scalarType('CIDR', {
  description: 'An address or a prefix, such as 10.0.0.0/8 or 2001:db8::/32. Host bits may be set and are cleared.',
  serialize: (value) => value,
  parseValue: parseCidr,
  parseLiteral: literal(parseCidr),
})

builder.scalarType('SafeInt', {
  description: 'A whole number as a JSON number, exact up to 2^53 - 1. A larger one is an error, never rounded.',
  serialize: (value) => {
    if (typeof value === 'number' && Number.isSafeInteger(value)) return value
    // Not a GraphQLError: the executor takes the code off those that come from here.
    throw new AnalyticsError(
      'LIMIT_EXCEEDED',
      `${value} is more than 2^53 - 1, the largest whole number that JSON holds`,
    )
  },
  parseValue: parseSafeInt,
  parseLiteral: literal(parseSafeInt),
})

builder.scalarType('TimeZone', {
  description: 'An IANA time zone, such as Europe/Paris.',
  serialize: (value) => value,
  parseValue: parseTimeZone,
  parseLiteral: literal(parseTimeZone),
})

builder.scalarType('Interval', {
  description: "A length of time: '30s', '5m', '1h', '7d', '1M' (Grafana's $__interval) or ISO 8601 'PT5M', 'P1D'.",
  serialize: (value) => value.text,
  parseValue: parseIntervalInput,
  parseLiteral: literal(parseIntervalInput),
})

builder.scalarType('JSON', {
  description: 'Any JSON value.',
  serialize: (value) => value,
})
