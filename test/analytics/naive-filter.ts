import { ipBytes, storedIp } from '../../src/analytics/address.ts'
import type { LogRow } from '../support/request-logs.ts'

type Row = Required<LogRow>
export type Any = Record<string, unknown>

export const TEXTS: Record<string, (row: Row) => string> = {
  service: (row) => row.service,
  host: (row) => row.host,
  method: (row) => row.method,
  path: (row) => row.path,
  route: (row) => row.route,
  statusClass: (row) => `${String(row.status)[0]}xx`,
  clientCountry: (row) => row.country,
  clientCity: (row) => row.city,
  userId: (row) => row.userId,
  userAgent: (row) => row.userAgent,
  policyId: (row) => row.policyId,
  traceId: (row) => row.traceId,
}
export const NUMBERS: Record<string, (row: Row) => number | null> = {
  statusCode: (row) => row.status,
  durationMs: (row) => (row.durationMs === null ? null : Math.fround(row.durationMs)),
  requestBytes: (row) => (row.requestBytes === null ? null : Number(row.requestBytes)),
  responseBytes: (row) => row.responseBytes,
  clientAsn: (row) => row.asn || null,
}

/** LIKE by hand: `%` any text, `_` one character, a backslash makes either plain. */
const like = (text: string, pattern: string): boolean =>
  new RegExp(
    `^${pattern.replaceAll(
      /\\(.)|([%_])|([.*+?^${}()|[\]\\])/gsu,
      (_all, escaped: string | undefined, wild: string | undefined, special: string | undefined) =>
        escaped === undefined
          ? wild
            ? wild === '%'
              ? '.*'
              : '.'
            : `\\${special}`
          : escaped.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`),
    )}$`,
    'su',
  ).test(text)

const textHolds = (text: string, operator: string, value: unknown): boolean => {
  switch (operator) {
    case 'eq':
      return text === value
    case 'neq':
      return text !== value
    case 'in':
      return (value as string[]).includes(text)
    case 'notIn':
      return !(value as string[]).includes(text)
    case 'like':
      return like(text, value as string)
    case 'notLike':
      return !like(text, value as string)
    case 'startsWith':
      return text.startsWith(value as string)
    case 'contains':
      return text.includes(value as string)
    case 'isNull':
      return (text === '') === value
    default:
      return new RegExp(value as string, 'su').test(text)
  }
}

const numberHolds = (number: number | null, operator: string, value: unknown): boolean => {
  const than = value as number
  switch (operator) {
    case 'neq':
      return number !== than
    case 'notIn':
      return number === null || !(value as number[]).includes(number)
    case 'isNull':
      return (number === null) === value
    default:
      return (
        number !== null &&
        {
          eq: () => number === than,
          in: () => (value as number[]).includes(number),
          gt: () => number > than,
          gte: () => number >= than,
          lt: () => number < than,
          lte: () => number <= than,
        }[operator]!()
      )
  }
}

const known = new Map<string, string>()
const bitsOf = (ip: string): string => {
  const bits = known.get(ip) ?? [...ipBytes(storedIp(ip))].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  known.set(ip, bits)
  return bits
}
const inPrefix = (ip: string, text: string): boolean => {
  const [network, length] = text.split('/')
  const width = length === undefined ? 128 : Number(length) + (network!.includes(':') ? 0 : 96)
  return bitsOf(ip).slice(0, width) === bitsOf(network!).slice(0, width)
}

const ipHolds = (ip: string, operator: string, value: unknown): boolean =>
  ({
    eq: () => ip === value,
    neq: () => ip !== value,
    in: () => (value as string[]).some((text) => inPrefix(ip, text)),
    notIn: () => !(value as string[]).some((text) => inPrefix(ip, text)),
  })[operator]!()

/** The filter, by hand. */
export const holds = (row: Row, filter: Any): boolean =>
  Object.entries(filter).every(([name, value]) => {
    if (value === null || value === undefined) return true
    if (name === 'and') return (value as Any[]).every((inner) => holds(row, inner))
    if (name === 'or') return (value as Any[]).some((inner) => holds(row, inner))
    if (name === 'not') return !holds(row, value as Any)
    return Object.entries(value as Any).every(([operator, operand]) => {
      if (operand === null || operand === undefined) return true
      if (name === 'clientIp') return ipHolds(row.ip, operator, operand)
      if (name === 'action') return textHolds(row.action.toUpperCase(), operator, operand)
      return name in TEXTS
        ? textHolds(TEXTS[name]!(row), operator, operand)
        : numberHolds(NUMBERS[name]!(row), operator, operand)
    })
  })
