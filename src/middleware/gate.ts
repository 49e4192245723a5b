import type { Decide } from './decide.ts'
import { type Denial, denialOf } from './denial.ts'
import type { Decision } from './decision.ts'
import type { Exchange, Exchanges } from './exchange.ts'
import type { Hooks } from './hooks.ts'
import { nameField } from './json.ts'
import type { Settings } from './options.ts'
import type { Warnings } from './warnings.ts'

/** Headers for the answer of a request that may pass, or its refusal. */
export type Passage = { denial: undefined; headers: Decision['headers'] } | { denial: Denial }

const NO_HEADERS: Decision['headers'] = []
const OPEN: Passage = { denial: undefined, headers: NO_HEADERS }

/** Asks for the decision on a request and notes it for the request's row. */
export const createGate = <R>({
  decide,
  onError,
  exchanges,
  hooks,
  warnings,
}: {
  decide: Decide
  onError: NonNullable<Settings<R>['decide']>['onError']
  exchanges: Exchanges<R>
  hooks: Hooks<R>
  warnings: Warnings
}) => {
  const withoutDecision = (exchange: Exchange<R>): Passage => {
    if (onError === 'allow') return OPEN
    // Not the service's failure: rules on errors leave it out.
    exchange.rest = ',"action":"blocked"'
    return { denial: denialOf(undefined) }
  }

  const passageOf = (exchange: Exchange<R>, decision: Decision | undefined): Passage => {
    if (!decision) return withoutDecision(exchange)
    const { outcome, policyId, headers } = decision
    const action = outcome === 'allowed' ? '' : `,"action":"${outcome === 'limited' ? 'rate_limited' : 'blocked'}"`
    exchange.rest = action + nameField('policyId', policyId)
    return outcome === 'allowed' ? { denial: undefined, headers } : { denial: denialOf(decision) }
  }

  /** @param done called once, perhaps at once; what it throws is thrown on, as it would be without this in front. */
  return (exchange: Exchange<R>, done: (passage: Passage) => void): void => {
    let ip: string | undefined
    try {
      ip = exchanges.identify(exchange)
    } catch (error) {
      warnings.fault('a request could not be asked about', error)
    }
    if (ip === undefined) {
      decide.counts.none++
      warnings.warn('nobody', "no decision: nobody knows the client's address; see trustedProxies and clientAddress")
      done(withoutDecision(exchange))
      return
    }
    const { path, userId, request, source } = exchange
    decide.ask({ ip, method: request!.method!, path, userId, apiKey: hooks.apiKey(source!) }, (decision) =>
      done(passageOf(exchange, decision)),
    )
  }
}

export type Gate<R> = ReturnType<typeof createGate<R>>
