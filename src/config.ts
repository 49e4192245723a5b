import { existsSync, statSync } from 'node:fs'
import { resolve } from 'node:path'

import { Cron } from 'croner'
import ipaddr from 'ipaddr.js'

export const ROLES = ['collector', 'decide', 'api', 'jobs'] as const
export type Role = (typeof ROLES)[number]

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** Everything the environment decides, read once at start. Paths are absolute. */
export interface Config {
  /** Where it listens. `port` 0 picks a free one. */
  port: number
  host: string
  /** What links in mails and pages begin with, without a slash at the end. */
  publicUrl: string
  roles: ReadonlySet<Role>
  /** Spool, embedded database, outbox, `admin-key`. */
  dataDir: string
  /** `http(s)://user:pass@host:8123/database`; undefined: the embedded engine in `dataDir`. */
  clickhouseUrl: string | undefined
  /** One server; several of a cluster; or sentinels, `redis+sentinel://user:pass@host:26379/master`. */
  redisUrls: readonly string[]
  geoipCityDbs: readonly string[]
  geoipAsnDbs: readonly string[]
  /** The first API key, with every scope; undefined: made at first start. */
  adminKey: string | undefined
  /** CIDRs whose forwarding headers are believed. */
  trustedProxies: readonly string[]
  /** Bytes of the spool past which the collector answers 503. */
  spoolMaxBytes: number
  /** How long after its end an hour is closed, in seconds: what services sent last is then stored. */
  settleSeconds: number
  /** Age in days, counted from arrival, at which raw request logs go. */
  retentionDays: number
  /** Age in days at which the log of decisions goes. */
  decisionRetentionDays: number
  /** Age in days at which findings go. */
  findingRetentionDays: number
  /** Age in days, by the time of the request, at which addresses and users in raw rows are made unrecognisable; undefined: never. */
  anonymiseAfterDays: number | undefined
  /** `truncate`: IPv4 to its /24, IPv6 to its /48, users emptied; `hash`: a keyed hash, the same for the same. */
  anonymiseBy: 'truncate' | 'hash'
  /** Signs and hashes, the same in all processes; undefined: made at first start and kept in `dataDir`. */
  secret: string | undefined
  /** Lower-case names of query parameters whose values are stored as `***`. */
  maskQuery: ReadonlySet<string>
  /** YAML or JSON with rate limit policies, followed while it changes; undefined: none. */
  policyFile: string | undefined
  /** An operator's own detectors, beside and instead of those that come with Vedette; undefined: none. */
  detectorsDir: string | undefined
  /** Lists of crawlers' address ranges, followed while they change; undefined: those that come with Vedette. */
  crawlerRangesDir: string | undefined
  /** Whether the names of those who say to be crawlers may be looked up. */
  crawlerDns: boolean
  /** Where scheduled back-ups go, one folder each; undefined: none are made. */
  backupDir: string | undefined
  /** When, as a cron pattern in UTC; hourly at most. */
  backupSchedule: string
  /** How many of them are kept. */
  backupKeep: number
  /** `smtp(s)://user:password@host:port`; undefined: mails go into `dataDir/outbox`. */
  smtpUrl: string | undefined
  /** `required`: STARTTLS before anything else where the URL is not `smtps:`; `off`: in clear. */
  smtpTls: 'required' | 'off'
  /** An address, or `Name <address>`. */
  mailFrom: string
  /** Signs mails; undefined: they are not signed. */
  dkim: { domain: string; selector: string; keyFile: string } | undefined
  /** Addresses that are told of critical findings at once. */
  incidentTo: readonly string[]
  /** URLs that are told too; `slack+https://…` for a body that Slack understands. */
  incidentWebhooks: readonly string[]
  /** `whsec_…`: signs them, as Standard Webhooks has it. */
  incidentWebhookSecret: string | undefined
  /** CIDRs of private networks that they may lie in. */
  incidentWebhookAllow: readonly string[]
  logLevel: LogLevel
}

