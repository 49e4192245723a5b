import { Reader as MaxMindReader } from '@maxmind/geoip2-node'
import { Reader, type Response } from 'mmdb-lib'

/** What a file of one kind is asked for: `city` gives country, city and coordinates, `asn` the network's operator. */
export type DatabaseKind = 'city' | 'asn'

/** The part of a location that one database knows of one address. */
export interface CityAnswer {
  country: string
  city: string
  latitude: number | null
  longitude: number | null
}
export interface AsnAnswer {
  asn: number
  asOrganization: string
}

/** Undefined: the address is not in it. `ip` is a public address in plain form. */
export type Find<Answer> = (ip: string) => Answer | undefined

/** A database held in memory and found sound. */
export interface Database<Answer> {
  /** As the file calls itself: `GeoLite2-City`, `city ipv4`. */
  type: string
  buildDate: Date
  /** Which addresses it can be asked for. */
  families: readonly (4 | 6)[]
  /** Bytes of memory: the file is held whole. */
  bytes: number
  /** The line that its licence asks for where results are shown; empty: none known. */
  attribution: string
  find: Find<Answer>
}

/** A file that cannot be used; the message says what is wrong with it. */
export class DatabaseError extends Error {
  override name = 'DatabaseError'
}

interface FlatCity {
  country_code?: string
  city?: string
  latitude?: number
  longitude?: number
}
interface FlatAsn {
  autonomous_system_number?: number
  autonomous_system_organization?: string
}

const METADATA_MARKER = Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1')
/** The format's own bound on how far from the end the metadata begin. */
const METADATA_MAX = 128 * 1024
const SEPARATOR = Buffer.alloc(16)

const read = (buffer: Buffer): Reader<Response> => {
  // mmdb-lib looks for the marker byte by byte through the whole buffer: 0.1 s of a stalled loop for 60 MB of garbage.
  if (buffer.subarray(-METADATA_MAX).indexOf(METADATA_MARKER) === -1) {
    throw new DatabaseError('it has no MaxMind DB metadata at its end: cut off, or another format')
  }
  let reader: Reader<Response>
  try {
    reader = new Reader<Response>(buffer)
  } catch (error) {
    throw new DatabaseError(`its metadata cannot be read (${(error as Error).message})`, { cause: error })
  }
  const { searchTreeSize, nodeCount, databaseType, ipVersion } = reader.metadata
  if (typeof databaseType !== 'string' || (ipVersion !== 4 && ipVersion !== 6) || !(nodeCount > 0)) {
    throw new DatabaseError('its metadata lack type, IP version or node count')
  }
  if (!buffer.subarray(searchTreeSize, searchTreeSize + 16).equals(SEPARATOR)) {
    throw new DatabaseError('tree and data do not meet where its metadata say: parts are missing')
  }
  return reader
}

/** 256 addresses all over the space: a file whose middle is damaged answers some of them with nonsense. */
const PROBES: Record<4 | 6, readonly string[]> = {
  4: Array.from({ length: 256 }, (_, i) => `${i}.${(i * 89) % 256}.${(i * 151) % 256}.1`),
  6: Array.from({ length: 256 }, (_, i) => `2${(i * 16).toString(16).padStart(3, '0')}:${(i * 257).toString(16)}::1`),
}

const probe = (find: (ip: string) => unknown, families: readonly (4 | 6)[]): void => {
  for (const ip of families.flatMap((family) => PROBES[family])) {
    try {
      find(ip)
    } catch (error) {
      throw new DatabaseError(`its record of ${ip} cannot be read (${(error as Error).message}): damaged`, {
        cause: error,
      })
    }
  }
}

const attributionOf = (type: string): string => {
  if (/geolite2/i.test(type)) {
    return 'This product includes GeoLite Data created by MaxMind, available from https://www.maxmind.com'
  }
  // The npm package of DB-IP City Lite names its files by content only.
  return /dbip|^city ipv[46]$/i.test(type) ? 'IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0' : ''
}

