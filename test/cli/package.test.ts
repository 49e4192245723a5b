import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { temporaryFolder } from '../support/app.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const execute = promisify(execFile)

let folder: string
let bin: string

/** The package as it would be published, unpacked beside this checkout's dependencies. */
beforeAll(async () => {
  folder = await temporaryFolder()
  await execute('npm', ['pack', '--pack-destination', folder], { cwd: ROOT })
  const [tarball] = await readdir(folder)
  await execute('tar', ['-xzf', tarball!], { cwd: folder })
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  bin = join(folder, 'package/bin/vedette.js')
}, 120_000)
afterAll(() => rm(folder, { recursive: true, force: true }))

test('the published package carries what it runs on: JavaScript, tables, the schema and the pages', async () => {
  const { stdout: schema } = await execute(process.execPath, [bin, 'schema'])
  expect(schema).toBe(await readFile(join(ROOT, 'schema/schema.graphql'), 'utf8'))

  const dataDir = join(folder, 'data')
  const service = spawn(process.execPath, [bin, 'serve'], {
    env: { PATH: process.env['PATH'], DATA_DIR: dataDir, PORT: '0', LOG_LEVEL: 'warn' },
    stdio: 'ignore',
  })
  try {
    const place = (): Promise<string> => readFile(join(dataDir, 'service.json'), 'utf8')
    await expect.poll(() => place().catch(() => ''), { timeout: 30_000 }).toContain('url')
    const { url } = JSON.parse(await place()) as { url: string }
    expect((await fetch(`${url}/readyz`)).status).toBe(200)
    for (const page of ['/', '/graphql']) {
      const response = await fetch(`${url}${page}`, { headers: { accept: 'text/html' } })
      expect(response.status, page).toBe(200)
      expect(await response.text(), page).toMatch(/^\s*<!doctype html>/i)
    }
  } finally {
    service.kill('SIGTERM')
    await once(service, 'exit')
  }
})
