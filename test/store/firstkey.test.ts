import { existsSync } from 'node:fs'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { beforeEach, expect, it } from 'vitest'

import { testDatabase } from '../support/clickhouse.ts'
import { createGate } from '../support/gate.ts'
import { services } from './support.ts'

const database = testDatabase()
const { start, folder, logged } = services()
beforeEach(() => database.empty())

const OWN = 'an operators own key must not have spaces'.replaceAll(' ', '-')

it('makes the first key once, tells it once, and keeps it in admin-key for this user only', async () => {
  const dataDir = await folder()
  const first = await start({ url: database.url, dataDir })
  const secret = first.firstAdminKey!
  expect(secret).toMatch(/^vdt_[0-9A-Za-z]{32}$/)
  expect(first.keys.authenticate(secret)?.scopes).toEqual(new Set(['ADMIN']))
  const path = join(dataDir, 'admin-key')
  expect(await readFile(path, 'utf8')).toBe(`${secret}\n`)
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  await first.stop()

  const second = await start({ url: database.url, dataDir })
  expect(second.firstAdminKey).toBeUndefined()
  expect(second.keys.authenticate(secret)?.name).toBe('first key')
  expect(second.keys.list()).toHaveLength(1)
  expect(logged()).not.toContain(secret)
})

it('does not revive a first key that was revoked, nor make another', async () => {
  const dataDir = await folder()
  const first = await start({ url: database.url, dataDir })
  await first.keys.revoke(first.keys.list()[0]!.id, { by: 'cli' })
  await first.stop()
  const second = await start({ url: database.url, dataDir })
  expect(second.firstAdminKey).toBeUndefined()
  expect(second.keys.authenticate(first.firstAdminKey!)).toBeUndefined()
  expect(second.keys.list()).toHaveLength(1)
})

it('takes VEDETTE_ADMIN_KEY instead, writes no file, and does not revive it once revoked', async () => {
  const dataDir = await folder()
  const first = await start({ url: database.url, dataDir, adminKey: OWN })
  expect(first.firstAdminKey).toBeUndefined()
  expect(first.keys.authenticate(OWN)).toMatchObject({ name: 'VEDETTE_ADMIN_KEY', scopes: new Set(['ADMIN']) })
  expect(existsSync(join(dataDir, 'admin-key'))).toBe(false)
  await first.keys.revoke(first.keys.list()[0]!.id, { by: 'cli' })
  await first.stop()
  const second = await start({ url: database.url, dataDir, adminKey: OWN })
  expect(second.keys.authenticate(OWN)).toBeUndefined()
  expect(second.keys.list()).toHaveLength(1)
  expect(logged()).not.toContain(OWN)
})

it('lets a new VEDETTE_ADMIN_KEY in beside older keys', async () => {
  const dataDir = await folder()
  const first = await start({ url: database.url, dataDir })
  await first.stop()
  const second = await start({ url: database.url, dataDir, adminKey: OWN })
  expect(second.keys.authenticate(OWN)?.name).toBe('VEDETTE_ADMIN_KEY')
  expect(second.keys.authenticate(first.firstAdminKey!)?.name).toBe('first key')
})

it('makes one key for several processes that start at once, and leaves a file with the one that made it', async () => {
  const folders = await Promise.all([folder(), folder(), folder()])
  const all = await Promise.all(folders.map((dataDir) => start({ url: database.url, dataDir })))
  const secrets = all.flatMap(({ firstAdminKey }) => firstAdminKey ?? [])
  expect(secrets).toHaveLength(1)
  expect(folders.filter((path) => existsSync(join(path, 'admin-key')))).toHaveLength(1)
  for (const { keys } of all)
    await expect.poll(() => keys.authenticate(secrets[0]!)?.name, { timeout: 2_000 }).toBe('first key')
})

it('makes one record for several processes with one VEDETTE_ADMIN_KEY, so that revoking it is final', async () => {
  const all = await Promise.all(
    [await folder(), await folder(), await folder()].map((dataDir) =>
      start({ url: database.url, dataDir, adminKey: OWN }),
    ),
  )
  await all[0]!.keys.revoke(all[0]!.keys.list()[0]!.id, { by: 'cli' })
  for (const { keys } of all) await expect.poll(() => keys.authenticate(OWN), { timeout: 2_000 }).toBeUndefined()
  expect(all[0]!.keys.list()).toHaveLength(1)
})

it('makes the key of a crash between file and table on the next start', async () => {
  const dataDir = await folder()
  const secret = 'vdt_0123456789abcdefghijABCDEFGHIJ01'
  await writeFile(join(dataDir, 'admin-key'), `${secret}\n`, { mode: 0o600 })
  const { keys, firstAdminKey } = await start({ url: database.url, dataDir })
  expect(firstAdminKey).toBeUndefined()
  expect(keys.authenticate(secret)?.scopes).toEqual(new Set(['ADMIN']))
})

it('stops the start on an admin-key file that holds no key, saying what to do', async () => {
  const dataDir = await folder()
  await writeFile(join(dataDir, 'admin-key'), 'short\n')
  await expect(start({ url: database.url, dataDir })).rejects.toThrow(
    /admin-key holds 5 characters, not an API key of 32 or more; remove the file to have one made$/,
  )
})

it('makes the first key as soon as ClickHouse comes, when it was away at the start', async () => {
  const gate = await createGate(database.url)
  try {
    await gate.close()
    const dataDir = await folder()
    const { keys, firstAdminKey } = await start({ url: gate.url, dataDir })
    expect(firstAdminKey).toBeUndefined()
    await gate.open()
    await expect.poll(() => keys.list().length, { timeout: 10_000 }).toBe(1)
    const secret = (await readFile(join(dataDir, 'admin-key'), 'utf8')).trim()
    expect(keys.authenticate(secret)?.name).toBe('first key')
    await expect.poll(logged).toContain('the first API key is in')
    expect(logged()).not.toContain(secret)
  } finally {
    await gate.close()
  }
})

it('makes no key for commands that run beside a service', async () => {
  const { keys, firstAdminKey } = await start({ url: database.url })
  expect({ firstAdminKey, keys: keys.list() }).toEqual({ firstAdminKey: undefined, keys: [] })
})
