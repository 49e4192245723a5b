import { hash } from 'node:crypto'

import type { Address } from '../address.ts'
import type { BlockList, BlockListEntry } from '../blocklist/types.ts'
import type { DecisionLog, Outcome } from '../decisions/types.ts'
import type { Limiter, Rule, Verdict } from '../limiter/types.ts'
import { normalisePath } from '../policies/normalise.ts'
import type { Policies, Policy, Target } from '../policies/types.ts'

/** A request about to be served. */
export interface DecideRequest extends Target {
  /** Of the client; undefined: it cannot be known. */
  address: Address | undefined
  /** As the service knows them; empty: anonymous. */
  user: string
  /** The visitor's own key for the service, or what stands in for it; empty: none. It is kept as a hash only. */
  apiKey: string
}

export interface Decision {
  outcome: Exclude<Outcome, 'shadow_limited'>
  /** Undefined: none fits. */
  policy: Policy | undefined
  /** Undefined: nothing was counted. */
  verdict: Verdict | undefined
  /** The limit that holds for this client, whether it was counted or not. */
  limit: number | undefined
  /** Of the block list, where it decided. */
  entry: BlockListEntry | undefined
  /** Why it may be wrong: Redis gave no answer and this process counted alone, or the client could not be known. */
  degraded: 'redis-away' | 'client-unknown' | undefined
}

/** The policy's numbers as the limiter takes them. */
interface Rules {
  anonymous: Rule
  authenticated: Rule | undefined
}

/** Longer ones (paths, ids) are counted by their hash: they would only fill the store. */
const LONGEST_KEY = 64
const KEY_HASH_LENGTH = 22

const digest = (text: string): string => hash('sha256', text, 'base64url').slice(0, KEY_HASH_LENGTH)
const short = (text: string): string => (text.length > LONGEST_KEY ? digest(text) : text)

const rulesOf = ({ id, limit, authenticatedLimit, windowSeconds, algorithm, blockSeconds }: Policy): Rules => {
  const anonymous = { id, limit, windowSeconds, algorithm, blockSeconds }
  return {
    anonymous,
    authenticated: authenticatedLimit === null ? undefined : { ...anonymous, limit: authenticatedLimit },
  }
}

interface Counted {
  rule: Rule
  /** Undefined: there is nothing to count by. */
  key: string | undefined
}

/**
 * What is counted, and by which numbers. Users and keys are told apart from addresses by how they begin, so that nobody can
 * call himself by another's address.
 */
const countedBy = (policy: Policy, { anonymous, authenticated }: Rules, request: DecideRequest): Counted => {
  const { address, user, apiKey, path } = request
  const known = user !== ''
  const rule = known && authenticated ? authenticated : anonymous
  switch (policy.key) {
    case 'IP':
      return { rule, key: known && authenticated ? `user:${short(user)}` : address?.counted }
    case 'USER':
      return { rule, key: known ? `user:${short(user)}` : address?.counted }
    case 'API_KEY':
      return { rule, key: apiKey === '' ? address?.counted : `key:${digest(apiKey)}` }
    case 'IP_AND_PATH':
      return { rule, key: address && `${address.counted} ${short(normalisePath(path))}` }
    default:
      return policy.key satisfies never
  }
}

export interface DecideDependencies {
  policies: Pick<Policies, 'match'>
  blockList: Pick<BlockList, 'lookup'>
  limiter: Limiter
  decisionLog: Pick<DecisionLog, 'note'>
}

export type Decide = (request: DecideRequest) => Decision | Promise<Decision>

/**
 * Whether a request may pass: the block list first, then the most specific policy. At once where memory knows it, else
 * within the limiter's deadline. Each decision is noted for the log.
 */
export const createDecide = ({ policies, blockList, limiter, decisionLog }: DecideDependencies): Decide => {
  const rules = new WeakMap<Policy, Rules>()
  const rulesFor = (policy: Policy): Rules => {
    let known = rules.get(policy)
    if (!known) {
      known = rulesOf(policy)
      rules.set(policy, known)
    }
    return known
  }

  const note = (request: DecideRequest, outcome: Outcome, { policy, entry, counted }: Noted): void =>
    decisionLog.note({
      outcome,
      policyId: policy?.id ?? '',
      windowSeconds: policy?.windowSeconds ?? 0,
      service: request.service,
      address: request.address,
      counted: counted ?? request.address?.counted ?? '',
      entryId: entry?.id ?? '',
      method: request.method,
      path: request.path,
    })

  /** No policy was asked, so the log names none; the answer says what would hold. */
  const uncounted = (
    request: DecideRequest,
    outcome: 'allowed' | 'blocked',
    { policy, limit, entry }: Pick<Decision, 'policy' | 'limit' | 'entry'>,
  ): Decision => {
    note(request, outcome, { entry })
    return { outcome, policy, verdict: undefined, limit, entry, degraded: undefined }
  }

  /** Nothing can be known: the policy says which way to fail. */
  const unknown = (request: DecideRequest, policy: Policy, rule: Rule): Decision => {
    const outcome = policy.onError === 'DENY' && policy.mode === 'ENFORCE' ? 'limited' : 'allowed'
    note(request, outcome, { policy })
    return {
      outcome,
      policy,
      verdict: undefined,
      limit: rule.limit,
      entry: undefined,
      degraded: 'client-unknown',
    }
  }

  const judge = (
    request: DecideRequest,
    verdict: Verdict,
    noted: Noted & { policy: Policy },
    enforced: boolean,
  ): Decision => {
    const outcome = verdict.allowed ? 'allowed' : enforced ? 'limited' : 'shadow_limited'
    note(request, outcome, noted)
    return {
      outcome: outcome === 'limited' ? 'limited' : 'allowed',
      policy: noted.policy,
      verdict,
      limit: verdict.limit,
      entry: outcome === 'limited' ? noted.entry : undefined,
      degraded: verdict.degraded ? 'redis-away' : undefined,
    }
  }

  return (request) => {
    const { address } = request
    const entry = address && blockList.lookup(address)
    const policy = policies.match(request)
    const found = policy && countedBy(policy, rulesFor(policy), request)
    const limit = found?.rule.limit
    if (entry && entry.action !== 'RATE_LIMIT')
      return uncounted(request, entry.action === 'ALLOW' ? 'allowed' : 'blocked', { policy, limit, entry })
    const enforced = entry !== undefined || policy?.mode === 'ENFORCE'
    if (!policy || !found || (policy.mode === 'OFF' && !enforced))
      return uncounted(request, 'allowed', { policy, limit, entry: undefined })
    if (found.key === undefined) return unknown(request, policy, found.rule)
    const noted = { policy, entry, counted: found.key }
    const verdict = limiter.consume(found.rule, found.key)
    return verdict instanceof Promise
      ? verdict.then((later) => judge(request, later, noted, enforced))
      : judge(request, verdict, noted, enforced)
  }
}

interface Noted {
  policy?: Policy | undefined
  entry?: BlockListEntry | undefined
  counted?: string | undefined
}
