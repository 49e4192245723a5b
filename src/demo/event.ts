/** One request in the collector's own fields (`POST /v1/requests`). */
export interface DemoEvent {
  /** RFC 3339, UTC, ms. */
  timestamp: string
  ip: string
  method: string
  path: string
  status: number
  service: string
  host: string
  route?: string
  query?: string
  protocol: string
  userAgent?: string
  referer?: string
  userId?: string
  traceId?: string
  durationMs: number
  requestBytes: number
  responseBytes: number
  action?: 'rate_limited'
  policyId?: string
  attributes?: Record<string, string | number | boolean>
}

/** Who sends a request, and with what. */
export interface Client {
  ip: string
  userAgent?: string
  userId?: string
  /** HTTP/1.1 unless said otherwise. */
  protocol?: string
}

/** The kinds of attack that a day has, named as the detectors that look for them. */
export const ATTACK_KINDS = [
  'high_volume',
  'burst',
  'sensitive_path',
  'sensitive_file',
  'admin_probing',
  'not_found_probing',
  'error_burst',
  'error_ratio',
  'server_error_burst',
  'crawl',
  'scanner_user_agent',
  'backdoor_probe',
  'path_traversal',
  'sql_injection',
  'cross_site_scripting',
  'command_injection',
  'attack_succeeded',
  'login_brute_force',
  'login_brute_force_200',
  'credential_stuffing',
  'password_spraying',
  'distributed_login',
  'user_agent_rotation',
  'volume_anomaly',
  'new_country',
  'impossible_travel',
  'network_swarm',
  'fingerprint_swarm',
  'low_and_slow',
  'beaconing',
  'referrer_spam',
  'fake_search_engine',
  'open_proxy_probe',
  'cache_busting',
  'limit_violator',
  'repeat_offender',
  'trap_path',
] as const
export type AttackKind = (typeof ATTACK_KINDS)[number]
