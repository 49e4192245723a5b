import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import * as fc from 'fast-check'
import { Registry } from 'prom-client'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import {
  addressKind,
  countryName,
  createGeo,
  UNKNOWN_LOCATION,
  type Geo,
  type GeoOptions,
} from '../../src/geo/index.ts'
import { maxmindCity, writeMmdb } from '../support/mmdb.ts'

const quiet = { info: () => {}, warn: () => {} }

let folder: string
let running: Geo[] = []

const write = async (name: string, content: Parameters<typeof writeMmdb>[0]): Promise<string> => {
  const path = join(folder, name)
  await writeFile(path, writeMmdb(content))
  return path
}

const started = async (options: Partial<GeoOptions>): Promise<Geo> => {
  const geo = createGeo({ cityDbs: [], asnDbs: [], log: quiet, ...options })
  running.push(geo)
  await geo.start()
  return geo
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vedette-geo-'))
})
afterEach(async () => {
  await Promise.all(running.map((geo) => geo.stop()))
  running = []
})
afterAll(() => rm(folder, { recursive: true }))

describe('the bundled database', () => {
  test('locates IPv4, IPv6 and IPv4-mapped addresses and says whom to thank', async () => {
    const geo = await started({})
    expect(geo.lookup('8.8.8.8')).toMatchObject({ country: 'US', city: 'Mountain View', asn: 0 })
    expect(geo.lookup('::ffff:8.8.8.8')).toEqual(geo.lookup('8.8.8.8'))
    expect(geo.lookup('2003:c0::1').country).toBe('DE')
    const { latitude, longitude } = geo.lookup('193.99.144.80')
    expect(latitude).toBeCloseTo(52.4, 0)
    expect(longitude).toBeCloseTo(9.8, 0)
    expect(geo.attributions()).toEqual(['IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0'])
    expect(geo.sources()).toEqual([
      expect.objectContaining({ bundled: true, status: 'loaded', serving: true, type: 'city ipv4', problem: '' }),
      expect.objectContaining({ bundled: true, status: 'loaded', serving: true, type: 'city ipv6', problem: '' }),
    ])
    expect(geo.sources()[0]!.buildDate!.getUTCFullYear()).toBeGreaterThan(2024)
  })

  test('serves the family that no configured file serves, and only that one', async () => {
    const path = await write('only4.mmdb', {
      type: 'city ipv4',
      ipVersion: 4,
      networks: { '8.8.8.0/24': { city: 'Elsewhere', country_code: 'NZ', latitude: -41.5, longitude: 174.25 } },
    })
    const geo = await started({ cityDbs: [path] })
    expect(geo.lookup('8.8.8.8')).toMatchObject({ country: 'NZ', city: 'Elsewhere', latitude: -41.5 })
    expect(geo.lookup('9.9.9.9')).toBe(UNKNOWN_LOCATION)
    expect(geo.lookup('2003:c0::1').country).toBe('DE')
    expect(geo.sources().map(({ type, bundled }) => [type, bundled])).toEqual([
      ['city ipv4', false],
      ['city ipv6', true],
    ])
  })
})

describe('configured files', () => {
  test('MaxMind City and ASN files together fill one location', async () => {
    const city = await write('city.mmdb', {
      type: 'GeoLite2-City',
      ipVersion: 6,
      networks: {
        '81.2.69.0/24': maxmindCity('GB', 'London', 51.5142, -0.0931),
        '2a02:100::/32': maxmindCity('FR', 'Paris', 48.8566, 2.3522),
        '81.3.0.0/16': { country: { geoname_id: 3, iso_code: 'SE' } },
      },
    })
    const asn = await write('asn.mmdb', {
      type: 'GeoLite2-ASN',
      ipVersion: 6,
      networks: {
        '81.2.0.0/16': { autonomous_system_number: 20712, autonomous_system_organization: 'Andrews & Arnold Ltd' },
        '9.9.9.0/24': { autonomous_system_number: 19281 },
      },
    })
    const geo = await started({ cityDbs: [city], asnDbs: [asn] })
    expect(geo.lookup('81.2.69.142')).toEqual({
      country: 'GB',
      city: 'London',
      latitude: 51.5142,
      longitude: -0.0931,
      asn: 20712,
      asOrganization: 'Andrews & Arnold Ltd',
    })
    expect(geo.lookup('2a02:100::7')).toMatchObject({ country: 'FR', city: 'Paris', asn: 0 })
    expect(geo.lookup('::ffff:81.2.69.142')).toEqual(geo.lookup('81.2.69.142'))
    expect(geo.lookup('81.3.4.5')).toEqual({ ...UNKNOWN_LOCATION, country: 'SE' })
    expect(geo.lookup('9.9.9.9')).toEqual({ ...UNKNOWN_LOCATION, asn: 19281 })
    expect(geo.lookup('99.1.1.1')).toBe(UNKNOWN_LOCATION)
    expect(geo.sources().every(({ bundled }) => !bundled)).toBe(true)
    expect(geo.attributions()[0]).toContain('MaxMind')
  })

  test('the first file that knows an address answers, the next one fills in where it does not', async () => {
    const first = await write('first.mmdb', {
      type: 'GeoIP2-City',
      ipVersion: 6,
      networks: { '5.0.0.0/8': maxmindCity('IT', 'Rome', 1.5, 2.5) },
    })
    const second = await write('second.mmdb', {
      type: 'DBIP-City-Lite',
      ipVersion: 6,
      networks: {
        '4.0.0.0/7': maxmindCity('IT', 'Milan', 1.5, 2.5),
        '6.0.0.0/8': maxmindCity('IT', 'Milan', 1.5, 2.5),
      },
    })
    const geo = await started({ cityDbs: [first, second] })
    expect(geo.lookup('5.1.1.1').city).toBe('Rome')
    expect(geo.lookup('6.1.1.1').city).toBe('Milan')
  })

  test('addresses that are private, reserved or no addresses are never looked up', async () => {
    const everywhere = await write('everywhere.mmdb', {
      type: 'GeoLite2-City',
      ipVersion: 6,
      networks: {
        '0.0.0.0/1': maxmindCity('AQ', 'Pole', 1.5, 1.5),
        '128.0.0.0/1': maxmindCity('AQ', 'Pole', 1.5, 1.5),
        '8000::/1': maxmindCity('AQ', 'Pole', 1.5, 1.5),
        '2000::/3': maxmindCity('AQ', 'Pole', 1.5, 1.5),
      },
    })
    const geo = await started({ cityDbs: [everywhere] })
    expect(geo.lookup('11.0.0.1').country).toBe('AQ')
    for (const ip of [
      '10.1.2.3',
      '172.16.0.1',
      '192.168.1.1',
      '127.0.0.1',
      '169.254.1.1',
      '100.64.0.1',
      '203.0.113.9',
      '255.255.255.255',
      '::ffff:10.0.0.1',
      '::1',
      'fe80::1',
      'fd00::1',
      'ff02::1',
      '2001:db8::1',
      '',
      '127.1',
      '1.2.3.4.5',
      '__proto__',
      'a'.repeat(5000),
    ]) {
      expect(geo.lookup(ip), ip.slice(0, 40)).toBe(UNKNOWN_LOCATION)
    }
  })
})

