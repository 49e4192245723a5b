import type { Principal } from '../http/index.ts'
import { Fault, show } from './fault.ts'
import { FIELDS, SLOTS } from './fields.ts'
import type { Locate } from './locate.ts'
import { maskUrl } from './mask.ts'
import { ACTIONS, type Action, type RequestLog } from './request-log.ts'
import { parseTimestamp } from './timestamp.ts'

/** Characters. Far above what servers let through (8 KiB for the request line), since an overlong one is evidence. */
const LONGEST_TEXT = 65_536
const LONGEST_NAME = 1024
const LONGEST_METHOD = 64
const MOST_ATTRIBUTES = 128
const LONGEST_ATTRIBUTES = 65_536
const LARGEST_BYTES = Number.MAX_SAFE_INTEGER
/** Float32 ends at 3.4e38, but no request has lasted a year. */
const LONGEST_DURATION_MS = 31_536_000_000

/** As OpenTelemetry names a service that gives no name. */
const UNKNOWN_SERVICE = 'unknown_service'

export interface Validation {
  locate: Locate
  mask: (query: string) => string
  /** Epoch in ms: the time of arrival. */
  now: number
  /** Whose key it is: a key bound to services writes only those. */
  principal: Pick<Principal, 'services'>
  /** For rows that name none. */
  service?: string | undefined
}

const text = (field: string, value: unknown, longest: number): string => {
  if (value === undefined || value === null) return ''
  if (typeof value !== 'string') throw new Fault(field, `${field} is ${show(value)}; allowed is a string`)
  if (value.length > longest) throw new Fault(field, `${field} has ${value.length} characters; allowed are ${longest}`)
  return value
}

const amount = (field: string, value: unknown, largest: number): number | null => {
  if (value === undefined || value === null) return null
  if (typeof value === 'number' && value >= 0 && value <= largest) return value
  throw new Fault(field, `${field} is ${show(value)}; allowed is a number from 0 to ${largest}`)
}

const parseStatus = (value: unknown): number => {
  const status = typeof value === 'string' && /^\d{3}$/.test(value) ? Number(value) : value
  if (typeof status === 'number' && Number.isInteger(status) && status >= 100 && status <= 599) return status
  throw new Fault(
    'status',
    value === undefined ? 'status is missing' : `status is ${show(value)}; allowed is a whole number from 100 to 599`,
  )
}

const required = (field: string, value: unknown, longest: number): string => {
  if (value === undefined || value === null) throw new Fault(field, `${field} is missing`)
  if (value === '') throw new Fault(field, `${field} is empty`)
  return text(field, value, longest)
}

const parseService = (value: unknown, { principal, service: fallback }: Validation): string => {
  const bound = principal.services
  const given = text('service', value, LONGEST_NAME)
  const service = given || fallback || (bound?.length === 1 ? bound[0]! : UNKNOWN_SERVICE)
  if (bound === null || bound.includes(service)) return service
  throw new Fault('service', `service is ${show(service)}; this API key writes only ${bound.join(', ')}`)
}

const parseAction = (value: unknown): Action => {
  if (value === undefined || value === null || value === '') return 'allowed'
  const action = ACTIONS.find((each) => each === value)
  if (!action) throw new Fault('action', `action is ${show(value)}; allowed is ${ACTIONS.join(', ')}`)
  return action
}

