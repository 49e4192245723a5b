import { copyFile, mkdir, mkdtemp, open, rename, rm, symlink, truncate, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { createGeo, type Geo, type GeoOptions } from '../../src/geo/index.ts'
import { maxmindCity, writeMmdb } from '../support/mmdb.ts'

let folder: string
let path: string
let running: Geo[]
let warnings: string[]
/** How old the bundled ones are is not for these tests to say. */
let ofAge: string[]

const cityFile = (city: string): Buffer =>
  writeMmdb({ type: 'GeoLite2-City', ipVersion: 6, networks: { '5.0.0.0/8': maxmindCity('IT', city, 1.5, 2.5) } })

const asnFile = writeMmdb({
  type: 'GeoLite2-ASN',
  ipVersion: 6,
  networks: { '5.0.0.0/8': { autonomous_system_number: 7, autonomous_system_organization: 'Seven' } },
})

const started = async (options: Partial<GeoOptions> = {}): Promise<Geo> => {
  const log = {
    info: () => {},
    warn: (_: object, message: string) => void (/ days old/.test(message) ? ofAge : warnings).push(message),
  }
  const geo = createGeo({ cityDbs: [path], asnDbs: [], log, pollMs: 10, ...options })
  running.push(geo)
  await geo.start()
  return geo
}

const city = (geo: Geo): string => geo.lookup('5.1.1.1').city
const status = (geo: Geo): string => geo.sources()[0]!.status

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vedette-geo-'))
  path = join(folder, 'city.mmdb')
  running = []
  warnings = []
  ofAge = []
})
afterEach(async () => {
  await Promise.all(running.map((geo) => geo.stop()))
  await rm(folder, { recursive: true })
})

describe('while it runs, a file is taken up', () => {
  test('when it is renamed over the old one', async () => {
    await writeFile(path, cityFile('Rome'))
    const geo = await started()
    expect(city(geo)).toBe('Rome')
    const version = geo.version
    await writeFile(`${path}.new`, cityFile('Milan'))
    await rename(`${path}.new`, path)
    await expect.poll(() => city(geo)).toBe('Milan')
    expect(geo.version).toBe(version + 1)
    expect(warnings).toEqual([])
  })

  test('when it is written over in place, and when a symlink is turned to another one', async () => {
    const target = join(folder, 'v1.mmdb')
    await writeFile(target, cityFile('Rome'))
    await symlink(target, path)
    const geo = await started()
    await writeFile(target, cityFile('Turin'))
    await expect.poll(() => city(geo)).toBe('Turin')
    await writeFile(join(folder, 'v2.mmdb'), cityFile('Genoa'))
    await symlink(join(folder, 'v2.mmdb'), `${path}.new`)
    await rename(`${path}.new`, path)
    await expect.poll(() => city(geo)).toBe('Genoa')
  })

  test('when it appears after the start, which took the bundled one with a warning', async () => {
    const geo = await started()
    expect(warnings).toEqual([`geo database ${path}: there is no such file; it is left out`])
    expect(geo.lookup('8.8.8.8').country).toBe('US')
    expect(geo.sources().map(({ status, bundled }) => [status, bundled])).toEqual([
      ['missing', false],
      ['loaded', true],
      ['loaded', true],
    ])
    await writeFile(path, cityFile('Rome'))
    await expect.poll(() => city(geo)).toBe('Rome')
    expect(geo.lookup('8.8.8.8').country).toBe('')
    expect(geo.sources().map(({ status, bundled }) => [status, bundled])).toEqual([['loaded', false]])
  })
})

