import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'

import type { Geo } from '../geo/index.ts'
import type { Counted, Principal } from '../http/index.ts'
import type { Redis } from '../redis/index.ts'
import type { Spool } from '../spool/index.ts'
import { createAccept } from './accept.ts'
import { createBodies } from './body.ts'
import { createBuffers } from './buffers.ts'
import { createIdempotency } from './idempotency.ts'
import { createImports } from './imports.ts'
import { createLocate } from './locate.ts'
import { createMask } from './mask.ts'
import { createCollectorMetrics } from './metrics.ts'
import { createPostLimit } from './post-limit.ts'
import { addRoutes } from './routes.ts'

export type { Import } from './imports.ts'
export { REQUEST_LOGS } from './table.ts'

/** Takes request logs by HTTP and hands them to the spool. */
export const createCollector = ({
  spool,
  geo,
  redis,
  registry,
  maskQuery,
  countPost,
  log,
}: {
  spool: Spool
  geo: Pick<Geo, 'lookup' | 'version'>
  redis: Redis
  registry: Registry
  /** Lower-case names of query parameters whose values are stored as `***`. */
  maskQuery: ReadonlySet<string>
  /** Counts a POST of an API key, before its body is read. Default: no limit. */
  countPost?: (principal: Principal) => Counted | Promise<Counted>
  log: Logger
}): { routes: (app: FastifyInstance) => void } => {
  const growing = createBuffers()
  const bodies = createBodies(growing)
  const metrics = createCollectorMetrics(registry, bodies.inFlight)
  const accept = createAccept({ spool, locate: createLocate(geo), mask: createMask(maskQuery), metrics, growing })
  const idempotency = createIdempotency({ journal: spool.journal, redis, log, owner: spool.id })
  const imports = createImports(spool.journal)
  const limit = createPostLimit(countPost, metrics)
  return {
    routes: (app) => addRoutes(app, { accept, bodies, idempotency, imports, metrics, limit, replay: spool.replay }),
  }
}
