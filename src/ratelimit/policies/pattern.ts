import { StoreError } from '../../store/index.ts'

/** A `pathPattern` as it was read. */
export interface PathPattern {
  /** Text of a literal segment; null: any one segment. */
  segments: readonly (string | null)[]
  /** Whether anything may follow, or nothing: a trailing `*`. */
  rest: boolean
}

const LONGEST = 1024
const ALLOWED =
  'whole segments such as /login, /users/:id or /users/*/orders (:name and * fill one segment) and a * at the end for any rest (/api/*)'

const refuse = (pattern: string, reason: string): never => {
  throw new StoreError(
    'INVALID',
    `pathPattern is ${JSON.stringify(pattern.slice(0, 120))}: ${reason}; allowed are ${ALLOWED}`,
    { field: 'pathPattern' },
  )
}

const readSegment = (pattern: string, segment: string): string | null => {
  if (segment === '*' || /^:[a-z_]\w*$/i.test(segment)) return null
  if (segment === '') return refuse(pattern, 'an empty segment never fits, since repeated slashes count as one')
  if (segment === '.' || segment === '..')
    return refuse(pattern, `${segment} never fits, since paths are resolved first`)
  if (segment.includes('*')) return refuse(pattern, `* must fill its segment, not stand in ${JSON.stringify(segment)}`)
  if (segment.startsWith(':'))
    return refuse(pattern, `${JSON.stringify(segment)} is no name; after : come letters, digits and _ alone`)
  return segment
}

/**
 * Reads a pattern: `/login`, `/users/:id`, `/:shop/orders`, `/api/*`. It is compared with whole segments of the
 * normalised path; `/api/*` fits `/api`, `/api/x` and `/api/x/y`, `/*` everything, `/` the root alone. Case matters, a slash
 * at the end does not.
 * @throws {StoreError} INVALID
 */
export const parsePattern = (pattern: string): PathPattern => {
  if (pattern.length > LONGEST) refuse(pattern, `it has ${pattern.length} characters, ${LONGEST} at most`)
  if (!pattern.startsWith('/')) refuse(pattern, 'it does not begin with /')
  if (/[?#]/.test(pattern)) refuse(pattern, 'a query or fragment is not part of the path')
  if (/\p{Cc}/u.test(pattern)) refuse(pattern, 'it holds control characters')
  if (/%[\da-f]{2}/i.test(pattern)) refuse(pattern, 'paths are decoded first, so write the character itself for %XX')
  if (pattern.endsWith('*/')) refuse(pattern, 'after a * at the end comes nothing, not even a slash')
  const texts = pattern.replace(/\/$/, '').split('/').slice(1)
  const rest = texts.at(-1) === '*'
  return { segments: (rest ? texts.slice(0, -1) : texts).map((segment) => readSegment(pattern, segment)), rest }
}

/** With every character that means something in a regular expression taken by its word; the same in RE2 and in JavaScript. */
export const literally = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`)

/**
 * The pattern as a regular expression for RE2 (`match()` of ClickHouse), anchored, for paths as they were logged. Repeated
 * slashes and those at the end are seen through; percent sequences and dot segments are not: decode first
 * (`decodeURLComponent(path)`), and what is left are paths such as `/a/../login`, which it does not know as `/login`.
 * @throws {StoreError} INVALID
 */
export const patternToRegExp = (pattern: string): string => {
  const { segments, rest } = parsePattern(pattern)
  const before = segments.map((segment) => `/+${segment === null ? '[^/]+' : literally(segment)}`).join('')
  // The root alone is a slash, not the empty text.
  if (before === '') return rest ? '^' : '^/+$'
  return rest ? `^${before}(?:/|$)` : `^${before}/*$`
}
