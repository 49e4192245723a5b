import { createHash, randomInt } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'

import type { Logger } from 'pino'

import { isTimeZone } from '../analytics/index.ts'
import type { ClickHouse } from '../clickhouse/index.ts'
import type { Redis } from '../redis/index.ts'
import { createVersions, StoreError, type Version } from '../store/index.ts'
import { asAddress } from './mail-address.ts'
import { cronOf, isScheduled } from './schedule.ts'
import { SUBSCRIPTION_KINDS, type SubscriptionKind } from './types.ts'

/**
 * `HTML`: the whole mail; `CSV`: the whole as plain text with the tables attached; `PDF`: a short mail with the whole attached; `JSON`: a short
 * plain text with the whole attached.
 */
export const REPORT_FORMATS = ['HTML', 'CSV', 'PDF', 'JSON'] as const
export type ReportFormat = (typeof REPORT_FORMATS)[number]

export const SEVERITIES = ['LOW', 'MEDIUM', 'HIGH', 'CRITICAL'] as const
export type LeastSeverity = (typeof SEVERITIES)[number]

export interface SubscriptionValues {
  name: string
  kind: SubscriptionKind
  /** Minute, hour, day of month, month, day of week, as the wall clock of `timezone` shows them; empty of INCIDENT. */
  cron: string
  /** IANA name. */
  timezone: string
  recipients: readonly string[]
  format: ReportFormat
  /** Empty: all. */
  services: readonly string[]
  minSeverity: LeastSeverity | null
  /** Of INCIDENT it means nothing. */
  skipIfEmpty: boolean
  enabled: boolean
}

export interface Subscription extends SubscriptionValues {
  /** `sub_` and twelve letters and digits. */
  id: string
  version: number
  /** Since when it runs as it does now: runs before are none of its. */
  scheduledSince: Date
}

type Stored = SubscriptionValues & { scheduledSince: string }
type Given = { readonly [Field in keyof SubscriptionValues]?: unknown }

const DEFAULTS = {
  timezone: 'UTC',
  format: 'HTML',
  services: [],
  minSeverity: null,
  skipIfEmpty: false,
  enabled: true,
} as const satisfies Partial<SubscriptionValues>

export const MOST_RECIPIENTS = 500
const MOST_SERVICES = 200

const show = (value: unknown): string => {
  if (value === undefined) return 'missing'
  const text = JSON.stringify(value) ?? typeof value
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}

const refuse = (field: keyof SubscriptionValues, value: unknown, allowed: string): never => {
  throw new StoreError('INVALID', `${field} is ${show(value)}; allowed is ${allowed}`, { field })
}

const isPlain = (value: unknown, longest: number): value is string =>
  typeof value === 'string' &&
  value !== '' &&
  value.length <= longest &&
  value.trim() === value &&
  !/\p{C}|\p{Zl}|\p{Zp}/u.test(value)

const choice = <T extends string>(field: keyof SubscriptionValues, value: unknown, allowed: readonly T[]): T =>
  allowed.find((item) => item === value) ?? refuse(field, value, allowed.join(', '))

const truth = (field: keyof SubscriptionValues, value: unknown): boolean =>
  typeof value === 'boolean' ? value : refuse(field, value, 'true or false')

const checkRecipients = (value: unknown): string[] => {
  if (!Array.isArray(value) || value.length === 0 || value.length > MOST_RECIPIENTS)
    return refuse(
      'recipients',
      Array.isArray(value) ? `${value.length} addresses` : value,
      `1 to ${MOST_RECIPIENTS} addresses`,
    )
  const addresses = value.map((item: unknown) => {
    const hint = 'addresses such as ops@example.com, without a name; of other alphabets in the form xn--…'
    return asAddress(item) ?? refuse('recipients', item, hint)
  })
  // Whoever is named twice, in another case as well, gets one mail.
  return [...new Map(addresses.map((address) => [address.toLowerCase(), address])).values()]
}

const checkServices = (value: unknown): string[] => {
  const allowed = `a list of at most ${MOST_SERVICES} service names; an empty one is all`
  if (!Array.isArray(value) || value.length > MOST_SERVICES) return refuse('services', value, allowed)
  for (const item of value) if (!isPlain(item, 200)) refuse('services', item, allowed)
  return [...new Set(value as string[])].toSorted()
}

