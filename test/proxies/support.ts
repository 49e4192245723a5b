import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

import { temporaryFolder } from '../support/app.ts'
import { freePort } from '../support/free-port.ts'
import { type ServiceProcess, startService } from '../support/process.ts'

/** A real little service behind the proxy. It answers what it was asked, and 403 to whom it does not like itself. */
export const startShop = async () => {
  const server = createServer((incoming, response) => {
    const forbidden = incoming.url === '/forbidden'
    response.writeHead(forbidden ? 403 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ service: 'shop', url: incoming.url, headers: incoming.headers }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, stop: () => void server.close() }
}

export interface Vedette {
  port: number
  /** Of an API key with DECIDE. */
  key: string
  service: ServiceProcess
  admin: string
  /** Again on the same data and port. */
  start: () => Promise<void>
  graphql: (query: string) => Promise<any>
}

/** A Vedette of its own process, that believes 127.0.0.1. */
export const startVedette = async (): Promise<Vedette> => {
  const [dataDir, port] = [await temporaryFolder(), await freePort()]
  const begin = async () => {
    const service = startService({ dataDir, port, env: { TRUSTED_PROXIES: '127.0.0.1' } })
    await service.ready()
    return service
  }
  let service = await begin()
  const admin = (await readFile(join(dataDir, 'admin-key'), 'utf8')).trim()
  const graphql = async (query: string) => {
    const response = await fetch(`${service.url}/graphql`, {
      method: 'POST',
      headers: { authorization: `Bearer ${admin}`, 'content-type': 'application/json' },
      body: JSON.stringify({ query }),
    })
    return ((await response.json()) as { data: any }).data
  }
  const { createApiKey } = await graphql('mutation { createApiKey(name: "proxy", scopes: [DECIDE]) { secret } }')
  return {
    port,
    key: createApiKey.secret,
    get service() {
      return service
    },
    admin,
    start: async () => {
      service = await begin()
    },
    graphql,
  }
}

/** A program in the foreground, until it answers on the port. @throws what it wrote, where it ends instead */
export const startProxy = async (command: string, args: readonly string[], port: number) => {
  const child: ChildProcess = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let written = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk: Buffer) => (written += chunk))
  const failed = once(child, 'error').then(([error]) => {
    throw new Error(`${command} cannot be started; install it (such as "apt-get install nginx-light")`, {
      cause: error,
    })
  })
  failed.catch(() => {})
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${command} ended with ${child.exitCode}: ${written}`)
    const answers = await Promise.race([
      fetch(`http://127.0.0.1:${port}/__ready`).then(
        () => true,
        () => false,
      ),
      failed,
    ])
    if (answers) break
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return {
    log: () => written,
    stop: async () => {
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    },
  }
}

export interface Visit {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: string
}

/** A request from one of the machine's loopback addresses, as if from another machine. */
export const visit = (
  port: number,
  path: string,
  {
    from = '127.0.0.2',
    headers = {},
    method = 'GET',
  }: { from?: string; headers?: Record<string, string>; method?: string } = {},
): Promise<Visit> =>
  new Promise((resolve, reject) => {
    const outgoing = request(
      { host: '127.0.0.1', port, path, method, headers, localAddress: from, agent: false },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.once('end', () =>
          resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks).toString() }),
        )
      },
    )
    outgoing.once('error', reject)
    outgoing.end()
  })
