import type { GraphQLError } from 'graphql'
import type { Plugin } from 'graphql-yoga'

import { type Counted, type Principal, secondsOf } from '../http/index.ts'
import type { RequestContext } from './context.ts'
import { publicError } from './errors.ts'

/** Takes points from what a key may spend in an hour. */
export type SpendPoints = (principal: Principal, points: number) => Counted | Promise<Counted>

/** As headers name it. */
export const POINTS_POLICY = { name: 'points', windowSeconds: 3600 }

/** What is refused before it has a price was read and checked all the same. */
const LEAST_COST = 1

export interface Purse {
  /** Once for each request. @returns false: the key has spent its points */
  spend: (context: RequestContext, price: number) => Promise<boolean>
}

export const createPurse = (spendPoints: SpendPoints | undefined): Purse => ({
  spend: async ({ principal, points }, price) => {
    points.counted ??= await spendPoints?.(principal, Math.max(LEAST_COST, price))
    return points.counted?.allowed ?? true
  },
})

export const rateLimited = ({ principal, cost, points }: RequestContext): GraphQLError => {
  const { limit, retryAfterMs } = points.counted!
  const seconds = secondsOf(retryAfterMs)
  const price = cost > 0 ? `, and this operation costs ${cost}` : ''
  return publicError(
    'RATE_LIMITED',
    `the key "${principal.name}" has spent its ${limit} points of this hour${price}; there are new ones in ${seconds} s`,
    { resetAt: new Date(Date.now() + retryAfterMs).toISOString(), cost, limit, http: { status: 429 } },
  )
}

/** What was refused before it ran, such as a syntax error, costs a point: else it could be sent without end. */
export const pointsPlugin = (purse: Purse): Plugin<object, RequestContext> => ({
  onResultProcess: async (process) => {
    const context = process.serverContext as RequestContext
    if (!(await purse.spend(context, LEAST_COST))) process.setResult({ errors: [rateLimited(context)] })
  },
})
