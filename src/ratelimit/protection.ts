import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'

import type { ClickHouse } from '../clickhouse/index.ts'
import type { Authenticate, DirectHandler, OnRefusedKey } from '../http/index.ts'
import type { Redis } from '../redis/index.ts'
import type { SecurityLog } from '../securitylog/index.ts'
import type { Spool } from '../spool/index.ts'
import { createBlockList } from './blocklist/blocklist.ts'
import { addBlockListRoutes } from './blocklist/routes.ts'
import type { BlockList } from './blocklist/types.ts'
import { createCrowdsec } from './crowdsec/crowdsec.ts'
import { createDecideRoute } from './decide/route.ts'
import { createDecisionLog } from './decisions/log.ts'
import type { Limiter } from './limiter/types.ts'
import { createPolicies } from './policies/policies.ts'
import type { Policies } from './policies/types.ts'

export interface ProtectionDependencies {
  clickhouse: ClickHouse
  redis: Redis
  spool: Spool
  limiter: Limiter
  securityLog: SecurityLog
  authenticate: Authenticate
  onRefusedKey?: OnRefusedKey
  registry: Registry
  log: Logger
  dataDir: string
  /** CIDRs whose forwarding headers are believed, and which are not blocked. */
  trustedProxies: readonly string[]
  policyFile: string | undefined
}

/** The protecting half: who may pass, and the record of it. */
export interface Protection {
  policies: Policies
  blockList: BlockList
  /** @throws {ConfigError} the policy file does not fit */
  start: () => Promise<void>
  /** After the server, before the spool. */
  stop: () => Promise<void>
  /** The block list and CrowdSec's routes. */
  routes: (app: FastifyInstance) => void
  /** `/v1/decide`, which goes past Fastify. */
  decide: { path: string; handle: DirectHandler }
}

export const createProtection = (dependencies: ProtectionDependencies): Protection => {
  const { redis, limiter, registry, log } = dependencies
  const policies = createPolicies(dependencies)
  const blockList = createBlockList(dependencies)
  const decisionLog = createDecisionLog(dependencies)
  const crowdsec = createCrowdsec({ blockList, redis, registry, log })
  return {
    policies,
    blockList,
    start: async () => {
      await policies.start()
      await blockList.start()
      decisionLog.start()
    },
    stop: async () => {
      await decisionLog.stop()
      await blockList.stop()
      await policies.stop()
    },
    routes: (app) => {
      addBlockListRoutes(app, { blockList })
      crowdsec.routes(app)
    },
    decide: createDecideRoute({ ...dependencies, policies, blockList, limiter, decisionLog }),
  }
}