test('no text whatever makes a look-up fail, and none but addresses is remembered', async () => {
  const geo = await started({ cacheEntries: 1000 })
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.ipV4(),
        fc.ipV4Extended(),
        fc.ipV6(),
        fc.tuple(fc.ipV6(), fc.string({ minLength: 1 })).map(([ip, zone]) => `${ip}%${zone}`),
      ),
      (ip) => {
        const { entries } = geo.cacheStats()
        const { country, latitude } = geo.lookup(ip)
        const kind = addressKind(ip)
        expect(country).toMatch(/^([A-Z]{2})?$/)
        if (kind !== 'public') expect([country, latitude]).toEqual(['', null])
        if (kind === 'invalid') expect(geo.cacheStats().entries).toBe(entries)
      },
    ),
    { numRuns: 2_000 },
  )
})

test('a repeated address is answered from the cache, and both are counted for Prometheus', async () => {
  const metrics = new Registry()
  const geo = await started({ metrics })
  const first = geo.lookup('8.8.8.8')
  expect(geo.lookup('8.8.8.8')).toBe(first)
  expect(geo.lookup('10.0.0.1')).toBe(UNKNOWN_LOCATION)
  expect(geo.lookup('no address')).toBe(UNKNOWN_LOCATION)
  expect(geo.cacheStats()).toEqual({ hits: 1, misses: 2, entries: 2 })
  const text = await metrics.metrics()
  expect(text).toContain('vedette_geo_lookups_total{cache="hit"} 1')
  expect(text).toContain('vedette_geo_lookups_total{cache="miss"} 2')
  expect(text).toMatch(/vedette_geo_database_build_timestamp_seconds\{kind="city",path="[^"]+ipv4.mmdb"\} 1\d{9}/)
})

test('every range of addresses has its kind', () => {
  const kinds = {
    public: ['8.8.8.8', '2003:c0::1', '::ffff:8.8.8.8', '2002:808:808::1', '172.32.0.1', '100.128.0.1'],
    private: ['10.0.0.1', '172.31.255.255', '192.168.0.1', '::ffff:192.168.0.1'],
    loopback: ['127.0.0.1', '::1', '::ffff:127.0.0.1'],
    link_local: ['169.254.0.1', 'fe80::1', 'fe80::1%eth0', 'fe80::1%br-lan'],
    unique_local: ['fd00::1', 'fc00::1'],
    carrier_grade_nat: ['100.64.0.1', '100.127.255.255'],
    multicast: ['224.0.0.1', 'ff02::1'],
    documentation: ['192.0.2.1', '198.51.100.1', '203.0.113.1', '2001:db8::1', '3fff::1'],
    reserved: ['0.0.0.0', '240.0.0.1', '255.255.255.255', '198.18.0.1', '::', '100::1'],
    invalid: ['', 'localhost', '1.2.3', '1.2.3.256', '127.1', '0x7f.0.0.1', '12345'],
  }
  for (const [kind, addresses] of Object.entries(kinds)) {
    for (const ip of addresses) expect([ip, addressKind(ip)]).toEqual([ip, kind])
  }
})

test('countries have English names, and codes that nobody has have none', () => {
  expect(countryName('DE')).toBe('Germany')
  expect(countryName('GB')).toBe('United Kingdom')
  expect(countryName('XK')).toBe('Kosovo')
  for (const code of ['', 'de', 'QQ', 'DEU', '\0\0', 'D']) expect(countryName(code)).toBe('')
})
