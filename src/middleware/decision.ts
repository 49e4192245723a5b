export const OUTCOMES = ['allowed', 'limited', 'blocked'] as const
export type Outcome = (typeof OUTCOMES)[number]

/** What Vedette said of a request. */
export interface Decision {
  outcome: Outcome
  /** Empty: none applied. */
  policyId: string
  /** For the visitor: RateLimit and the like, by their names as they are to be sent. */
  headers: [name: string, value: string][]
}

/** Who wants what. */
export interface Asked {
  ip: string
  method: string
  /** With the query. */
  path: string
  userId: string
  apiKey: string
}

/** Undefined: there is no decision. */
export type Decided = (decision: Decision | undefined) => void