const checkCron = (value: unknown, timezone: string): string => {
  const allowed = 'five fields (minute, hour, day of month, month, day of week) such as 0 8 * * 1'
  if (!isPlain(value, 200) || value.split(/ +/).length !== 5) return refuse('cron', value, allowed)
  let next: Date | null
  try {
    next = cronOf({ cron: value, timezone }).nextRun()
  } catch (error) {
    return refuse('cron', value, `${allowed} (${error instanceof Error ? error.message : String(error)})`)
  }
  return next === null ? refuse('cron', value, 'a pattern with a time to come') : value
}

/** Incidents are told of at once, in one form, and of critical findings alone. */
const checkIncident = ({ cron, format, minSeverity }: Given): void => {
  if (cron !== undefined && cron !== '') refuse('cron', cron, 'none for INCIDENT, which is told of at once')
  if (format !== 'HTML') refuse('format', format, 'HTML for INCIDENT')
  if (minSeverity !== null && minSeverity !== 'CRITICAL')
    refuse('minSeverity', minSeverity, 'CRITICAL or none for INCIDENT, which is of critical findings alone')
}

/**
 * A whole subscription from what was given.
 * @throws {StoreError} INVALID with the field, what was given and what is allowed
 */
export const checkSubscription = (given: Given): SubscriptionValues => {
  const valueOf = (field: keyof typeof DEFAULTS): unknown =>
    given[field] === undefined ? DEFAULTS[field] : given[field]
  const zone = valueOf('timezone')
  const timezone =
    typeof zone === 'string' && isTimeZone(zone)
      ? zone
      : refuse('timezone', zone, 'an IANA name such as Europe/Berlin or UTC')
  const minSeverity = valueOf('minSeverity')
  const kind = choice('kind', given.kind, SUBSCRIPTION_KINDS)
  if (kind === 'INCIDENT') checkIncident({ cron: given.cron, format: valueOf('format'), minSeverity })
  return {
    name: isPlain(given.name, 100)
      ? given.name
      : refuse('name', given.name, '1 to 100 printable characters without blanks around them'),
    kind,
    cron: kind === 'INCIDENT' ? '' : checkCron(given.cron, timezone),
    timezone,
    recipients: checkRecipients(given.recipients),
    format: choice('format', valueOf('format'), REPORT_FORMATS),
    services: checkServices(valueOf('services')),
    minSeverity: minSeverity === null ? null : choice('minSeverity', minSeverity, SEVERITIES),
    skipIfEmpty: truth('skipIfEmpty', valueOf('skipIfEmpty')),
    enabled: truth('enabled', valueOf('enabled')),
  }
}

export interface SubscriptionChange {
  by: string
  /** Throws for services that the caller may not see; called with those before and after. An empty list is all. */
  checkServices?: ((services: readonly string[]) => void) | undefined
}

export interface Subscriptions {
  start: () => Promise<void>
  stop: () => Promise<void>
  /** By name. */
  list: () => Subscription[]
  get: (id: string) => Subscription | undefined
  /** Undefined: it is not enabled, comes with incidents, or has no time to come. */
  nextRunAt: (subscription: SubscriptionValues, after?: Date) => Date | undefined
  /** A new one without `id`, else the fields that are given are changed. @throws {StoreError} INVALID, NOT_FOUND, UNAVAILABLE */
  save: (given: Given & { id?: string | undefined }, change: SubscriptionChange) => Promise<Subscription>
  /** @throws {StoreError} NOT_FOUND, UNAVAILABLE */
  remove: (id: string, change: SubscriptionChange) => Promise<Subscription>
  isUnsubscribed: (subscriptionId: string, address: string) => boolean
  /** Once more: no change. @throws {StoreError} UNAVAILABLE */
  unsubscribe: (who: { subscriptionId: string; address: string }) => Promise<void>
  /** By the wish of the recipient. Once more: no change. @throws {StoreError} UNAVAILABLE */
  resubscribe: (who: { subscriptionId: string; address: string }, options: { by: string }) => Promise<void>
}