describe('the last good data stay in use', () => {
  test('when the file goes away, and the same file coming back clears the warning', async () => {
    await writeFile(path, cityFile('Rome'))
    const geo = await started()
    await unlink(path)
    await expect.poll(() => status(geo)).toBe('missing')
    expect(city(geo)).toBe('Rome')
    expect(geo.sources()[0]).toMatchObject({ serving: true, type: 'GeoLite2-City' })
    expect(warnings).toEqual([`geo database ${path}: there is no such file; its last good data stay in use`])
    await writeFile(path, cityFile('Rome'))
    await expect.poll(() => status(geo)).toBe('loaded')
    expect(geo.sources()[0]!.problem).toBe('')
  })

  const broken: Record<string, [Buffer, string]> = {
    empty: [Buffer.alloc(0), 'no MaxMind DB metadata'],
    garbage: [Buffer.from('<html>404 Not Found</html>'.repeat(9000)), 'no MaxMind DB metadata'],
    'the first half': [cityFile('Milan').subarray(0, 900), 'no MaxMind DB metadata'],
    'cut within its metadata': [cityFile('Milan').subarray(0, -60), 'metadata'],
    'a file that lost its first block': [cityFile('Milan').subarray(70), 'parts are missing'],
    'an ASN database': [asnFile, 'it is a "GeoLite2-ASN" database where a City one is wanted'],
  }
  test.each(Object.keys(broken))('when it is replaced by %s', async (name) => {
    const [content, reason] = broken[name]!
    await writeFile(path, cityFile('Rome'))
    const geo = await started()
    const version = geo.version
    await writeFile(`${path}.new`, content)
    await rename(`${path}.new`, path)
    await expect.poll(() => status(geo)).toBe('broken')
    expect(city(geo)).toBe('Rome')
    expect(geo.version).toBe(version)
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain(reason)
    expect(geo.sources()[0]!.problem).toContain('last good data stay in use')
  })

  test('while a new file is being written slowly over the old one', async () => {
    await writeFile(path, cityFile('Rome'))
    const geo = await started({ pollMs: 5 })
    const content = cityFile('Milan')
    const handle = await open(path, 'w')
    const seen = new Set<string>()
    for (let at = 0; at < content.length; at += 64) {
      await handle.write(content.subarray(at, at + 64))
      seen.add(city(geo))
    }
    await handle.close()
    await expect.poll(() => city(geo)).toBe('Milan')
    expect([...seen]).toEqual(['Rome'])
  })
})

test('the real database cut short or damaged inside is refused at the start, and the bundled one serves', async () => {
  const real = (await started({ cityDbs: [] })).sources()[0]!.path
  await copyFile(real, path)
  await truncate(path, 40_000_000)
  const cut = await started()
  expect(cut.sources()[0]).toMatchObject({ status: 'broken', serving: false })
  expect(cut.lookup('8.8.8.8').country).toBe('US')

  await copyFile(real, path)
  const handle = await open(path, 'r+')
  await handle.write(Buffer.alloc(20_000_000, 0xff), 0, 20_000_000, 43_000_000)
  await handle.close()
  const damaged = await started()
  expect(damaged.sources()[0]).toMatchObject({ status: 'broken', serving: false })
  expect(damaged.lookup('8.8.8.8').country).toBe('US')
})

test('a folder and an unreadable path are warnings, and a missing ASN file leaves the rest as it is', async () => {
  await mkdir(path)
  const geo = await started({ asnDbs: [join(folder, 'asn.mmdb')] })
  expect(geo.sources().map(({ kind, status, serving }) => [kind, status, serving])).toEqual([
    ['city', 'broken', false],
    ['city', 'loaded', true],
    ['city', 'loaded', true],
    ['asn', 'missing', false],
  ])
  expect(warnings).toHaveLength(2)
  expect(geo.lookup('8.8.8.8')).toMatchObject({ country: 'US', asn: 0 })
})

test('once stopped it looks no more', async () => {
  await writeFile(path, cityFile('Rome'))
  const geo = await started()
  const other = await started()
  await geo.stop()
  await writeFile(path, cityFile('Milan'))
  await expect.poll(() => city(other)).toBe('Milan')
  expect(city(geo)).toBe('Rome')
})

test('a database older than 90 days serves, with a warning that says how old it is', async () => {
  const networks = { '5.0.0.0/8': maxmindCity('IT', 'Rome', 1.5, 2.5) }
  const aged = (days: number): Buffer =>
    writeMmdb({ type: 'GeoLite2-City', ipVersion: 6, networks, buildDate: new Date(Date.now() - days * 86_400_000) })
  await writeFile(path, aged(91.5))
  expect(city(await started())).toBe('Rome')
  expect(ofAge).toContain(`geo database ${path} is 91 days old; renew it`)
  ofAge = []
  await writeFile(path, aged(89.5))
  expect(city(await started())).toBe('Rome')
  expect(ofAge).toEqual([])
})
