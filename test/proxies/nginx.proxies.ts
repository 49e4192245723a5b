import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { temporaryFolder } from '../support/app.ts'
import { freePort } from '../support/free-port.ts'
import { startProxy, startShop, startVedette, type Vedette, visit } from './support.ts'

const CONFIGURATION = fileURLToPath(new URL('../../deploy/nginx', import.meta.url))

/** nginx.conf around the files of deploy/nginx, which are used as they are but for the addresses in them. */
const configuration = (folder: string, shop: number, servers: Record<'open' | 'closed', number>) => `
daemon off;
master_process off;
error_log stderr warn;
pid ${folder}/nginx.pid;
events {}
http {
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join('\n  ')}
  include ${folder}/vedette-upstream.conf;
  include ${folder}/vedette-log.conf;
  access_log ${folder}/access.json vedette;
  ${Object.entries(servers)
    .map(
      ([fail, port]) => `
  server {
    listen 127.0.0.1:${port};
    set $vedette_service shop;
    set $vedette_fail ${fail};
    include ${folder}/vedette-server.conf;
    location / {
      include ${folder}/vedette-protect.conf;
      proxy_pass http://127.0.0.1:${shop};
    }
    location = /__ready { return 204; }
  }`,
    )
    .join('')}
}
`

interface Nginx {
  /** Ports of two servers: one lets requests pass that Vedette gives no answer for, the other stops them. */
  open: number
  closed: number
  accessLog: () => Promise<any[]>
  log: () => string
}

const closers: (() => unknown)[] = []
let vedette: Vedette
let nginx: Nginx

const startNginx = async (key: string): Promise<Nginx> => {
  const shop = await startShop()
  closers.push(shop.stop)
  const folder = await temporaryFolder()
  await cp(CONFIGURATION, folder, { recursive: true })
  await writeFile(
    join(folder, 'vedette-upstream.conf'),
    `upstream vedette { server 127.0.0.1:${vedette.port}; keepalive 64; }`,
  )
  await writeFile(join(folder, 'vedette-key.conf'), `set $vedette_key ${key};`)
  const [open, closed] = [await freePort(), await freePort()]
  await writeFile(join(folder, 'nginx.conf'), configuration(folder, shop.port, { open, closed }))
  const { log, stop } = await startProxy(
    'nginx',
    ['-e', 'stderr', '-c', join(folder, 'nginx.conf'), '-p', folder],
    open,
  )
  closers.push(stop)
  return {
    open,
    closed,
    log,
    accessLog: async () =>
      (await readFile(join(folder, 'access.json'), 'utf8'))
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
  }
}

beforeAll(async () => {
  vedette = await startVedette()
  closers.push(() => vedette.service.kill('SIGTERM'))
  nginx = await startNginx(vedette.key)
})
afterAll(async () => {
  for (const close of closers.toReversed()) await close()
})

const block = async (cidr: string): Promise<string> =>
  (
    await vedette.graphql(
      `mutation { addBlockListEntry(input: { cidr: "${cidr}", reason: "test", force: true }) { entry { id } userErrors { message } } }`,
    )
  ).addBlockListEntry.entry.id

