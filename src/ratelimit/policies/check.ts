import { METHODS } from 'node:http'

import { StoreError } from '../../store/index.ts'
import { parsePattern } from './pattern.ts'
import {
  type PolicyValues,
  RATE_LIMIT_ALGORITHMS,
  RATE_LIMIT_KEYS,
  RATE_LIMIT_MODES,
  RATE_LIMIT_ON_ERROR,
} from './types.ts'

/** What nobody has looked at yet, such as a request's or a file's. */
export type GivenPolicy = { readonly [Field in keyof PolicyValues]?: unknown }

/** What a new policy is where it does not say: one that denies nothing yet. */
const DEFAULTS = {
  service: '*',
  pathPattern: '/*',
  methods: [],
  key: 'IP',
  authenticatedLimit: null,
  algorithm: 'FIXED_WINDOW',
  blockSeconds: 0,
  mode: 'SHADOW',
  onError: 'ALLOW',
} as const satisfies Partial<PolicyValues>

const MOST_REQUESTS = 1_000_000
const LONGEST_WINDOW_SECONDS = 86_400
/** 24 days: rate-limiter-flexible keeps it by a timer of Node's, which ends at 2^31 ms. */
const LONGEST_BLOCK_SECONDS = 2_073_600
const MOST_METHODS = 20
const LONGEST_SHOWN = 100

/** HTTP's methods that this Node can read: any other never gets here. */
const KNOWN_METHODS: ReadonlySet<string> = new Set(METHODS)

type Field = keyof PolicyValues

/** What was given, as a message shows it. */
export const show = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text
}

const refuse = (field: Field, value: unknown, allowed: string): never => {
  const given = value === undefined ? 'missing' : show(value)
  throw new StoreError('INVALID', `${field} is ${given}; allowed is ${allowed}`, { field })
}

const text = (field: Field, value: unknown, longest: number): string =>
  typeof value === 'string' &&
  value !== '' &&
  value.length <= longest &&
  value.trim() === value &&
  !/\p{Cc}/u.test(value)
    ? value
    : refuse(field, value, `1 to ${longest} printable characters without blanks around them`)

const whole = (field: Field, value: unknown, min: number, max: number, or = ''): number =>
  typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
    ? value
    : refuse(field, value, `a whole number from ${min} to ${max}${or}`)

const choice = <T extends string>(field: Field, value: unknown, allowed: readonly T[]): T =>
  allowed.find((item) => item === value) ?? refuse(field, value, allowed.join(', '))

const checkMethods = (value: unknown): string[] => {
  const allowed = `a list of at most ${MOST_METHODS} HTTP methods such as GET and POST; an empty one is all`
  if (!Array.isArray(value) || value.length > MOST_METHODS) return refuse('methods', value, allowed)
  const methods = value.map((item: unknown) => (typeof item === 'string' ? item.toUpperCase() : ''))
  const wrong = methods.findIndex((method) => !KNOWN_METHODS.has(method))
  return wrong < 0 ? [...new Set(methods)] : refuse('methods', value[wrong], allowed)
}

const checkPattern = (value: unknown): string => {
  const pattern = typeof value === 'string' ? value : refuse('pathPattern', value, 'a path such as /login or /api/*')
  parsePattern(pattern)
  return pattern
}

/**
 * A whole policy from what was given; what was not is as for a new one (SHADOW, by address, everything).
 * @throws {StoreError} INVALID with the field, what was given and what is allowed
 */
export const checkPolicy = (given: GivenPolicy): PolicyValues => {
  const valueOf = (field: keyof typeof DEFAULTS): unknown =>
    given[field] === undefined ? DEFAULTS[field] : given[field]
  const authenticatedLimit = valueOf('authenticatedLimit')
  return {
    name: text('name', given.name, 100),
    service: text('service', valueOf('service'), 200),
    pathPattern: checkPattern(valueOf('pathPattern')),
    methods: checkMethods(valueOf('methods')),
    key: choice('key', valueOf('key'), RATE_LIMIT_KEYS),
    limit: whole('limit', given.limit, 1, MOST_REQUESTS),
    authenticatedLimit:
      authenticatedLimit === null
        ? null
        : whole('authenticatedLimit', authenticatedLimit, 1, MOST_REQUESTS, ', or null: limit holds for everybody'),
    windowSeconds: whole('windowSeconds', given.windowSeconds, 1, LONGEST_WINDOW_SECONDS),
    algorithm: choice('algorithm', valueOf('algorithm'), RATE_LIMIT_ALGORITHMS),
    blockSeconds: whole('blockSeconds', valueOf('blockSeconds'), 0, LONGEST_BLOCK_SECONDS),
    mode: choice('mode', valueOf('mode'), RATE_LIMIT_MODES),
    onError: choice('onError', valueOf('onError'), RATE_LIMIT_ON_ERROR),
  }
}

/** Every field of a policy but `id`, as the file and GraphQL name it. */
export const POLICY_FIELDS: readonly Field[] = Object.keys(
  checkPolicy({ name: 'any', limit: 1, windowSeconds: 1 }),
) as Field[]
