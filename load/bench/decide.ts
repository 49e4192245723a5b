import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { setPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { freePort } from '../../test/support/free-port.ts'
import { startService } from '../../test/support/process.ts'
import { startRedis } from '../../test/support/redis-server.ts'
import { cpuOf } from './cpu.ts'
import { generate, GENERATOR, type Loaded, median } from './generator.ts'
import { startFlags } from './flags.ts'

const CONNECTIONS = [1, 32, 256]
const ROUNDS = 3
const SECONDS = 3
const ADDRESSES = 1_000

interface Server {
  name: string
  url: string
  pid: number
  path: string
  headers: Record<string, string>
  variants: number
}

interface Measured extends Loaded {
  /** Of the server's process, µs a request. */
  cpu: number
}

const answers = async (url: string, headers: Record<string, string>): Promise<void> => {
  for (;;) {
    const response = await fetch(`${url}/v1/decide`, { headers }).catch(() => undefined)
    await response?.arrayBuffer()
    if (response) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const measureOnce = async (server: Server, connections: number): Promise<Measured> => {
  const before = cpuOf(server.pid)
  const { url, path, headers, variants } = server
  const loaded = await generate({ url, path, headers, variants, connections, seconds: SECONDS })
  return { ...loaded, cpu: (cpuOf(server.pid) - before) / loaded.requests }
}

/** By turns, so that what else the machine does hits all alike. */
const measure = async (servers: readonly Server[], connections: number): Promise<Measured[]> => {
  const rounds: Measured[][] = []
  for (let round = 0; round < ROUNDS; round++) {
    const found: Measured[] = []
    for (const server of servers) found.push(await measureOnce(server, connections))
    rounds.push(found)
  }
  return servers.map((_, index) => {
    const own = rounds.map((round) => round[index]!)
    const of = (pick: (measured: Measured) => number) => median(own.map(pick))
    return {
      requests: own.reduce((sum, { requests }) => sum + requests, 0),
      refused: own.reduce((sum, { refused }) => sum + refused, 0),
      perSecond: of(({ perSecond }) => perSecond),
      p50: of(({ p50 }) => p50),
      p99: of(({ p99 }) => p99),
      cpu: of(({ cpu }) => cpu),
    }
  })
}

const print = (connections: number, servers: readonly Server[], found: readonly Measured[]): void => {
  const first = found[0]!
  for (const [index, { perSecond, p50, p99, cpu, refused }] of found.entries())
    console.log(
      [
        String(connections).padStart(11),
        servers[index]!.name.padEnd(22),
        Math.round(perSecond).toLocaleString('en-US').padStart(9),
        p50.toFixed(2).padStart(7),
        p99.toFixed(2).padStart(7),
        cpu.toFixed(1).padStart(7),
        `${((perSecond / first.perSecond) * 100).toFixed(0)} %`.padStart(10),
        `${(p99 / first.p99).toFixed(2)} ×`.padStart(9),
        refused > 0 ? 'denied' : '',
      ].join('  '),
    )
}

const HEAD = 'connections  server                  requests/s      p50      p99   CPU µs  of the first  p99'

/** `npm run bench -- decide` */
export const run = async (): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'vedette-bench-'))
  const redis = await startRedis()
  const children: ChildProcess[] = []
  const port = await freePort()
  const service = startService({
    dataDir: folder,
    port,
    env: { LOG_LEVEL: 'error', TRUSTED_PROXIES: '127.0.0.1', REDIS_URL: redis.url },
    flags: await startFlags(),
  })
  try {
    await service.ready()
    const admin = (await readFile(join(folder, 'admin-key'), 'utf8')).trim()
    const graphql = async (query: string): Promise<any> => {
      const response = await fetch(`${service.url}/graphql`, {
        method: 'POST',
        headers: { authorization: `Bearer ${admin}`, 'content-type': 'application/json' },
        body: JSON.stringify({ query }),
      })
      const { data, errors } = (await response.json()) as { data: any; errors?: unknown }
      if (errors) throw new Error(JSON.stringify(errors))
      return data
    }
    const { createApiKey } = await graphql('mutation { createApiKey(name: "bench", scopes: [DECIDE]) { secret } }')
    const save = (input: string) =>
      graphql(
        `mutation { saveRateLimitPolicy(input: { ${input}, windowSeconds: 60, mode: ENFORCE }) { userErrors { message } } }`,
      )
    await save('id: "default", name: "default", limit: 1000000')
    await save('name: "sliding", pathPattern: "/sliding", limit: 1000000, algorithm: SLIDING_WINDOW')
    await save('name: "limited", pathPattern: "/limited", limit: 1, blockSeconds: 3600')
    await graphql(
      'mutation { addBlockListEntry(input: { cidr: "2001:db8:b::/48", reason: "bench", force: true }) { userErrors { message } } }',
    )

    const headersFor = (path: string, address: string) => ({
      'X-Api-Key': createApiKey.secret as string,
      'X-Original-URI': `${path}?item=7`,
      'X-Original-Method': 'GET',
      'X-Forwarded-For': address,
    })
    const visitors = headersFor('/cart', '2001:db8:f:{n}::1')
    const peer = async (name: string): Promise<Server> => {
      const own = await freePort()
      const child = spawn(
        process.execPath,
        [fileURLToPath(new URL('peers.ts', import.meta.url)), name, String(own), redis.url],
        {
          stdio: 'inherit',
        },
      )
      children.push(child)
      const url = `http://127.0.0.1:${own}`
      await answers(url, {})
      return { name, url, pid: child.pid!, path: '/v1/decide?dialect=nginx', headers: visitors, variants: ADDRESSES }
    }
    const vedette = (name: string, headers: Record<string, string>): Server => ({
      name,
      url: service.url,
      pid: service.pid,
      path: '/v1/decide?dialect=nginx&service=shop',
      headers,
      variants: ADDRESSES,
    })
    const floor = await peer('floor')
    const bare = await peer('bare')
    const library = await peer('@fastify/rate-limit')
    // The load stands for other machines: it takes what the servers leave.
    setPriority(10)

    const counted = [
      floor,
      vedette('Vedette, fixed window', headersFor('/cart', '2001:db8:1:{n}::1')),
      vedette('Vedette, sliding', headersFor('/sliding', '2001:db8:2:{n}::1')),
      library,
    ]
    const known = [
      bare,
      vedette('Vedette, blocked', headersFor('/cart', '2001:db8:b:{n}::1')),
      vedette('Vedette, limited', headersFor('/limited', '2001:db8:3:{n}::1')),
    ]
    for (const server of [...counted, ...known]) await generate({ ...server, connections: 32, seconds: 2 })

    console.log(`Load by ${GENERATOR} on the same two cores; medians of ${ROUNDS} rounds of ${SECONDS} s by turns.\n`)
    console.log('Decisions that Redis counts, against a bare node:http server that makes one EVALSHA a request:')
    console.log(HEAD)
    for (const connections of CONNECTIONS) print(connections, counted, await measure(counted, connections))
    console.log('\nDecisions from memory, against a bare node:http answer:')
    console.log(HEAD)
    for (const connections of CONNECTIONS) print(connections, known, await measure(known, connections))
    const metrics = await (await fetch(`${service.url}/metrics`)).text()
    const value = (name: string) => /^\S+ (\S+)/m.exec(metrics.slice(metrics.indexOf(`\n${name}`) + 1))?.[1]
    console.log(`\nCounted by this process alone for want of Redis: ${value('vedette_limiter_degraded_total') ?? '0'}`)
  } finally {
    for (const child of children) child.kill()
    await service.kill('SIGTERM')
    await redis.stop()
    await rm(folder, { recursive: true, force: true })
  }
}
