export { holds, mayUse, type Principal, type Scope, SCOPES } from '../principal.ts'
export { type Authenticate, authorise, identify, principalOf, requireScope } from './auth.ts'
export { answerDirectly } from './errors.ts'
export { createHealth, type Health, type HealthCheck, type HealthReport } from './health.ts'
export { createLog, type Log } from './log.ts'
export { createMetrics, type Metrics } from './metrics.ts'
export { Problem, problem, PROBLEM_TYPE, problemBody, type ProblemOptions } from './problem.ts'
export { type Counted, rateLimitHeaders, secondsOf } from './rate-limit.ts'
export {
  type CountFailedKey,
  noteRefusedKey,
  type OnRefusedKey,
  RefusedKey,
  type RefusedKeyInfo,
} from './refused-key.ts'
export { createHttpServer, type DirectHandler, type HttpServer, type HttpServerOptions } from './server.ts'
export { readText } from './text.ts'
