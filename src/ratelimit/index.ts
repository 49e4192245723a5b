export { type Address, isWithin, parseAddress, parsePrefix, type Prefix } from './address.ts'
export {
  BLOCK_ACTIONS,
  BLOCK_SOURCES,
  type BlockAction,
  type BlockList,
  type BlockListChange,
  type BlockListEntry,
  type BlockSource,
  type NewBlockListEntry,
} from './blocklist/types.ts'
export { type BlockListDependencies, createBlockList } from './blocklist/blocklist.ts'
export { createPrefixTree, type PrefixTree } from './blocklist/prefix-tree.ts'
export { BLOCK_LIST_ENTRY_ID, checkNewEntry } from './blocklist/entries.ts'
export { BLOCK_LIST_FORMATS, type BlockListFormat, formatBlockList } from './blocklist/formats.ts'
export { createRefusal } from './blocklist/reserved.ts'
export { addBlockListRoutes } from './blocklist/routes.ts'
export { checkPolicy, type GivenPolicy } from './policies/check.ts'
export { normalisePath } from './policies/normalise.ts'
export { patternToRegExp } from './policies/pattern.ts'
export { createPolicies, type PoliciesDependencies } from './policies/policies.ts'
export { createServiceTest, serviceToRegExp } from './policies/service-pattern.ts'
export { type DecisionLog, type NotedDecision, type Outcome, OUTCOMES } from './decisions/types.ts'
export {
  type Policies,
  type Policy,
  type PolicySource,
  type PolicyValues,
  RATE_LIMIT_ALGORITHMS,
  RATE_LIMIT_KEYS,
  RATE_LIMIT_MODES,
  RATE_LIMIT_ON_ERROR,
  type RateLimitAlgorithm,
  type RateLimitKey,
  type RateLimitMode,
  type RateLimitOnError,
  type Target,
} from './policies/types.ts'
export { createGuards, type Guards } from './guards.ts'
export type { Limiter, Rule, Verdict } from './limiter/types.ts'
export { createLimiter, type LimiterDependencies } from './limiter/limiter.ts'
export { createDecideRoute, type DecideRouteDependencies } from './decide/route.ts'
export { createCrowdsec, type Crowdsec, type CrowdsecDependencies } from './crowdsec/crowdsec.ts'
export { createProtection, type Protection, type ProtectionDependencies } from './protection.ts'
export { DECISIONS } from './decisions/table.ts'
