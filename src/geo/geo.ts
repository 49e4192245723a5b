import type { IPv4, IPv6 } from 'ipaddr.js'
import { LRUCache } from 'lru-cache'
import { Counter, Gauge, type Registry } from 'prom-client'

import { kindOf, parseAddress } from './address.ts'
import { bundledCityPath } from './bundled.ts'
import { openAsnDatabase, openCityDatabase, type AsnAnswer, type CityAnswer, type Find } from './database.ts'
import { createSource, type GeoLog, type Source, type SourceState } from './source.ts'

/** Where an address is. What is not known is the empty string, null, or 0 for the ASN. */
export interface Location {
  /** ISO 3166-1 alpha-2. */
  readonly country: string
  /** English name. */
  readonly city: string
  /** Degrees, WGS 84, of the city. */
  readonly latitude: number | null
  readonly longitude: number | null
  readonly asn: number
  readonly asOrganization: string
}

export interface GeoOptions {
  /** Paths of City files; several are asked in turn. Families (IPv4, IPv6) that none of them serves get the bundled one. */
  cityDbs: readonly string[]
  /** Paths of ASN files; none is bundled. */
  asnDbs: readonly string[]
  log: GeoLog
  /** Gets `vedette_geo_*`. */
  metrics?: Registry
  /** How often the files are looked at, ms. A changed file serves after two looks. */
  pollMs?: number
  /** Addresses remembered; 65,536 take about 15 MB. */
  cacheEntries?: number
}

export interface Geo {
  /** Never throws: private, reserved and unreadable addresses get `UNKNOWN_LOCATION`. The object is shared, frozen and cheap. */
  lookup(ip: string): Location
  /** Rises whenever other data begin to serve, so that callers know to drop what they remembered. */
  readonly version: number
  /** Every configured file and each bundled one in use. */
  sources(): SourceState[]
  /** Lines that must stand where locations are shown. */
  attributions(): string[]
  cacheStats(): { hits: number; misses: number; entries: number }
  /** Resolves when everything that can be loaded is. A file that cannot be is a warning, not an error. */
  start(): Promise<void>
  stop(): Promise<void>
}

export const UNKNOWN_LOCATION: Location = Object.freeze({
  country: '',
  city: '',
  latitude: null,
  longitude: null,
  asn: 0,
  asOrganization: '',
})

/** Networks move: past this age a database is to be renewed. */
export const OLD_DATABASE_DAYS = 90
const DAY_MS = 86_400_000

/** What is asked, in turn, for an address of one family. */
interface Chain {
  city: Find<CityAnswer>[]
  asn: Find<AsnAnswer>[]
}

const finders = <Answer>(sources: readonly Source<Answer>[], family: 4 | 6): Find<Answer>[] =>
  sources.flatMap((source) => {
    const database = source.database()
    return database?.families.includes(family) ? [database.find] : []
  })

