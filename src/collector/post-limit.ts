import type { onRequestAsyncHookHandler } from 'fastify'

import { type Counted, type Principal, principalOf, problem, rateLimitHeaders, secondsOf } from '../http/index.ts'
import type { CollectorMetrics } from './metrics.ts'

const POLICY = { name: 'posts', windowSeconds: 60 }

/** An `onRequest` hook after `requireScope`: a key that is over its number of POSTs gets 429 before its body is read. */
export const createPostLimit =
  (
    countPost: ((principal: Principal) => Counted | Promise<Counted>) | undefined,
    metrics: CollectorMetrics,
  ): onRequestAsyncHookHandler =>
  async (request) => {
    if (!countPost) return
    const principal = principalOf(request)
    const counting = countPost(principal)
    // Most of the time it is known at once; awaiting what is known would cost a turn all the same.
    const counted = counting instanceof Promise ? await counting : counting
    if (counted.allowed) return
    metrics.requests.inc({ outcome: 'limited' })
    throw problem(429, {
      detail: `The API key "${principal.name}" has sent its ${counted.limit} POSTs of this minute; wait ${secondsOf(counted.retryAfterMs)} s, or send more rows at once. Nothing was taken.`,
      headers: rateLimitHeaders(POLICY, counted),
    })
  }
