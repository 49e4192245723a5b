export const SEVERITIES = ['LOW', 'MEDIUM', 'HIGH', 'CRITICAL'] as const
export type Severity = (typeof SEVERITIES)[number]

export const DETECTOR_MODES = ['OFF', 'REPORT_ONLY', 'FLAG', 'FLAG_AND_BLOCK'] as const
/**
 * - OFF: not run
 * - REPORT_ONLY: findings are kept, nobody is flagged for them
 * - FLAG: the address becomes a suspicious one
 * - FLAG_AND_BLOCK: and is blocked for a while, longer each time
 */
export type DetectorMode = (typeof DETECTOR_MODES)[number]

export const REVIEW_STATUSES = ['OPEN', 'CONFIRMED', 'FALSE_POSITIVE', 'IGNORED', 'RESOLVED'] as const
export type ReviewStatus = (typeof REVIEW_STATUSES)[number]

export type ParameterValue = number | string | readonly string[]

/** One knob of a detector, `{name:Type}` in its SQL. */
export interface DetectorParameter {
  name: string
  /** As ClickHouse writes it: UInt32, Float64, String, Array(String). */
  type: string
  default: ParameterValue
  /** Numbers only. */
  min: number | undefined
  max: number | undefined
  description: string
}

/** A detector's file, read and checked. */
export interface DetectorFile {
  /** The file's name without `.sql`. */
  id: string
  name: string
  /** What it catches and why. */
  description: string
  severity: Severity
  /** The mode until an operator chooses another. */
  mode: DetectorMode
  windowSeconds: number
  /** What `observed` and `threshold` count. */
  unit: string
  references: readonly string[]
  parameters: readonly DetectorParameter[]
  /** True: an operator's own, from DETECTORS_DIR. */
  own: boolean
  /**
   * - `requests`: aggregates of one address, computed in the one pass over the hour that all of these share
   * - `statement`: a SELECT of its own
   * - `findings`: a SELECT that reads the findings of this run too, and is run after the others
   */
  stage: 'requests' | 'statement' | 'findings'
  /** Path of the file. */
  path: string
  /** Its SQL, without the header. */
  sql: string
  /** Which rows of the address in the window prove it: an expression over `requests`, or `evidence`, a name of its WITH; empty: all. */
  evidence: string
  /** Whether such evidence is a probe, which is kept for weeks and counts for those who probe slowly. */
  probe: boolean
}

/** A detector as it is set now. */
export interface Detector extends DetectorFile {
  mode: DetectorMode
  /** In force: the file's defaults with what was set. */
  values: Readonly<Record<string, ParameterValue>>
  exceptions: readonly DetectorException[]
  /** 0: never set. */
  version: number
}

/** Something that a detector is to leave alone. */
export interface DetectorException {
  id: string
  /** `*`: every detector. */
  detector: string
  /** Addresses; null: any. */
  cidr: string | null
  /** Paths by a pattern as policies have it, such as `/healthz` or `/api/**`; null: any. */
  pathPattern: string | null
  note: string
  createdBy: string
  createdAt: Date
}

/** What a detector says of one address in one window. */
export interface Finding {
  /** `fnd_` and what address, detector and hour make of it: the same when the hour is run again. */
  id: string
  detector: string
  /** As addresses are counted: IPv4, or the first address of a /64. */
  address: string
  /** The lowest address of it that was seen. */
  ip: string
  severity: Severity
  mode: DetectorMode
  repeated: boolean
  runId: string
  /** The end of the hour that was closed. */
  flaggedAt: Date
  window: { from: Date; to: Date }
  observed: number
  threshold: number
  /** 0 to 100. */
  score: number
  requests: number
  errors: number
  services: readonly string[]
  country: string | null
  city: string | null
  asn: number | null
  asOrganization: string | null
  userAgent: string | null
  referers: readonly string[]
  target: string | null
  firstSeen: Date
  lastSeen: Date
  details: Record<string, unknown>
  parameters: Record<string, ParameterValue>
}

/** What a person said of a suspicious address. */
export interface Review {
  status: ReviewStatus
  note: string | null
  /** API key id, or null: nobody looked yet. */
  reviewedBy: string | null
  reviewedAt: Date | null
  /** The detectors that had flagged it by then: the verdict is about these. */
  detectors: readonly string[]
}

/** Findings of one address, put together. */
export interface SuspiciousIp {
  /** `sus_` and what the address makes of it. */
  id: string
  address: string
  /** As people write it; of a /64 the lowest address that was seen. */
  ip: string
  /** 0 to 100: 100 · (1 − Π (1 − s/100)) over the highest score s of each detector. */
  score: number
  /** Of the worst finding. */
  severity: Severity
  /** When it was flagged last. */
  flaggedAt: Date
  firstSeenAt: Date
  lastSeenAt: Date
  requests: number
  errorRate: number | null
  country: string | null
  city: string | null
  asn: number | null
  asOrganization: string | null
  services: readonly string[]
  detectors: readonly string[]
  /** OPEN again where it was flagged anew after RESOLVED, or by another detector after FALSE_POSITIVE. */
  review: Review
  isBlocked: boolean
}

/** Addresses that act as one. */
export interface Campaign {
  /** `cmp_` and what the kind and the key make of it. */
  id: string
  sharedBy: 'FINGERPRINT' | 'NETWORK' | 'TARGET'
  /** What they share, for people. */
  summary: string
  /** As people write them, in order. */
  ips: readonly string[]
  firstSeenAt: Date
  lastSeenAt: Date
  requests: number
}