describe('a real nginx in front of a real service', () => {
  it('passes five requests a minute, and answers the sixth with 429 and Retry-After', async () => {
    const visits = []
    for (let request = 0; request < 6; request++) visits.push(await visit(nginx.open, '/cart?item=7'))
    expect(visits.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 429])
    expect(visits[0]!.headers['ratelimit']).toMatch(/^"default";r=4;t=/)
    expect(JSON.parse(visits[0]!.body)).toMatchObject({ service: 'shop', url: '/cart?item=7' })
    expect(visits[5]!.headers).toMatchObject({
      'retry-after': expect.stringMatching(/^(5\d|60)$/),
      ratelimit: expect.stringMatching(/^"default";r=0;t=\d+$/),
      'content-type': 'application/problem+json',
    })
    expect(JSON.parse(visits[5]!.body)).toMatchObject({ status: 429, title: 'Too Many Requests' })
  })

  it('passes everybody else meanwhile', async () => {
    expect(await visit(nginx.open, '/', { from: '127.0.0.3' })).toMatchObject({ status: 200 })
  })

  it('is not moved by a spoofed X-Forwarded-For, nor by the headers that Vedette believes proxies', async () => {
    const spoofed = {
      'x-forwarded-for': '203.0.113.9',
      forwarded: 'for=203.0.113.9',
      'x-vedette-user': 'somebody',
      'x-vedette-service': 'other',
      'x-original-uri': '/free',
      'x-real-ip': '203.0.113.9',
    }
    for (let request = 0; request < 3; request++)
      expect(
        await visit(nginx.open, '/', { headers: { ...spoofed, 'x-forwarded-for': `203.0.113.${request}` } }),
      ).toMatchObject({
        status: 429,
      })
  })

  it('answers a blocked address with 403, and passes it again when the block is lifted', async () => {
    const id = await block('127.0.0.4')
    expect(await visit(nginx.open, '/', { from: '127.0.0.4' })).toMatchObject({
      status: 403,
      headers: { 'retry-after': '86400', 'content-type': 'application/problem+json' },
    })
    await vedette.graphql(`mutation { removeBlockListEntry(id: "${id}") { userErrors { message } } }`)
    expect(await visit(nginx.open, '/', { from: '127.0.0.4' })).toMatchObject({ status: 200 })
  })

  it('leaves the service’s own 403 as it is', async () => {
    const answer = await visit(nginx.open, '/forbidden', { from: '127.0.0.5' })
    expect(answer.status).toBe(403)
    expect(JSON.parse(answer.body)).toMatchObject({ service: 'shop' })
  })

  it('asks about POST and other methods as well, without their bodies', async () => {
    expect(
      await visit(nginx.open, '/', { from: '127.0.0.6', method: 'POST', headers: { 'content-length': '0' } }),
    ).toMatchObject({
      status: 200,
    })
    expect(await visit(nginx.open, '/', { from: '127.0.0.6', method: 'DELETE' })).toMatchObject({ status: 200 })
  })

  it('writes into its log what was decided', async () => {
    const lines = await nginx.accessLog()
    expect(lines.find(({ action }) => action === 'rate_limited')).toMatchObject({ status: '429', policyId: 'default' })
    expect(lines.find(({ action }) => action === 'blocked')).toMatchObject({ status: '403' })
    expect(lines.find(({ request }) => request === 'GET /cart?item=7 HTTP/1.1')).toMatchObject({
      status: '200',
      policyId: 'default',
    })
  })
})

describe('what is no decision', () => {
  const from = '127.0.0.7'

  it('a key that is unknown, or has another scope: open passes, closed answers 503', async () => {
    const { createApiKey } = await vedette.graphql(
      'mutation { createApiKey(name: "other", scopes: [COLLECT]) { secret } }',
    )
    for (const key of [createApiKey.secret, 'vdt_unknown']) {
      const { open, closed } = await startNginx(key)
      for (let request = 0; request < 7; request++)
        expect(await visit(open, '/', { from }), key).toMatchObject({ status: 200 })
      expect(await visit(closed, '/', { from }), key).toMatchObject({
        status: 503,
        headers: { 'content-type': 'application/problem+json' },
      })
    }
  })

  it('a frozen Vedette: open passes, closed answers 503, each soon', async () => {
    process.kill(vedette.service.pid, 'SIGSTOP')
    const startedAt = performance.now()
    try {
      expect(await visit(nginx.open, '/', { from })).toMatchObject({ status: 200 })
      expect(await visit(nginx.closed, '/', { from })).toMatchObject({ status: 503 })
      expect(performance.now() - startedAt).toBeLessThan(2_000)
    } finally {
      process.kill(vedette.service.pid, 'SIGCONT')
    }
  })

  it('a stopped Vedette: open passes, closed answers 503; when it is back, decisions are too', async () => {
    await vedette.service.kill('SIGTERM')
    for (let request = 0; request < 7; request++)
      expect(await visit(nginx.open, '/', { from })).toMatchObject({ status: 200 })
    expect(await visit(nginx.closed, '/', { from })).toMatchObject({ status: 503 })
    await vedette.start()
    const statuses: number[] = []
    await expect
      .poll(async () => {
        statuses.push((await visit(nginx.open, '/', { from })).status)
        return statuses
      })
      .toContain(429)
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(5)
    expect(nginx.log()).not.toMatch(/\[emerg\]/)
  })
})
