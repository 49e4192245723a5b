import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterEach, expect, it } from 'vitest'

import { testDatabase } from '../support/clickhouse.ts'
import { createGate, type Gate } from '../support/gate.ts'
import { services } from './support.ts'

const database = testDatabase()
const { start, folder, logged } = services()
const gates: Gate[] = []
afterEach(async () => {
  await Promise.all(gates.splice(0).map((gate) => gate.close()))
})

const gated = async (): Promise<Gate> => {
  const gate = await createGate(database.url)
  gates.push(gate)
  return gate
}

it('goes on with the known keys while ClickHouse is away, refuses to make new ones, and recovers', async () => {
  const gate = await gated()
  const { keys } = await start({ url: gate.url, dataDir: await folder() })
  const { secret } = await keys.create({ name: 'shop', scopes: ['COLLECT'], by: 'cli' })
  await gate.close()
  await expect(keys.create({ name: 'late', scopes: ['COLLECT'], by: 'cli' })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
  })
  expect(keys.authenticate(secret)?.name).toBe('shop')
  await expect.poll(logged, { timeout: 5_000 }).toContain('changes cannot be read')
  await gate.open()
  await expect.poll(logged, { timeout: 5_000 }).toContain('changes can be read again')
  const { secret: later } = await keys.create({ name: 'later', scopes: ['COLLECT'], by: 'cli' })
  expect(keys.authenticate(later)?.name).toBe('later')
})

it('authenticates after a restart while ClickHouse is away: valid keys yes, revoked ones no', async () => {
  const gate = await gated()
  const dataDir = await folder()
  const before = await start({ url: gate.url, dataDir })
  const valid = await before.keys.create({ name: 'valid', scopes: ['COLLECT'], services: ['shop'], by: 'cli' })
  const revoked = await before.keys.create({ name: 'revoked', scopes: ['COLLECT'], by: 'cli' })
  await before.keys.revoke(revoked.apiKey.id, { by: 'cli' })
  await gate.close()
  await before.stop()

  const after = await start({ url: gate.url, dataDir })
  expect(after.keys.get(valid.apiKey.id)).toEqual(valid.apiKey)
  expect(after.keys.authenticate(valid.secret)).toMatchObject({ name: 'valid', services: ['shop'] })
  expect(after.keys.authenticate(revoked.secret)).toBeUndefined()

  // Revoked by others while this one could not know: refused as soon as it can.
  const other = await start({ url: database.url })
  await other.keys.revoke(valid.apiKey.id, { by: 'cli' })
  await gate.open()
  await expect.poll(() => after.keys.authenticate(valid.secret), { timeout: 5_000 }).toBeUndefined()
})

it('keeps the snapshot for this user only, without secrets, and nothing half-written beside it', async () => {
  const dataDir = await folder()
  const { keys } = await start({ url: database.url, dataDir })
  const made = await Promise.all(['a', 'b', 'c'].map((name) => keys.create({ name, scopes: ['COLLECT'], by: 'cli' })))
  const path = join(dataDir, 'store', 'api_key.json')
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  const text = await readFile(path, 'utf8')
  for (const { apiKey, secret } of made) {
    expect(text).toContain(apiKey.id)
    expect(text).not.toContain(secret.slice(apiKey.prefix.length))
  }
  expect(await readdir(join(dataDir, 'store'))).toEqual(['api_key.json'])
})

it('starts without keys, and says so, when ClickHouse is away and the snapshot is broken', async () => {
  const gate = await gated()
  const dataDir = await folder()
  const before = await start({ url: gate.url, dataDir })
  const { secret } = await before.keys.create({ name: 'shop', scopes: ['COLLECT'], by: 'cli' })
  await before.stop()
  await writeFile(join(dataDir, 'store', 'api_key.json'), '{"versions": [')
  await gate.close()
  const after = await start({ url: gate.url, dataDir })
  expect(after.keys.authenticate(secret)).toBeUndefined()
  expect(logged()).toContain('the snapshot cannot be read')
  await gate.open()
  await expect.poll(() => after.keys.authenticate(secret)?.name, { timeout: 5_000 }).toBe('shop')
})
