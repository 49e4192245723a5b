import { spawnSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { temporaryFolder } from '../support/app.ts'
import { freePort } from '../support/free-port.ts'
import { startProxy, startShop, startVedette, type Vedette, visit } from './support.ts'

const COMMAND = process.env['VEDETTE_TEST_ENVOY'] ?? 'envoy'
const isThere = spawnSync(COMMAND, ['--version']).error === undefined
const CONFIGURATION = new URL('../../deploy/envoy/vedette.yaml', import.meta.url)

describe.skipIf(!isThere)(
  `a real Envoy (${isThere ? COMMAND : 'not on PATH nor in VEDETTE_TEST_ENVOY: not tried'})`,
  () => {
    const closers: (() => unknown)[] = []
    let vedette: Vedette
    let port: number

    beforeAll(async () => {
      const shop = await startShop()
      closers.push(shop.stop)
      vedette = await startVedette()
      closers.push(() => vedette.service.kill('SIGTERM'))
      port = await freePort()
      const configuration = (await readFile(CONFIGURATION, 'utf8'))
        .replace('address: 0.0.0.0, port_value: 8000', `address: 127.0.0.1, port_value: ${port}`)
        .replace('port_value: 8080', `port_value: ${vedette.port}`)
        .replace('port_value: 3000', `port_value: ${shop.port}`)
        .replace('VEDETTE_KEY', vedette.key)
      const file = join(await temporaryFolder(), 'envoy.yaml')
      await writeFile(file, configuration)
      const envoy = await startProxy(COMMAND, ['-c', file, '--use-dynamic-base-id', '-l', 'warning'], port)
      closers.push(envoy.stop)
    })
    afterAll(async () => {
      for (const close of closers.toReversed()) await close()
    })

    it('passes five requests a minute, and answers the sixth with 429 and Retry-After, whatever X-Forwarded-For says', async () => {
      const visits = []
      for (let request = 0; request < 6; request++)
        visits.push(await visit(port, '/cart?item=7', { headers: { 'x-forwarded-for': `203.0.113.${request}` } }))
      expect(visits.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 429])
      expect(JSON.parse(visits[0]!.body)).toMatchObject({
        url: '/cart?item=7',
        headers: { 'x-vedette-decision': 'allowed', 'x-vedette-policy': 'default' },
      })
      expect(visits[5]!.headers).toMatchObject({ 'retry-after': expect.stringMatching(/^(5\d|60)$/) })
    })

    it('is asked by method and path', async () => {
      const { saveRateLimitPolicy } = await vedette.graphql(
        'mutation { saveRateLimitPolicy(input: { name: "login", service: "shop", pathPattern: "/login", methods: ["POST"], limit: 1, windowSeconds: 60, mode: ENFORCE }) { policy { id } } }',
      )
      const login = () =>
        visit(port, '/login?next=/', { from: '127.0.0.3', method: 'POST', headers: { 'content-length': '0' } })
      expect([(await login()).status, (await login()).status]).toEqual([200, 429])
      expect((await visit(port, '/login', { from: '127.0.0.3' })).status).toBe(200)
      await vedette.graphql(
        `mutation { deleteRateLimitPolicy(id: "${saveRateLimitPolicy.policy.id}") { userErrors { message } } }`,
      )
    })

    it('lets nobody call himself a user or another service', async () => {
      const visits = []
      for (let request = 0; request < 6; request++)
        visits.push(
          await visit(port, '/', {
            from: '127.0.0.5',
            headers: { 'x-vedette-user': `user${request}`, 'x-vedette-service': 'other', authorization: 'Bearer mine' },
          }),
        )
      expect(visits.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 429])
    })

    it('answers a blocked address with 403', async () => {
      await vedette.graphql(
        'mutation { addBlockListEntry(input: { cidr: "127.0.0.4", reason: "test", force: true }) { userErrors { message } } }',
      )
      expect(await visit(port, '/', { from: '127.0.0.4' })).toMatchObject({ status: 403 })
    })

    it('passes requests while Vedette is frozen or stopped, as failure_mode_allow says', async () => {
      process.kill(vedette.service.pid, 'SIGSTOP')
      expect(await visit(port, '/', { from: '127.0.0.6' })).toMatchObject({ status: 200 })
      process.kill(vedette.service.pid, 'SIGCONT')
      await vedette.service.kill('SIGTERM')
      for (let request = 0; request < 7; request++)
        expect(await visit(port, '/', { from: '127.0.0.6' })).toMatchObject({ status: 200 })
    })
  },
)
