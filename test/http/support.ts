import {
  createHealth,
  createHttpServer,
  createMetrics,
  type Health,
  type HttpServer,
  type HttpServerOptions,
  type Principal,
  type Scope,
} from '../../src/http/index.ts'
import { capturedLog } from '../support/log.ts'

export const principal = (...scopes: Scope[]): Principal => ({
  keyId: 'key_test',
  name: 'test',
  scopes: new Set(scopes),
  services: null,
  pointsPerHour: 1_000,
  postsPerMinute: 1_000,
})

/** Three keys; their secrets are long enough to be looked for in logs. */
export const KEYS: Record<string, Principal> = {
  vdt_collector00000000000000000000: principal('COLLECT'),
  vdt_reader0000000000000000000000: principal('ANALYTICS_READ', 'LOGS_READ'),
  'an-operators-own-admin-key-of-32-characters': principal('ADMIN'),
}
export const COLLECTOR = 'vdt_collector00000000000000000000'
export const READER = 'vdt_reader0000000000000000000000'
export const ADMIN = 'an-operators-own-admin-key-of-32-characters'

export interface TestServer {
  server: HttpServer
  health: Health
  /** After `start`. */
  url: string
  start: () => Promise<string>
  logged: () => string
}

/** A server that is not started yet, so that a test adds its routes first. */
export const testServer = (options: Partial<HttpServerOptions> = {}): TestServer => {
  const { log, text } = capturedLog()
  const health = createHealth({ log, deadlineMs: 100 })
  const server = createHttpServer({
    host: '127.0.0.1',
    port: 0,
    log,
    trustedProxies: [],
    authenticate: (secret) => (Object.hasOwn(KEYS, secret) ? KEYS[secret] : undefined),
    health,
    metrics: createMetrics(),
    ...options,
  })
  const test: TestServer = {
    server,
    health,
    url: '',
    start: async () => {
      test.url = (await server.start()).url
      return test.url
    },
    logged: text,
  }
  return test
}
