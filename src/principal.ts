/** What an API key may do. ADMIN includes all the others, and keys and jobs. */
export const SCOPES = [
  'COLLECT',
  'DECIDE',
  'ANALYTICS_READ',
  'LOGS_READ',
  'SECURITY_READ',
  'SECURITY_WRITE',
  'REPORTS_READ',
  'REPORTS_WRITE',
  'ADMIN',
] as const
export type Scope = (typeof SCOPES)[number]

/** Who is asking: the API key of a request, found valid. */
export interface Principal {
  keyId: string
  name: string
  scopes: ReadonlySet<Scope>
  /** The only services that this key writes and reads; null: all. */
  services: readonly string[] | null
  /** What its GraphQL queries may cost in an hour. */
  pointsPerHour: number
  /** How many POSTs the collector takes from it in a minute. */
  postsPerMinute: number
}

/** Whether one of these scopes is held; ADMIN holds each. */
export const holds = (principal: Principal, ...anyOf: readonly Scope[]): boolean =>
  principal.scopes.has('ADMIN') || anyOf.some((scope) => principal.scopes.has(scope))

/** Whether the key may write and read this service. */
export const mayUse = (principal: Principal, service: string): boolean =>
  principal.services === null || principal.services.includes(service)
