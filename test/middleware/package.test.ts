import { execFile } from 'node:child_process'
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { afterAll, beforeAll, expect, test } from 'vitest'

import type { createVedette as CreateVedette } from '../../src/middleware/index.ts'
import { temporaryFolder } from '../support/app.ts'
import { serve } from './support.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const ROOM = join(ROOT, 'src/middleware')
const execute = promisify(execFile)

/** A service's folder with the built package in its node_modules, and nothing else there. */
let service: string

beforeAll(async () => {
  service = await temporaryFolder()
  const vedette = join(service, 'node_modules/vedette')
  await mkdir(join(vedette, 'bin'), { recursive: true })
  await cp(join(ROOT, 'package.json'), join(vedette, 'package.json'))
  await cp(join(ROOT, 'bin/middleware.js'), join(vedette, 'bin/middleware.js'))
  const config = join(service, 'tsconfig.json')
  await writeFile(
    config,
    JSON.stringify({
      extends: join(ROOT, 'tsconfig.build.json'),
      compilerOptions: {
        rootDir: join(ROOT, 'src'),
        outDir: join(vedette, 'dist'),
        typeRoots: [join(ROOT, 'node_modules/@types')],
      },
      include: [ROOM],
    }),
  )
  await execute('tsc', ['-p', config])
  await rm(config)
}, 60_000)
afterAll(() => rm(service, { recursive: true, force: true }))

test('the middleware imports nothing but itself and what Node has built in', async () => {
  for (const file of await readdir(ROOM)) {
    const source = await readFile(join(ROOM, file), 'utf8')
    for (const [, from] of source.matchAll(/\bfrom '([^']+)'|\bimport\('([^']+)'\)/g))
      expect(isBuiltin(from!) || /^\.\/[\w-]+\.ts$/.test(from!), `${file} imports ${from}`).toBe(true)
  }
})

const SCRIPT = `
  const http = require('node:http')
  const rows = []
  const collector = http.createServer((request, response) => {
    request.on('data', (chunk) => rows.push(...String(chunk).split('\\n').filter(Boolean).map(JSON.parse)))
    request.on('end', () => response.writeHead(202).end(JSON.stringify({ accepted: 1, rejected: 0 })))
  })
  const run = ({ createVedette }) => collector.listen(0, () => {
    const vedette = createVedette({ url: 'http://127.0.0.1:' + collector.address().port, key: 'k', service: 'shop' })
    const server = http.createServer(vedette.http((request, response) => response.end('ok')))
    server.listen(0, () => http.get({ port: server.address().port, path: '/seen?q', agent: false }, (response) => {
      response.resume().on('end', async () => {
        await vedette.close()
        console.log(JSON.stringify({ rows, stats: vedette.stats() }))
        process.exit()
      })
    }))
  })
`

test('the built package serves services that import it and services that require it', async () => {
  await writeFile(join(service, 'required.cjs'), `${SCRIPT}\nrun(require('vedette/middleware'))`)
  await writeFile(join(service, 'imported.cjs'), `${SCRIPT}\nimport('vedette/middleware').then(run)`)
  for (const script of ['required.cjs', 'imported.cjs']) {
    const { stdout, stderr } = await execute(process.execPath, [script], { cwd: service })
    expect(stderr).toBe('')
    const { rows, stats } = JSON.parse(stdout)
    expect(rows).toMatchObject([{ method: 'GET', path: '/seen?q', status: 200, responseBytes: 2 }])
    expect(stats).toMatchObject({ sent: 1, queued: 0, dropped: 0 })
  }
})

test("its types fit Express' and Fastify's, and those of a service that has neither", async () => {
  const types = join(service, 'node_modules/@types')
  await symlink(join(ROOT, 'node_modules/@types'), types)
  for (const name of ['fastify', 'undici-types'])
    await symlink(join(ROOT, 'node_modules', name), join(service, 'node_modules', name))
  await writeFile(join(service, 'package.json'), '{"type":"module"}')
  await writeFile(
    join(service, 'service.ts'),
    `import { createServer } from 'node:http'
     import express from 'express'
     import { fastify, type FastifyRequest } from 'fastify'
     import { createVedette } from 'vedette/middleware'
     const options = { url: 'http://127.0.0.1:8080', key: 'k', service: 'shop' }
     express().use(createVedette<express.Request>({ ...options, user: (request) => request.params['user'] as string }).express())
     await fastify().register(createVedette<FastifyRequest>({ ...options, user: ({ headers }) => headers['x-user'] as string, decide: {} }).fastify())
     createServer(createVedette(options).http((request, response) => response.end(request.url)))
     // @ts-expect-error: there is no such option
     createVedette({ ...options, servce: 'shop' })
    `,
  )
  const flags = '--noEmit --strict --module nodenext --target es2023 --skipLibCheck --types node'.split(' ')
  // What tsc finds it prints, and fails.
  const found = await execute('tsc', [...flags, 'service.ts'], { cwd: service }).catch((error: unknown) => error)
  expect(found).toMatchObject({ stdout: '', stderr: '' })
  expect(found).not.toBeInstanceOf(Error)
})

test('in a checkout the door leads to the source', async () => {
  const { createVedette } = (await import(new URL('../../bin/middleware.js', import.meta.url).href)) as {
    createVedette: typeof CreateVedette
  }
  const url = await serve(
    createVedette({ url: 'http://127.0.0.1:9', key: 'k', service: 's' }).http((_request, response) =>
      response.end('ok'),
    ),
  )
  expect(await (await fetch(url)).text()).toBe('ok')
})