/** A tree of IPv6 may hold IPv4 below ::/96 (MaxMind) or nothing there (DB-IP's second file): the walk then ends at depth 0. */
const familiesOf = (reader: Reader<Response>): readonly (4 | 6)[] => {
  if (reader.metadata.ipVersion === 4) return [4]
  return reader.getWithPrefixLength('1.0.0.0')[1] > 0 ? [4, 6] : [6]
}

const describe = (reader: Reader<Response>, buffer: Buffer) => ({
  type: reader.metadata.databaseType,
  buildDate: reader.metadata.buildEpoch,
  families: familiesOf(reader),
  bytes: buffer.length,
  attribution: attributionOf(reader.metadata.databaseType),
})

/** Degrees to 4 places, 11 m: the files hold 32-bit floats, and the rest is noise that costs bytes in every row. */
const degrees = (value: number | undefined): number | null =>
  value === undefined || !Number.isFinite(value) ? null : Math.round(value * 1e4) / 1e4

/** geoip2-node says "not in it" by throwing. */
const orUndefined = <T>(ask: () => T): T | undefined => {
  try {
    return ask()
  } catch (error) {
    if ((error as Error).name === 'AddressNotFoundError') return undefined
    throw error
  }
}

const cityFinder = (reader: Reader<Response>, buffer: Buffer): Find<CityAnswer> | undefined => {
  const { databaseType } = reader.metadata
  if (databaseType.includes('City')) {
    // It costs 30 µs a look-up, 6 of them mmdb-lib's: the models copy every record. The cache by address keeps that rare.
    const maxmind = MaxMindReader.openBuffer(buffer)
    return (ip) => {
      const found = orUndefined(() => maxmind.city(ip))
      return (
        found && {
          country: found.country?.isoCode ?? '',
          city: found.city?.names?.en ?? '',
          latitude: degrees(found.location?.latitude),
          longitude: degrees(found.location?.longitude),
        }
      )
    }
  }
  // DB-IP City Lite as npm has it: flat records under the type "city ipv4", which geoip2-node's city() refuses
  // by name and could not read anyway. Straight from mmdb-lib, on which geoip2-node stands: 5 µs a look-up.
  if (/\bcity\b/i.test(databaseType)) {
    return (ip) => {
      const found = reader.get(ip) as FlatCity | null
      if (!found) return undefined
      return {
        country: found.country_code ?? '',
        city: found.city ?? '',
        latitude: degrees(found.latitude),
        longitude: degrees(found.longitude),
      }
    }
  }
  return undefined
}

const asnAnswer = (asn: number | undefined, organization: string | undefined): AsnAnswer | undefined =>
  asn === undefined ? undefined : { asn, asOrganization: organization ?? '' }

const asnFinder = (reader: Reader<Response>, buffer: Buffer): Find<AsnAnswer> | undefined => {
  const { databaseType } = reader.metadata
  if (databaseType.includes('ASN')) {
    const maxmind = MaxMindReader.openBuffer(buffer)
    return (ip) => {
      const found = orUndefined(() => maxmind.asn(ip))
      return found && asnAnswer(found.autonomousSystemNumber, found.autonomousSystemOrganization)
    }
  }
  if (/\basn\b/i.test(databaseType)) {
    return (ip) => {
      const found = reader.get(ip) as FlatAsn | null
      return found ? asnAnswer(found.autonomous_system_number, found.autonomous_system_organization) : undefined
    }
  }
  return undefined
}

const open = <Answer>(
  buffer: Buffer,
  finderFor: (reader: Reader<Response>, buffer: Buffer) => Find<Answer> | undefined,
  wanted: string,
): Database<Answer> => {
  const reader = read(buffer)
  const find = finderFor(reader, buffer)
  if (!find) throw new DatabaseError(`it is a "${reader.metadata.databaseType}" database where ${wanted} is wanted`)
  const description = describe(reader, buffer)
  probe(find, description.families)
  return { ...description, find }
}

/** @throws {DatabaseError} truncated, damaged, another format, or no city database */
export const openCityDatabase = (buffer: Buffer): Database<CityAnswer> => open(buffer, cityFinder, 'a City one')

/** @throws {DatabaseError} truncated, damaged, another format, or no ASN database */
export const openAsnDatabase = (buffer: Buffer): Database<AsnAnswer> => open(buffer, asnFinder, 'an ASN one')
