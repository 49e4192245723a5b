import { type Scope, SCOPES } from '../principal.ts'
import { type ApiKey, type NewApiKey, StoreError, type Version } from './types.ts'

/** An API key as it is stored; times are RFC 3339. */
export interface KeyRecord {
  name: string
  /** SHA-256 of the secret, base64url. */
  hash: string
  prefix: string
  scopes: readonly Scope[]
  services: readonly string[] | null
  pointsPerHour: number
  /** Absent in keys from before there was such a number: the default. */
  postsPerMinute?: number
  createdAt: string
  createdBy: string
  expiresAt: string | null
  revokedAt: string | null
  revokedBy: string | null
}

const POINTS_PER_HOUR = 100_000
const MAX_POINTS_PER_HOUR = 1_000_000_000
const POSTS_PER_MINUTE = 300_000
const MAX_POSTS_PER_MINUTE = 10_000_000

const invalid = (field: string, message: string): StoreError =>
  new StoreError('INVALID', `${field}: ${message}`, { field })

const isPlain = (text: string): boolean => text.trim() === text && !/\p{Cc}/u.test(text)

const checkServices = (scopes: readonly Scope[], services: readonly string[] | null): void => {
  if (services === null) return
  if (services.length === 0)
    throw invalid('services', 'a key bound to no service can do nothing; leave it out for all services')
  for (const service of services)
    if (service === '' || service.length > 200 || !isPlain(service))
      throw invalid(
        'services',
        `${JSON.stringify(service)} is no service name; allowed are 1 to 200 printable characters`,
      )
  if (scopes.includes('ADMIN'))
    throw invalid('services', 'a key with ADMIN can make keys for all services, so it cannot be bound to some')
}

const checkNumber = (field: string, given: number, max: number): void => {
  if (!Number.isInteger(given) || given < 1 || given > max)
    throw invalid(field, `${given} is not allowed; give a whole number from 1 to ${max}`)
}

/** @throws {StoreError} INVALID, naming the field, what was given and what is allowed */
export const checkNewKey = (key: NewApiKey): Omit<KeyRecord, 'hash' | 'prefix'> => {
  const { name, scopes, services = null, expiresAt = null, by } = key
  const { pointsPerHour = POINTS_PER_HOUR, postsPerMinute = POSTS_PER_MINUTE } = key
  if (name === '' || name.length > 100 || !isPlain(name))
    throw invalid('name', `${JSON.stringify(name.slice(0, 120))} is not allowed; give 1 to 100 printable characters`)
  if (scopes.length === 0) throw invalid('scopes', `at least one is needed, of ${SCOPES.join(', ')}`)
  for (const scope of scopes)
    if (!SCOPES.includes(scope)) throw invalid('scopes', `${JSON.stringify(scope)} is none of ${SCOPES.join(', ')}`)
  checkServices(scopes, services)
  if (expiresAt && !(expiresAt.getTime() > Date.now()))
    throw invalid(
      'expiresAt',
      Number.isNaN(expiresAt.getTime())
        ? 'not a time; give RFC 3339'
        : `${expiresAt.toISOString()} is over; give a time to come`,
    )
  checkNumber('pointsPerHour', pointsPerHour, MAX_POINTS_PER_HOUR)
  checkNumber('postsPerMinute', postsPerMinute, MAX_POSTS_PER_MINUTE)
  return {
    name,
    scopes: SCOPES.filter((scope) => scopes.includes(scope)),
    services: services && [...new Set(services)],
    pointsPerHour,
    postsPerMinute,
    createdAt: new Date().toISOString(),
    createdBy: by,
    expiresAt: expiresAt?.toISOString() ?? null,
    revokedAt: null,
    revokedBy: null,
  }
}

const asDate = (text: string | null): Date | null => (text === null ? null : new Date(text))

export const postsPerMinuteOf = ({ postsPerMinute = POSTS_PER_MINUTE }: KeyRecord): number => postsPerMinute

export const asApiKey = ({ id, value }: Version<KeyRecord>, lastUsedAt: Date | null): ApiKey => {
  const { hash: _, createdAt, expiresAt, revokedAt, ...rest } = value!
  return {
    id,
    ...rest,
    postsPerMinute: postsPerMinuteOf(value!),
    createdAt: new Date(createdAt),
    expiresAt: asDate(expiresAt),
    revokedAt: asDate(revokedAt),
    lastUsedAt,
  }
}
