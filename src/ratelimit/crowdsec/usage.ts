import { problem } from '../../http/index.ts'

/** One number that a bouncer reports. */
export interface UsageItem {
  /** Such as `processed`, `dropped` (both since its last report) or `active_decisions`. */
  name: string
  /** Such as `request`, `packet`, `byte`, `ip`. */
  unit: string
  value: number
  /** Such as `origin`. */
  labels: Readonly<Record<string, string>>
}

export interface Usage {
  version: string
  /** Such as `crowdsec-firewall-bouncer`; empty: it does not say. */
  type: string
  items: readonly UsageItem[]
}

const LONGEST_TEXT = 255

const shown = (value: unknown): string =>
  value === undefined ? 'missing' : (JSON.stringify(value) ?? 'missing').slice(0, 60)

const refuse = (field: string, value: unknown, allowed: string): never => {
  throw problem(422, { detail: `${field} is ${shown(value)}; it takes ${allowed}.` })
}

const asObject = (value: unknown, field: string): Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : refuse(field, value, 'an object')

/** Go writes a list that is not there as null. */
const asList = (value: unknown, field: string): unknown[] => {
  if (value === undefined || value === null) return []
  return Array.isArray(value) ? value : refuse(field, value, 'a list')
}

const asText = (value: unknown, field: string): string =>
  typeof value === 'string' && value.length <= LONGEST_TEXT
    ? value
    : refuse(field, value, `a string of at most ${LONGEST_TEXT} characters`)

const asNumber = (value: unknown, field: string): number =>
  Number.isFinite(value) ? (value as number) : refuse(field, value, 'a number')

const asWhole = (value: unknown, field: string): number =>
  Number.isSafeInteger(value) ? (value as number) : refuse(field, value, 'a whole number')

const readLabels = (value: unknown, field: string): Record<string, string> =>
  value === undefined || value === null
    ? {}
    : Object.fromEntries(
        Object.entries(asObject(value, field)).map(([name, label]) => [name, asText(label, `${field}.${name}`)]),
      )

const readItem = (value: unknown, field: string): UsageItem => {
  const { name, unit, value: amount, labels } = asObject(value, field)
  return {
    name: asText(name, `${field}.name`),
    unit: asText(unit, `${field}.unit`),
    value: asNumber(amount, `${field}.value`),
    labels: readLabels(labels, `${field}.labels`),
  }
}

const readMetrics = (value: unknown, field: string): UsageItem[] => {
  const { items, meta } = asObject(value, field)
  const { window_size_seconds: window, utc_now_timestamp: now } = asObject(meta, `${field}.meta`)
  asWhole(window, `${field}.meta.window_size_seconds`)
  asWhole(now, `${field}.meta.utc_now_timestamp`)
  if (!Array.isArray(items)) return refuse(`${field}.items`, items, 'a list')
  return items.map((item, index) => readItem(item, `${field}.items.${index}`))
}

/**
 * Reads what bouncers post to /v1/usage-metrics (CrowdSec's `AllMetrics`), and checks of it what CrowdSec checks.
 * @throws {Problem} 400: no JSON, or not the report of one bouncer; 422: a field does not fit
 */
export const readUsage = (text: string): Usage => {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch (error) {
    throw problem(400, { detail: `The body is not JSON: ${(error as Error).message}`, cause: error })
  }
  const { remediation_components: components, log_processors: processors } = asObject(body, 'the body')
  if (asList(processors, 'log_processors').length > 0)
    throw problem(400, { detail: 'log_processors: they report to CrowdSec itself; this takes bouncers alone.' })
  const [component, ...more] = asList(components, 'remediation_components')
  if (component === undefined || more.length > 0)
    throw problem(400, {
      detail: `remediation_components has ${component === undefined ? 0 : more.length + 1} items; it takes one, the bouncer that sends this.`,
    })
  const field = 'remediation_components.0'
  const {
    version,
    type,
    utc_startup_timestamp: startedAt,
    os,
    metrics,
    feature_flags: flags,
  } = asObject(component, field)
  if (os !== undefined && os !== null) {
    const { name, version: osVersion } = asObject(os, `${field}.os`)
    asText(name, `${field}.os.name`)
    asText(osVersion, `${field}.os.version`)
  }
  asWhole(startedAt, `${field}.utc_startup_timestamp`)
  for (const [index, flag] of asList(flags, `${field}.feature_flags`).entries())
    asText(flag, `${field}.feature_flags.${index}`)
  return {
    version: asText(version, `${field}.version`),
    type: type === undefined ? '' : asText(type, `${field}.type`),
    items: asList(metrics, `${field}.metrics`).flatMap((each, index) => readMetrics(each, `${field}.metrics.${index}`)),
  }
}