/** Written as text piece by piece, so that a key such as `__proto__` is a key like any other. */
const parseAttributes = (value: unknown, unknown: readonly [string, unknown][]): string => {
  if (unknown.length === 0 && (value === undefined || value === null)) return ''
  if (value !== undefined && value !== null && (typeof value !== 'object' || Array.isArray(value))) {
    throw new Fault(
      'attributes',
      `attributes is ${show(value)}; allowed is a flat object of strings, numbers and booleans`,
    )
  }
  const pieces: string[] = []
  for (const [name, item] of Object.entries(value ?? {})) {
    if (item === null) continue
    if (typeof item === 'object') {
      throw new Fault(
        `attributes.${name.slice(0, LONGEST_METHOD)}`,
        `attributes.${name.slice(0, LONGEST_METHOD)} is ${show(item)}; allowed is a string, number or boolean`,
      )
    }
    pieces.push(`${JSON.stringify(name)}:${JSON.stringify(item)}`)
  }
  for (const [name, item] of unknown) {
    if (item === null || item === undefined) continue
    try {
      // What has no place of its own and is not flat is kept as its JSON text.
      pieces.push(`${JSON.stringify(name)}:${JSON.stringify(typeof item === 'object' ? JSON.stringify(item) : item)}`)
    } catch {
      throw new Fault(name.slice(0, LONGEST_METHOD), `${name.slice(0, LONGEST_METHOD)} is nested too deeply`)
    }
  }
  if (pieces.length > MOST_ATTRIBUTES)
    throw new Fault('attributes', `attributes has ${pieces.length} entries; allowed are ${MOST_ATTRIBUTES}`)
  const all = pieces.length === 0 ? '' : `{${pieces.join(',')}}`
  if (all.length > LONGEST_ATTRIBUTES)
    throw new Fault('attributes', `attributes have ${all.length} characters; allowed are ${LONGEST_ATTRIBUTES}`)
  return all
}

const whole = (value: number | null): number | null => (value === null ? null : Math.round(value))

/** A `?query` is split off the path; one sent beside it is added. */
const splitTarget = (target: string, given: string): [path: string, query: string] => {
  const question = target.indexOf('?')
  const bare = given.startsWith('?') ? given.slice(1) : given
  if (question < 0) return [target, bare]
  const own = target.slice(question + 1)
  return [target.slice(0, question), own && bare && own !== bare ? `${own}&${bare}` : own || bare]
}

const slots: unknown[] = Array.from({ length: FIELDS.length })

const check = (raw: unknown, validation: Validation): RequestLog => {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    throw new Fault('', `the row is ${show(raw)}; allowed is an object`)
  }
  slots.fill(undefined)
  const unknown: [string, unknown][] = []
  for (const name in raw) {
    const value = (raw as Record<string, unknown>)[name]
    const slot = SLOTS.get(name)
    // The first of two names for the same field wins; the second is kept as an attribute.
    if (slot !== undefined && slots[slot] === undefined) slots[slot] = value
    else unknown.push([name, value])
  }
  const ip = slots[1]
  const located = typeof ip === 'string' ? validation.locate(ip) : undefined
  if (located === undefined) {
    throw new Fault(
      'ip',
      ip === undefined ? 'ip is missing' : `ip is ${show(ip)}; allowed is an IPv4 or IPv6 address without port or zone`,
    )
  }
  const [path, query] = splitTarget(required('path', slots[3], LONGEST_TEXT), text('query', slots[8], LONGEST_TEXT))
  return {
    timestamp: slots[0] === undefined || slots[0] === null ? validation.now : parseTimestamp(slots[0], validation.now),
    located,
    method: required('method', slots[2], LONGEST_METHOD),
    path,
    status: parseStatus(slots[4]),
    service: parseService(slots[5], validation),
    host: text('host', slots[6], LONGEST_NAME),
    route: text('route', slots[7], LONGEST_NAME),
    query: query === '' ? '' : validation.mask(query),
    protocol: text('protocol', slots[9], LONGEST_NAME),
    userAgent: text('userAgent', slots[10], LONGEST_TEXT),
    referer: maskUrl(text('referer', slots[11], LONGEST_TEXT), validation.mask),
    userId: text('userId', slots[12], LONGEST_NAME),
    traceId: text('traceId', slots[13], LONGEST_NAME),
    durationMs: amount('durationMs', slots[14], LONGEST_DURATION_MS),
    requestBytes: whole(amount('requestBytes', slots[15], LARGEST_BYTES)),
    responseBytes: whole(amount('responseBytes', slots[16], LARGEST_BYTES)),
    action: parseAction(slots[17]),
    policyId: text('policyId', slots[18], LONGEST_NAME),
    attributes: parseAttributes(slots[19], unknown),
  }
}

/** A row as a client sent it, under any of its names → a request log, or the first thing wrong with it. */
export const validate = (raw: unknown, validation: Validation): RequestLog | Fault => {
  try {
    if (raw instanceof Fault) return raw
    return check(raw, validation)
  } catch (fault) {
    if (fault instanceof Fault) return fault
    throw fault
  }
}