/** A variable that does not fit. The message names it, what was given and what is allowed. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

type Environment = Record<string, string | undefined>

const refuse = (name: string, given: string, allowed: string): never => {
  throw new ConfigError(`${name} is ${JSON.stringify(given)}; allowed is ${allowed}`)
}

const integer = (env: Environment, name: string, fallback: number, min: number, max: number): number => {
  const given = env[name]
  if (!given) return fallback
  const value = /^\d{1,15}$/.test(given) ? Number(given) : Number.NaN
  return value >= min && value <= max ? value : refuse(name, given, `a whole number from ${min} to ${max}`)
}

const UNITS: Record<string, number> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 }

const bytes = (env: Environment, name: string, fallback: number, min: number): number => {
  const given = env[name]
  if (!given) return fallback
  const [, digits, unit] = /^(\d{1,15}) ?([KMGT]?)(?:iB|B)?$/i.exec(given) ?? []
  const value = digits === undefined ? Number.NaN : Number(digits) * UNITS[(unit ?? '').toUpperCase()]!
  return value >= min ? value : refuse(name, given, `bytes as 10737418240 or 10GiB, ${min} at least`)
}

const list = (env: Environment, name: string): string[] =>
  (env[name] ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean)

const choice = <T extends string>(name: string, given: string, allowed: readonly T[]): T =>
  allowed.find((item) => item === given) ?? refuse(name, given, allowed.join(', '))

const url = (name: string, given: string, protocols: readonly string[]): string => {
  if (!URL.canParse(given) || !protocols.includes(new URL(given).protocol)) {
    // The value may hold a password, so only its beginning is shown.
    refuse(name, `${given.slice(0, 8)}…`, `a URL that begins with ${protocols.map((p) => `${p}//`).join(' or ')}`)
  }
  return given
}

const REDIS = ['redis:', 'rediss:', 'redis+sentinel:', 'rediss+sentinel:']

const redis = (env: Environment): string[] => {
  const urls = list(env, 'REDIS_URL').map((item) => url('REDIS_URL', item, REDIS))
  const sentinels = urls.filter((item) => item.includes('+sentinel:'))
  if (sentinels.length > 0 && (sentinels.length < urls.length || new URL(urls[0]!).pathname.length < 2))
    refuse(
      'REDIS_URL',
      `${urls.length} addresses, ${sentinels.length} of them of sentinels`,
      'sentinels alone, the first with the name of the master: redis+sentinel://user:password@host:26379/mymaster',
    )
  return urls
}

const cidr = (name: string, given: string): string => {
  const text = given.includes('/') ? given : `${given}/${given.includes(':') ? 128 : 32}`
  return ipaddr.isValidCIDR(text)
    ? text
    : refuse(name, given, 'addresses or CIDRs such as 10.0.0.0/8, separated by commas')
}

const file = (name: string, given: string): string => {
  // A missing database is a warning and empty fields (geo says so), but a directory here is a slip of the hand.
  return given.endsWith('/') && existsSync(given) ? refuse(name, given, 'the path of an .mmdb file') : resolve(given)
}

const folder = (name: string, given: string): string =>
  statSync(given, { throwIfNoEntry: false })?.isDirectory()
    ? resolve(given)
    : refuse(name, given, 'the path of a folder that is there')

const cron = (env: Environment, name: string, fallback: string): string => {
  const given = env[name] || fallback
  const allowed = 'a cron pattern of five fields in UTC, such as 15 3 * * *'
  if (given.trim().split(/\s+/).length !== 5) return refuse(name, given, allowed)
  try {
    return new Cron(given, { timezone: 'UTC', paused: true }).nextRun() ? given : refuse(name, given, allowed)
  } catch {
    return refuse(name, given, allowed)
  }
}

const DOMAIN = /^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/i
const FROM = /^(?:[^<>"\p{Cc}]{1,100} <([^\s<>"@\p{Cc}]+@[^\s<>"@]+)>|([^\s<>"@\p{Cc}]+@[^\s<>"@]+))$/u

const mail = (env: Environment): Pick<Config, 'smtpUrl' | 'smtpTls' | 'mailFrom' | 'dkim'> => {
  const smtpUrl = env['SMTP_URL'] ? url('SMTP_URL', env['SMTP_URL'], ['smtp:', 'smtps:']) : undefined
  const smtpTls = choice('SMTP_TLS', env['SMTP_TLS'] || 'required', ['required', 'off'])
  if (smtpTls === 'off' && smtpUrl?.startsWith('smtps:'))
    refuse('SMTP_TLS', smtpTls, 'required where SMTP_URL begins with smtps://, which is TLS from the start')
  const mailFrom = env['MAIL_FROM'] || 'Vedette <vedette@localhost>'
  const [, named, bare] = FROM.exec(mailFrom) ?? []
  const domain = (named ?? bare ?? '').split('@')[1]
  if (domain === undefined || !DOMAIN.test(domain))
    refuse('MAIL_FROM', mailFrom, 'an address such as vedette@example.com, or Vedette <vedette@example.com>')
  if (smtpUrl && !env['MAIL_FROM'])
    refuse('MAIL_FROM', '', 'an address that SMTP_URL may send from, such as vedette@example.com')
  const [dkimDomain, selector, keyFile] = [env['DKIM_DOMAIN'], env['DKIM_SELECTOR'], env['DKIM_KEY_FILE']]
  if (!dkimDomain && !selector && !keyFile) return { smtpUrl, smtpTls, mailFrom, dkim: undefined }
  for (const [name, value] of Object.entries({ DKIM_DOMAIN: dkimDomain, DKIM_SELECTOR: selector }))
    if (!value || !DOMAIN.test(value))
      refuse(
        name,
        value ?? '',
        'a name such as example.com or vedette; DKIM_DOMAIN, DKIM_SELECTOR, DKIM_KEY_FILE go together',
      )
  if (!keyFile || !statSync(keyFile, { throwIfNoEntry: false })?.isFile())
    refuse('DKIM_KEY_FILE', keyFile ?? '', 'the path of a private key in PEM')
  return { smtpUrl, smtpTls, mailFrom, dkim: { domain: dkimDomain!, selector: selector!, keyFile: resolve(keyFile!) } }
}

const webhook = (given: string, allow: readonly string[]): string => {
  const bare = given.replace(/^slack\+/, '')
  url('INCIDENT_WEBHOOKS', bare, ['https:', 'http:'])
  const { protocol, username, password } = new URL(bare)
  // The rest of it is a secret.
  if (username || password) refuse('INCIDENT_WEBHOOKS', `${given.slice(0, 8)}…`, 'a URL without user and password')
  if (protocol === 'http:' && allow.length === 0)
    refuse('INCIDENT_WEBHOOKS', `${given.slice(0, 8)}…`, 'https:// unless INCIDENT_WEBHOOK_ALLOW names where it lies')
  return given
}

const incidents = (
  env: Environment,
): Pick<Config, 'incidentTo' | 'incidentWebhooks' | 'incidentWebhookSecret' | 'incidentWebhookAllow'> => {
  const incidentTo = list(env, 'INCIDENT_TO')
  for (const given of incidentTo)
    if (!/^[^\s<>"@\p{Cc}]{1,64}@/u.test(given) || !DOMAIN.test(given.slice(given.indexOf('@') + 1)))
      refuse('INCIDENT_TO', given, 'addresses such as ops@example.com, separated by commas')
  const incidentWebhookAllow = list(env, 'INCIDENT_WEBHOOK_ALLOW').map((item) => cidr('INCIDENT_WEBHOOK_ALLOW', item))
  const incidentWebhooks = list(env, 'INCIDENT_WEBHOOKS').map((item) => webhook(item, incidentWebhookAllow))
  const secret = env['INCIDENT_WEBHOOK_SECRET'] || undefined
  const key = Buffer.from(/^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret ?? '')?.[1] ?? '', 'base64')
  if (secret === undefined && incidentWebhooks.some((item) => !item.startsWith('slack+')))
    refuse('INCIDENT_WEBHOOK_SECRET', '', 'whsec_ and base64 wherever INCIDENT_WEBHOOKS has others than Slack')
  if (secret !== undefined && (key.length < 24 || key.length > 64))
    refuse('INCIDENT_WEBHOOK_SECRET', `${secret.length} characters`, 'whsec_ and 24 to 64 random bytes in base64')
  return {
    incidentTo: [...new Set(incidentTo)],
    incidentWebhooks: [...new Set(incidentWebhooks)],
    incidentWebhookSecret: secret,
    incidentWebhookAllow,
  }
}

/** Default list of query parameters whose values never reach the disk. */
export const MASKED_BY_DEFAULT = 'token,password,passwd,secret,code,key,api_key,access_token,signature'