export interface SubscriptionsDependencies {
  clickhouse: ClickHouse
  redis: Redis
  log: Logger
  /** Where a snapshot is kept for starts while ClickHouse is away; undefined: none. */
  dataDir?: string | undefined
  /** How often ClickHouse is asked for changes, whatever was published. Default 1,000. */
  pollMs?: number | undefined
  now?: (() => number) | undefined
}

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const newId = (): string => `sub_${Array.from({ length: 12 }, () => ALPHABET[randomInt(ALPHABET.length)]).join('')}`

const withoutUndefined = <T extends object>(values: T): Partial<T> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>

const notFound = (id: string): StoreError =>
  new StoreError('NOT_FOUND', `there is no report subscription ${JSON.stringify(id)}`, { field: 'id' })

/** One for each subscription and address; addresses differ in more than case nowhere. */
const unsubscribedId = (subscriptionId: string, address: string): string =>
  `${subscriptionId}:${createHash('sha256').update(address.toLowerCase()).digest('base64url').slice(0, 22)}`

const asSubscription = ({ id, version, value }: Version<Stored>): Subscription => {
  const { scheduledSince, ...values } = value!
  return { id, version, ...values, scheduledSince: new Date(scheduledSince) }
}

/** What makes the times of its runs. */
const timesOf = ({ kind, cron, timezone, enabled }: SubscriptionValues): unknown => [kind, cron, timezone, enabled]

/** Who gets which report when, and who does not want it any more. */
export const createSubscriptions = (dependencies: SubscriptionsDependencies): Subscriptions => {
  const { now = Date.now, ...rest } = dependencies
  const stored = createVersions<Stored>({ kind: 'report_subscription', ...rest })
  const unsubscribed = createVersions<{ subscriptionId: string; address: string }>({
    kind: 'report_unsubscribe',
    ...rest,
  })
  const get = (id: string): Subscription | undefined => {
    const version = stored.get(id)
    return version && asSubscription(version)
  }

  return {
    start: async () => {
      await Promise.all([stored.start(), unsubscribed.start()])
    },
    stop: async () => {
      await Promise.all([stored.stop(), unsubscribed.stop()])
    },
    get,
    list: () =>
      stored
        .list()
        .map(asSubscription)
        .toSorted((a, b) => a.name.localeCompare(b.name, 'en') || (a.id < b.id ? -1 : 1)),
    nextRunAt: (subscription, after = new Date(now())) =>
      subscription.enabled && isScheduled(subscription)
        ? (cronOf(subscription).nextRun(after) ?? undefined)
        : undefined,
    save: async ({ id, ...named }, { by, checkServices }) => {
      const version = await stored.update(
        id ?? newId(),
        (current) => {
          if (id !== undefined && !current?.value) throw notFound(id)
          if (current?.value) checkServices?.(current.value.services)
          // A schedule of before is none that was given.
          const before = named.kind === 'INCIDENT' ? { ...current?.value, cron: '' } : current?.value
          const values = checkSubscription({ ...before, ...withoutUndefined(named) })
          checkServices?.(values.services)
          const known = current?.value && asSubscription(current)
          const same = known !== undefined && isDeepStrictEqual(timesOf(known), timesOf(values))
          const scheduledSince = (same ? known.scheduledSince : new Date(now())).toISOString()
          const next = { ...values, scheduledSince }
          return isDeepStrictEqual(next, current?.value) ? current?.value : next
        },
        { by },
      )
      return asSubscription(version)
    },
    remove: async (id, { by, checkServices }) => {
      let last: Subscription | undefined
      await stored.update(
        id,
        (current) => {
          if (!current?.value) throw notFound(id)
          checkServices?.(current.value.services)
          last = asSubscription(current)
          return undefined
        },
        { by },
      )
      return last!
    },
    isUnsubscribed: (subscriptionId, address) =>
      unsubscribed.get(unsubscribedId(subscriptionId, address)) !== undefined,
    unsubscribe: async (who) => {
      const id = unsubscribedId(who.subscriptionId, who.address)
      await unsubscribed.update(id, (current) => current?.value ?? { ...who }, { by: 'recipient' })
    },
    resubscribe: async ({ subscriptionId, address }, { by }) => {
      const id = unsubscribedId(subscriptionId, address)
      if (unsubscribed.get(id)) await unsubscribed.write(id, undefined, { by })
    },
  }
}
