export const ACTIONS = ['allowed', 'rate_limited', 'blocked'] as const
export type Action = (typeof ACTIONS)[number]

/** One request that a service served: checked, located, ready to be encoded. Absent text is empty, absent numbers null. */
export interface RequestLog {
  /** Epoch in ms. */
  timestamp: number
  /** The address and where it is, encoded: see locate.ts. */
  located: string
  method: string
  path: string
  query: string
  status: number
  service: string
  host: string
  route: string
  protocol: string
  durationMs: number | null
  requestBytes: number | null
  responseBytes: number | null
  userId: string
  userAgent: string
  referer: string
  traceId: string
  action: Action
  policyId: string
  /** Flat JSON object, or empty. */
  attributes: string
}
