import { setTimeout as wait } from 'node:timers/promises'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { temporaryFolder } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { freePort } from '../support/free-port.ts'
import { type ServiceProcess, startService } from '../support/process.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { until } from './service.ts'

const ADMIN_KEY = 'vdt_faults0123456789abcdefghijklmnop'
const DECISIONS = 10_000
const CLIENTS = 32
const LIMIT = 1_000
/** The limiter's deadline is 50 ms; the rest is two services, the stores and the clients on two cores. */
const BOUND_MS = 1_000

const database = testDatabase()
const closers: (() => unknown)[] = []
const services: ServiceProcess[] = []
let redis: RedisServer

beforeAll(async () => {
  redis = await startRedis()
  closers.push(() => redis.stop())
  for (let number = 0; number < 2; number++) {
    const service = startService({
      dataDir: await temporaryFolder(),
      port: await freePort(),
      env: {
        CLICKHOUSE_URL: database.url,
        REDIS_URL: redis.url,
        TRUSTED_PROXIES: '127.0.0.1',
        VEDETTE_ADMIN_KEY: ADMIN_KEY,
        LOG_LEVEL: 'error',
      },
    })
    closers.push(() => service.kill('SIGKILL'))
    await service.ready()
    services.push(service)
  }
  await graphql(
    `mutation { saveRateLimitPolicy(input: { id: "default", limit: ${LIMIT}, windowSeconds: 3600, mode: ENFORCE }) { userErrors { message } } }`,
  )
  await graphql(
    `mutation { saveRateLimitPolicy(input: { name: "sliding", pathPattern: "/sliding", limit: ${LIMIT}, windowSeconds: 3600, algorithm: SLIDING_WINDOW, mode: ENFORCE }) { userErrors { message } } }`,
  )
  // Both processes know both.
  for (const { url } of services)
    for (const path of ['/', '/sliding'])
      await until('both processes know the policies', 10_000, async () => {
        const { limit } = await decide(url, `192.0.2.${path.length}`, path)
        return limit === String(LIMIT)
      })
})
afterAll(async () => {
  for (const close of closers.toReversed()) await close()
})

const graphql = async (query: string): Promise<void> => {
  const response = await fetch(`${services[0]!.url}/graphql`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  })
  expect(await response.text()).toMatch(/"userErrors":\[\]/)
}

const decide = async (url: string, ip: string, path: string) => {
  const startedAt = performance.now()
  const response = await fetch(`${url}/v1/decide?dialect=traefik`, {
    headers: { 'x-api-key': ADMIN_KEY, 'x-forwarded-for': ip, 'x-forwarded-uri': path },
  })
  await response.arrayBuffer()
  return {
    status: response.status,
    decision: response.headers.get('x-vedette-decision'),
    limit: response.headers.get('x-ratelimit-limit'),
    degraded: response.headers.get('x-vedette-degraded') !== null,
    ms: performance.now() - startedAt,
  }
}
type Answer = Awaited<ReturnType<typeof decide>>

/** At random over both processes, until `isOver` by their count. */
const load = async (ip: () => string, path: string, isOver: (count: number) => boolean): Promise<Answer[]> => {
  const answers: Answer[] = []
  let asked = 0
  await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      while (!isOver(asked++)) answers.push(await decide(services[Math.random() < 0.5 ? 0 : 1]!.url, ip(), path))
    }),
  )
  return answers
}

const expectAnswered = (answers: readonly Answer[]): void => {
  expect(answers.filter(({ status }) => status !== 200 && status !== 429)).toEqual([])
  expect(answers.filter(({ decision }) => decision === null)).toEqual([])
  expect(Math.max(...answers.map(({ ms }) => ms))).toBeLessThan(BOUND_MS)
}

const figures = (what: string, answers: readonly Answer[]): void => {
  const ms = answers.map((answer) => answer.ms).toSorted((a, b) => a - b)
  const at = (part: number) => ms[Math.floor(part * (ms.length - 1))]!.toFixed(1)
  const passed = answers.filter(({ decision }) => decision === 'allowed').length
  const degraded = answers.filter((answer) => answer.degraded).length
  console.log(
    `${what}: ${answers.length} decisions, ${passed} passed, ${degraded} from memory alone, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms`,
  )
}

test.each([
  ['FIXED_WINDOW', '198.51.100.1', '/'],
  ['SLIDING_WINDOW', '198.51.100.2', '/sliding'],
])(
  `two processes on one Redis: of ${DECISIONS} decisions for one address at random over both, %s passes exactly ${LIMIT}`,
  async (algorithm, ip, path) => {
    const answers = await load(
      () => ip,
      path,
      (count) => count >= DECISIONS,
    )
    expectAnswered(answers)
    figures(algorithm, answers)
    // Whom Redis kept waiting was perhaps counted there, and then decided on by one process alone.
    const late = answers.filter(({ degraded }) => degraded).length
    const shared = answers.filter(({ decision, degraded }) => decision === 'allowed' && !degraded).length
    expect(shared).toBeLessThanOrEqual(LIMIT)
    expect(shared + late).toBeGreaterThanOrEqual(LIMIT)
    if (late === 0) expect(shared).toBe(LIMIT)
  },
)

const sharedAgain = (): Promise<void> =>
  until('both processes count in Redis again', 10_000, async () => {
    const answers = []
    for (const { url } of services) answers.push(await decide(url, '198.51.100.4', '/'))
    return !answers.some(({ degraded }) => degraded)
  })

test('Redis frozen, thawed, killed and started again in the middle: every answer in time, none of them a 5xx', async () => {
  let over = false
  // Each its own address: one that is over its limit is known from memory, and Redis would not be asked.
  let visitor = 0
  const running = load(
    () => `2001:db8:3:${++visitor % 10_000}::1`,
    '/',
    () => over,
  )
  // Load for a while in each state; that it passes from one into the other is what is tested.
  await wait(500)
  redis.freeze()
  await wait(3_000)
  redis.thaw()
  await sharedAgain()
  await redis.kill()
  await wait(2_000)
  await redis.restart()
  await sharedAgain()
  await wait(500)
  over = true
  const answers = await running
  expectAnswered(answers)
  expect(answers.some(({ degraded }) => degraded)).toBe(true)
  figures('frozen, thawed, killed, started again', answers)
})