/**
 * Reads the environment into one object.
 * @throws {ConfigError} naming the variable, what was given and what is allowed
 */
export const loadConfig = (env: Environment = process.env): Config => {
  const port = integer(env, 'PORT', 8080, 0, 65_535)
  const host = env['HOST'] || '127.0.0.1'
  const roles = list(env, 'ROLES').map((role) => choice('ROLES', role, ROLES))
  const clickhouseUrl = env['CLICKHOUSE_URL'] && url('CLICKHOUSE_URL', env['CLICKHOUSE_URL'], ['http:', 'https:'])
  const redisUrls = redis(env)
  const split = roles.length > 0 && roles.length < ROLES.length
  if (split && (!clickhouseUrl || redisUrls.length === 0)) {
    refuse(
      'ROLES',
      roles.join(','),
      `all of ${ROLES.join(',')} unless CLICKHOUSE_URL and REDIS_URL are set, which split roles share`,
    )
  }
  const adminKey = env['VEDETTE_ADMIN_KEY'] || undefined
  if (adminKey !== undefined && !/^[\x21-\x7e]{32,}$/.test(adminKey)) {
    refuse('VEDETTE_ADMIN_KEY', `${adminKey.length} characters`, '32 printable characters or more, without spaces')
  }
  const secret = env['VEDETTE_SECRET'] || undefined
  if (secret !== undefined && !/^[\x21-\x7e]{32,}$/.test(secret)) {
    refuse('VEDETTE_SECRET', `${secret.length} characters`, '32 printable characters or more, without spaces')
  }
  const retentionDays = integer(env, 'RETENTION_DAYS', 30, 1, 3650)
  if (env['ANONYMISE_AFTER_DAYS'] && retentionDays === 1)
    refuse('ANONYMISE_AFTER_DAYS', env['ANONYMISE_AFTER_DAYS'], 'nothing where RETENTION_DAYS is 1: rows go before')
  const anonymiseAfterDays = integer(env, 'ANONYMISE_AFTER_DAYS', 0, 1, retentionDays - 1) || undefined
  if (env['CLICKHOUSE_CLUSTER']) {
    refuse(
      'CLICKHOUSE_CLUSTER',
      env['CLICKHOUSE_CLUSTER'],
      'nothing yet: replicated and sharded tables are not built, one server is',
    )
  }
  return {
    port,
    host,
    publicUrl: (env['PUBLIC_URL']
      ? url('PUBLIC_URL', env['PUBLIC_URL'], ['http:', 'https:'])
      : `http://${host.includes(':') ? `[${host}]` : host}:${port}`
    ).replace(/\/+$/, ''),
    roles: new Set(roles.length > 0 ? roles : ROLES),
    dataDir: resolve(env['DATA_DIR'] || './data'),
    clickhouseUrl: clickhouseUrl || undefined,
    redisUrls,
    geoipCityDbs: list(env, 'GEOIP_CITY_DB').map((item) => file('GEOIP_CITY_DB', item)),
    geoipAsnDbs: list(env, 'GEOIP_ASN_DB').map((item) => file('GEOIP_ASN_DB', item)),
    adminKey,
    trustedProxies: list(env, 'TRUSTED_PROXIES').map((item) => cidr('TRUSTED_PROXIES', item)),
    spoolMaxBytes: bytes(env, 'SPOOL_MAX_BYTES', 10 * 2 ** 30, 2 ** 20),
    settleSeconds: integer(env, 'SETTLE_SECONDS', 120, 0, 3_000),
    retentionDays,
    decisionRetentionDays: integer(env, 'DECISION_RETENTION_DAYS', 30, 1, 3650),
    findingRetentionDays: integer(env, 'FINDING_RETENTION_DAYS', 400, 1, 3650),
    anonymiseAfterDays,
    anonymiseBy: choice('ANONYMISE_BY', env['ANONYMISE_BY'] || 'truncate', ['truncate', 'hash']),
    secret,
    maskQuery: new Set(
      (env['MASK_QUERY'] ?? MASKED_BY_DEFAULT)
        .split(',')
        .map((name) => name.trim().toLowerCase())
        .filter(Boolean),
    ),
    policyFile: env['POLICY_FILE'] ? resolve(env['POLICY_FILE']) : undefined,
    detectorsDir: env['DETECTORS_DIR'] ? folder('DETECTORS_DIR', env['DETECTORS_DIR']) : undefined,
    crawlerRangesDir: env['CRAWLER_RANGES_DIR'] ? folder('CRAWLER_RANGES_DIR', env['CRAWLER_RANGES_DIR']) : undefined,
    crawlerDns: choice('CRAWLER_DNS', env['CRAWLER_DNS'] || 'true', ['true', 'false']) === 'true',
    backupDir: env['BACKUP_DIR'] ? resolve(env['BACKUP_DIR']) : undefined,
    backupSchedule: cron(env, 'BACKUP_SCHEDULE', '15 3 * * *'),
    backupKeep: integer(env, 'BACKUP_KEEP', 7, 1, 1_000),
    ...mail(env),
    ...incidents(env),
    logLevel: choice('LOG_LEVEL', env['LOG_LEVEL'] || 'info', LOG_LEVELS),
  }
}
