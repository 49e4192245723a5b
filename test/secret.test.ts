import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { expect, onTestFinished, test } from 'vitest'

import { loadSecret } from '../src/secret.ts'

const folder = async (): Promise<string> => {
  const dir = await mkdtemp(join(tmpdir(), 'vedette-secret-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  return dir
}

test('the secret is made once, however many ask for it, and nobody else can read it', async () => {
  const dataDir = join(await folder(), 'data')
  const secrets = await Promise.all(Array.from({ length: 8 }, () => loadSecret(dataDir, undefined)))
  expect(new Set(secrets).size).toBe(1)
  expect(secrets[0]).toMatch(/^[\w-]{43}$/)
  expect(await loadSecret(dataDir, undefined)).toBe(secrets[0])
  expect((await stat(join(dataDir, 'secret'))).mode & 0o777).toBe(0o600)
  expect(await readdir(dataDir)).toEqual(['secret'])
})

test('one that is given counts, and none is made', async () => {
  const dataDir = await folder()
  expect(await loadSecret(dataDir, 'given')).toBe('given')
  expect(await readdir(dataDir)).toEqual([])
})

test('a file that holds none is named, and not replaced', async () => {
  const dataDir = await folder()
  await writeFile(join(dataDir, 'secret'), 'torn')
  await expect(loadSecret(dataDir, undefined)).rejects.toThrow(/secret holds 4 characters/)
})
