import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { get, type RequestOptions } from 'node:https'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { temporaryFolder, testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { freePort } from '../support/free-port.ts'

const run = promisify(execFile)
const answers = (port: number): Promise<boolean> =>
  fetch(`http://127.0.0.1:${port}/healthz`).then(
    ({ ok }) => ok,
    () => false,
  )
const NGINX = fileURLToPath(new URL('../../deploy/nginx', import.meta.url))
const there = ['nginx', 'openssl'].every((command) => spawnSync(command, ['-h']).error === undefined)

// CI installs nginx for this; elsewhere it is shown as skipped where nginx or openssl is not there.
describe.skipIf(!there)('deploy/nginx/vedette.conf in a real nginx', () => {
  const service = testApp(testDatabase())
  const closers: (() => unknown)[] = []
  let plain = 0
  let tls = 0

  /** The file as it is, but for ports and paths, and for IPv6, which not every container has. */
  const configuration = async (folder: string): Promise<string> => {
    const site = (await readFile(join(NGINX, 'vedette.conf'), 'utf8'))
      .replaceAll(/^.*listen \[::\].*\n/gm, '')
      .replace('listen 80;', `listen 127.0.0.1:${plain};`)
      .replace('listen 443 ssl;', `listen 127.0.0.1:${tls} ssl;`)
      .replaceAll('/etc/nginx/tls', folder)
      .replace('/var/log/nginx/access.log', join(folder, 'access.log'))
    await writeFile(join(folder, 'vedette.conf'), site)
    const upstream = await readFile(join(NGINX, 'vedette-upstream.conf'), 'utf8')
    await writeFile(
      join(folder, 'vedette-upstream.conf'),
      upstream.replace('127.0.0.1:8080', new URL(service.url).host),
    )
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    const main = join(folder, 'nginx.conf')
    await writeFile(
      main,
      `daemon off; master_process off; error_log stderr warn; pid ${folder}/nginx.pid; events {}
      http {
        access_log off;
        ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')}
        include ${folder}/vedette-upstream.conf;
        include ${folder}/vedette.conf;
      }`,
    )
    return main
  }

  const visit = (path: string, options: RequestOptions = {}): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      get({ port: tls, host: '127.0.0.1', path, rejectUnauthorized: false, agent: false, ...options }, resolve).once(
        'error',
        reject,
      )
    })

  beforeAll(async () => {
    const folder = await temporaryFolder()
    closers.push(() => rm(folder, { recursive: true, force: true }))
    plain = await freePort()
    tls = await freePort()
    await run(
      'openssl',
      `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=vedette.example.com -keyout ${folder}/privkey.pem -out ${folder}/fullchain.pem`.split(
        ' ',
      ),
    )
    const main = await configuration(folder)
    const args = ['-e', 'stderr', '-c', main, '-p', folder]
    await run('nginx', [...args, '-t'])
    const child = spawn('nginx', args, { stdio: 'ignore' })
    closers.push(async () => {
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    })
    while (!(await answers(plain))) expect(child.exitCode).toBeNull()
  })
  afterAll(async () => {
    for (const close of closers.toReversed()) await close()
  })

  it('sends plain HTTP to https, and keeps browsers there', async () => {
    const answer = await fetch(`http://127.0.0.1:${plain}/graphql?query=x`, { redirect: 'manual' })
    expect(answer.status).toBe(308)
    expect(answer.headers.get('location')).toBe('https://127.0.0.1/graphql?query=x')
    const secure = await visit('/')
    expect(secure.statusCode).toBe(200)
    expect(secure.headers['strict-transport-security']).toBe('max-age=31536000')
    expect(secure.headers['x-content-type-options']).toBe('nosniff')
  })

  it('speaks TLS 1.2 and 1.3, and nothing older', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
      expect((await visit('/', { minVersion: version, maxVersion: version })).statusCode).toBe(200)
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    await expect(visit('/', old)).rejects.toThrow(/protocol version|alert|EPROTO/i)
  })

  it('hands on keys, bodies and questions', async () => {
    const headers = { authorization: `Bearer ${service.key}` }
    const answer = await visit('/graphql?query={viewer{scopes}}', { headers })
    expect(JSON.parse(await text(answer))).toEqual({ data: { viewer: { scopes: expect.arrayContaining(['ADMIN']) } } })
  })

  it('shows metrics and the state of its parts to this machine alone', async () => {
    for (const path of ['/metrics', '/readyz']) {
      expect((await visit(path)).statusCode, path).toBe(200)
      expect((await visit(path, { localAddress: '127.0.0.9' })).statusCode, path).toBe(403)
    }
  })
})
