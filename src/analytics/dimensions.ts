import { type Sql, sql } from '../clickhouse/index.ts'
import { shownIp } from './address.ts'
import { userAgentFamily } from './user-agent-family.ts'

export const DIMENSIONS = [
  'SERVICE',
  'HOST',
  'METHOD',
  'PATH',
  'ROUTE',
  'STATUS_CODE',
  'STATUS_CLASS',
  'CLIENT_IP',
  'CLIENT_SUBNET',
  'CLIENT_ASN',
  'CLIENT_COUNTRY',
  'CLIENT_CITY',
  'USER_ID',
  'USER_AGENT',
  'USER_AGENT_FAMILY',
  'ACTION',
  'POLICY_ID',
  'HOUR_OF_DAY',
  'DAY_OF_WEEK',
] as const
export type Dimension = (typeof DIMENSIONS)[number]

export const ACTIONS = ['ALLOWED', 'RATE_LIMITED', 'BLOCKED', 'CHALLENGED'] as const
export type RequestAction = (typeof ACTIONS)[number]

export type DimensionValue = string | number | null

/** What the store gives for a dimension: text, or a number. */
type Stored = string | number

export interface DimensionDefinition {
  /** Name of the field in a row. */
  field: string
  description: string
  type: 'String' | 'Int' | 'SafeInt' | 'IPAddress' | 'CIDR' | 'RequestAction'
  /** Never NULL in the store: unknown is '' or 0. */
  expression: (timeZone: string) => Sql
  /** From the store's value to the one shown; null: unknown. */
  shown: (stored: Stored) => DimensionValue
}

const text = (stored: Stored): string | null => (stored === '' ? null : String(stored))

const IS_IPV4 = sql`(ip BETWEEN toIPv6('::ffff:0.0.0.0') AND toIPv6('::ffff:255.255.255.255'))`

/** Networks people think in: /24 of IPv4 (/120 of its mapped form), /64 of IPv6. */
const subnet = (stored: Stored): string => {
  const network = shownIp(String(stored))
  return network.includes(':') ? `${network}/64` : `${network}/24`
}

const column = (
  field: string,
  expression: Sql,
  description: string,
  shown: DimensionDefinition['shown'] = text,
  type: DimensionDefinition['type'] = 'String',
): DimensionDefinition => ({ field, expression: () => expression, description, shown, type })

export const dimensions: Record<Dimension, DimensionDefinition> = {
  SERVICE: column('service', sql`service`, 'The service that took the request.'),
  HOST: column('host', sql`host`, 'Host asked for.'),
  METHOD: column('method', sql`method`, 'HTTP method.'),
  PATH: column('path', sql`path`, 'Path as sent, without the query.'),
  ROUTE: column('route', sql`route`, 'Template of the path, such as /users/:id.'),
  STATUS_CODE: column('statusCode', sql`status_code`, 'HTTP status.', Number, 'Int'),
  STATUS_CLASS: column(
    'statusClass',
    sql`concat(toString(intDiv(status_code, 100)), 'xx')`,
    'Class of the HTTP status: 1xx to 5xx.',
  ),
  CLIENT_IP: column('clientIp', sql`ip`, 'Address of the client.', (stored) => shownIp(String(stored)), 'IPAddress'),
  CLIENT_SUBNET: column(
    'clientSubnet',
    sql`tupleElement(IPv6CIDRToRange(ip, if(${IS_IPV4}, 120, 64)), 1)`,
    'Network of the client: /24 of IPv4, /64 of IPv6.',
    subnet,
    'CIDR',
  ),
  CLIENT_ASN: column(
    'clientAsn',
    sql`asn`,
    'Number of the autonomous system that announces the address.',
    (stored) => Number(stored) || null,
    'SafeInt',
  ),
  CLIENT_COUNTRY: column('clientCountry', sql`country`, 'ISO 3166-1 alpha-2 code of the country.'),
  CLIENT_CITY: column('clientCity', sql`city`, 'City, in English.'),
  USER_ID: column('userId', sql`user_id`, 'The user as the service knows them.'),
  USER_AGENT: column('userAgent', sql`user_agent`, 'User-Agent as sent.'),
  USER_AGENT_FAMILY: column(
    'userAgentFamily',
    userAgentFamily,
    'Browser, crawler, library or tool that the User-Agent names; Other where it names none known.',
  ),
  ACTION: column(
    'action',
    sql`CAST(action, 'String')`,
    'What Vedette decided for the request.',
    (stored) => String(stored).toUpperCase(),
    'RequestAction',
  ),
  POLICY_ID: column('policyId', sql`policy_id`, 'The policy that decided.'),
  HOUR_OF_DAY: {
    field: 'hourOfDay',
    expression: (timeZone) => sql`toHour(timestamp, ${timeZone})`,
    description: 'Hour on the clock of the time zone asked for, 0 to 23.',
    shown: Number,
    type: 'Int',
  },
  DAY_OF_WEEK: {
    field: 'dayOfWeek',
    expression: (timeZone) => sql`toDayOfWeek(timestamp, 0, ${timeZone})`,
    description: 'Day of the week in the time zone asked for, 1 (Monday) to 7 (Sunday).',
    shown: Number,
    type: 'Int',
  },
}
