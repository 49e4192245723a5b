import type { Analytics, Asker } from '../analytics/index.ts'
import type { DetectorQueries, Suspicious } from '../detection/index.ts'
import type { Counted, Principal } from '../http/index.ts'
import type { Jobs } from '../jobs/index.ts'
import type { BlockList, Policies } from '../ratelimit/index.ts'
import type { Reports } from '../reports/index.ts'
import type { ApiKeys } from '../store/index.ts'
import type { Operation } from './selection.ts'

/** What a resolver has at hand. */
export interface Context {
  principal: Principal
  analytics: Analytics
  keys: ApiKeys
  policies: Policies
  blockList: BlockList
  jobs: Jobs
  reports: Reports
  detection: DetectorQueries
  suspicious: Suspicious
  /** Aborted when the client hangs up. */
  signal: AbortSignal
  /** Price of the whole operation in points. */
  cost: number
  /** What the key's points for the hour are after it. In an object, since Yoga hands on copies of the context. */
  points: { counted: Counted | undefined }
}

/** The same with what plugins tell each other. */
export interface RequestContext extends Context {
  /** What ran; undefined until it does, and where it did not. */
  operation: Operation | undefined
}

/** The one who asks, for the statements of one field. */
export const askerOf = ({ principal, signal }: Context, field: string): Asker => ({
  services: principal.services,
  signal,
  comment: `graphql ${field} key=${principal.keyId}`,
})