export const createGeo = ({
  cityDbs,
  asnDbs,
  log,
  metrics,
  pollMs = 5_000,
  cacheEntries = 65_536,
}: GeoOptions): Geo => {
  const city = cityDbs.map((path) => createSource({ kind: 'city', path, bundled: false, open: openCityDatabase, log }))
  const asn = asnDbs.map((path) => createSource({ kind: 'asn', path, bundled: false, open: openAsnDatabase, log }))
  const bundled = new Map<4 | 6, Source<CityAnswer>>()
  const cache = new LRUCache<string, Location>({ max: cacheEntries })

  let version = 0
  let hits = 0
  let misses = 0
  let timer: NodeJS.Timeout | undefined
  let polling: Promise<void> = Promise.resolve()
  let aging: NodeJS.Timeout | undefined
  let stopped = false
  let failed = false
  let chains: Record<4 | 6, Chain> = { 4: { city: [], asn: [] }, 6: { city: [], asn: [] } }

  const rebuild = async (): Promise<void> => {
    for (const family of [4, 6] as const) {
      if (finders(city, family).length > 0) {
        bundled.delete(family)
      } else if (!bundled.has(family)) {
        const path = bundledCityPath(family)
        const source = createSource({ kind: 'city', path, bundled: true, open: openCityDatabase, log })
        bundled.set(family, source)
        await source.load()
      }
    }
    const cities = [...city, ...bundled.values()]
    chains = {
      4: { city: finders(cities, 4), asn: finders(asn, 4) },
      6: { city: finders(cities, 6), asn: finders(asn, 6) },
    }
    cache.clear()
    failed = false
    version++
  }

  /** Each day anew, until somebody renews it. */
  const warnOfAge = (): void => {
    for (const { path, kind, buildDate, bundled } of geo.sources()) {
      const days = buildDate ? Math.floor((Date.now() - buildDate.getTime()) / DAY_MS) : 0
      if (days <= OLD_DATABASE_DAYS) continue
      const remedy = bundled ? `update Vedette, or set GEOIP_${kind.toUpperCase()}_DB` : 'renew it'
      log.warn({ file: path, kind, buildDate, days }, `geo database ${path} is ${days} days old; ${remedy}`)
    }
  }

  const ask = <Answer>(finders: readonly Find<Answer>[], ip: string): Answer | undefined => {
    for (const find of finders) {
      try {
        const answer = find(ip)
        if (answer) return answer
      } catch (error) {
        // Damage that the check at loading did not meet. Told once a version: it may be met at every request.
        if (!failed)
          log.warn({ ip, err: error }, `geo database cannot answer for ${ip}: the file is damaged, replace it`)
        failed = true
      }
    }
    return undefined
  }

  const locate = (ip: string, address: IPv4 | IPv6): Location => {
    if (kindOf(address) !== 'public') return UNKNOWN_LOCATION
    const { city, asn } = chains[address.kind() === 'ipv4' ? 4 : 6]
    // Only ::ffff:a.b.c.d and zones have to be written anew; doing it for all costs 1 µs of a look-up's 10.
    const isPlain = !ip.includes('%') && (address.kind() === 'ipv6' || !ip.includes(':'))
    const plain = isPlain ? ip : address.toString()
    const place = ask(city, plain)
    const network = ask(asn, plain)
    return place || network ? Object.freeze({ ...UNKNOWN_LOCATION, ...place, ...network }) : UNKNOWN_LOCATION
  }

  const lookOnce = async (): Promise<void> => {
    let changed = false
    for (const source of [...city, ...asn]) changed = (await source.poll()) || changed
    if (changed) await rebuild()
  }

  const schedule = (): void => {
    if (stopped) return
    timer = setTimeout(() => {
      polling = lookOnce()
        .catch((error: unknown) => log.warn({ err: error }, 'geo databases could not be looked at; trying again'))
        .then(schedule)
    }, pollMs)
    timer.unref()
  }

  const geo: Geo = {
    lookup: (ip) => {
      const known = cache.get(ip)
      if (known) {
        hits++
        return known
      }
      // Text that is no address is not worth a place in the cache: there is no end of it.
      const address = parseAddress(ip)
      if (!address) return UNKNOWN_LOCATION
      misses++
      const location = locate(ip, address)
      cache.set(ip, location)
      return location
    },
    get version() {
      return version
    },
    sources: () => [...city, ...bundled.values(), ...asn].map((source) => source.state()),
    attributions: () => [
      ...new Set(
        geo
          .sources()
          .map(({ attribution }) => attribution)
          .filter(Boolean),
      ),
    ],
    cacheStats: () => ({ hits, misses, entries: cache.size }),
    start: async () => {
      for (const source of [...city, ...asn]) await source.load()
      await rebuild()
      warnOfAge()
      aging = setInterval(warnOfAge, DAY_MS).unref()
      if (city.length + asn.length > 0) schedule()
    },
    stop: async () => {
      stopped = true
      clearTimeout(timer)
      clearInterval(aging)
      await polling
    },
  }
  if (metrics) measure(geo, metrics)
  return geo
}

const measure = (geo: Geo, registry: Registry): void => {
  registry.registerMetric(
    new Counter({
      name: 'vedette_geo_lookups_total',
      help: 'Addresses looked up, by whether the cache knew them.',
      labelNames: ['cache'],
      registers: [],
      collect() {
        const { hits, misses } = geo.cacheStats()
        this.reset()
        this.inc({ cache: 'hit' }, hits)
        this.inc({ cache: 'miss' }, misses)
      },
    }),
  )
  registry.registerMetric(
    new Gauge({
      name: 'vedette_geo_database_build_timestamp_seconds',
      help: 'Build date of each geo database that serves, as Unix time; absent: that file does not serve.',
      labelNames: ['kind', 'path'],
      registers: [],
      collect() {
        this.reset()
        for (const { kind, path, buildDate } of geo.sources()) {
          if (buildDate) this.set({ kind, path }, buildDate.getTime() / 1000)
        }
      },
    }),
  )
}
