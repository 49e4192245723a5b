import ipaddr from 'ipaddr.js'

import type { Random } from './random.ts'

/**
 * Where the made-up people live: networks of large access providers, so that the geo database finds real towns for them.
 * What the day says about any single address is invention.
 */
export interface Country {
  code: string
  /** Hours ahead of UTC, standard time. */
  utcOffset: number
  /** Share of the visitors, in any unit. */
  weight: number
  v4: readonly string[]
  v6: readonly string[]
  /** Where people come from to this site: the search engine's host. */
  search: string
}

const country = (
  code: string,
  utcOffset: number,
  weight: number,
  search: string,
  v4: readonly string[],
  v6: readonly string[] = [],
): Country => ({ code, utcOffset, weight, search: `https://${search}/`, v4, v6 })

export const COUNTRIES: readonly Country[] = [
  country(
    'DE',
    1,
    26,
    'www.google.de',
    ['79.192.0.0/10', '84.128.0.0/10', '91.0.0.0/10', '93.192.0.0/10', '88.64.0.0/12', '95.88.0.0/14', '77.20.0.0/14'],
    ['2003::/20', '2a02:8100::/27', '2a01:c22::/31'],
  ),
  country(
    'US',
    -6,
    17,
    'www.google.com',
    ['73.0.0.0/8', '24.0.0.0/13', '107.192.0.0/10', '71.160.0.0/11', '98.192.0.0/10', '68.32.0.0/11', '172.56.0.0/14'],
    ['2601::/20', '2600:1700::/28', '2600:1000::/28'],
  ),
  country(
    'GB',
    0,
    10,
    'www.google.co.uk',
    ['86.128.0.0/10', '81.128.0.0/11', '90.192.0.0/11'],
    ['2a00:23c0::/27', '2a02:c7c::/31'],
  ),
  country('FR', 1, 9, 'www.google.fr', ['86.192.0.0/10', '82.64.0.0/14'], ['2a01:e0a::/32', '2a01:cb00::/26']),
  country(
    'NL',
    1,
    5,
    'www.google.nl',
    ['84.24.0.0/13', '62.194.0.0/15', '86.80.0.0/12'],
    ['2a02:a440::/26', '2001:1c00::/24'],
  ),
  country('AT', 1, 4, 'www.google.at', ['91.112.0.0/14', '62.46.0.0/15']),
  country('CH', 1, 4, 'www.google.ch', ['85.0.0.0/13', '178.192.0.0/13'], ['2a02:1200::/27']),
  country('IT', 1, 4, 'www.google.it', ['79.0.0.0/10', '82.48.0.0/12', '151.16.0.0/12', '93.32.0.0/11']),
  country('ES', 1, 4, 'www.google.es', ['83.32.0.0/11', '88.0.0.0/11', '80.24.0.0/13'], ['2a0c:5a80::/29']),
  country('PL', 1, 3, 'www.google.pl', ['83.0.0.0/11', '79.184.0.0/13', '89.64.0.0/12']),
  country('SE', 1, 2, 'www.google.se', ['90.224.0.0/12', '78.64.0.0/12', '81.224.0.0/12']),
  country('BE', 1, 1.5, 'www.google.be', ['78.20.0.0/14']),
  country('DK', 1, 1.5, 'www.google.dk', ['80.160.0.0/13', '2.104.0.0/13']),
  country('IE', 0, 1, 'www.google.ie', ['86.40.0.0/13', '109.76.0.0/14']),
  country('PT', 0, 1, 'www.google.pt', ['85.240.0.0/13', '2.80.0.0/14']),
  country('TR', 3, 1, 'www.google.com.tr', ['78.160.0.0/11', '88.224.0.0/11']),
  country('CA', -5, 3, 'www.google.ca', ['70.24.0.0/13', '99.224.0.0/11', '174.88.0.0/13'], ['2607:fea8::/32']),
  country('BR', -3, 3, 'www.google.com.br', ['177.32.0.0/11', '179.96.0.0/11'], ['2804:14c::/31', '2804:14d::/32']),
  country('MX', -6, 1, 'www.google.com.mx', ['189.128.0.0/10', '201.96.0.0/12']),
  country('AR', -3, 0.7, 'www.google.com.ar', ['186.136.0.0/13']),
  country('AU', 10, 2, 'www.google.com.au', ['1.120.0.0/13', '58.160.0.0/12', '120.144.0.0/12'], ['2001:8003::/32']),
  country('JP', 9, 2, 'www.google.co.jp', ['60.32.0.0/12', '153.128.0.0/10', '219.96.0.0/11'], ['2400:4050::/28']),
  country('IN', 5.5, 3, 'www.google.co.in', ['117.192.0.0/10', '157.32.0.0/12'], ['2409:4000::/22', '2401:4900::/32']),
  country('KR', 9, 0.8, 'www.google.co.kr', ['121.128.0.0/10', '175.192.0.0/10']),
  country('VN', 7, 0.4, 'www.google.com.vn', ['14.160.0.0/11', '113.160.0.0/11']),
  country('ID', 7, 0.5, 'www.google.co.id', ['114.120.0.0/13']),
]

export const countryOf = (code: string): Country => COUNTRIES.find((country) => country.code === code)!

/** Hosting networks all over the world: attackers rent there, and so do honest machines. */
export const HOSTING: readonly string[] = [
  '159.65.0.0/16',
  '167.99.0.0/16',
  '165.22.0.0/16',
  '134.209.0.0/16',
  '68.183.0.0/16',
  '164.92.0.0/16',
  '116.202.0.0/15',
  '95.216.0.0/15',
  '51.68.0.0/16',
  '51.77.0.0/16',
  '161.97.64.0/18',
  '45.76.0.0/16',
  '149.28.0.0/16',
  '139.180.128.0/17',
  '43.128.0.0/14',
  '47.74.0.0/15',
  '172.104.0.0/15',
  '139.162.0.0/16',
  '178.128.0.0/16',
  '206.189.0.0/16',
  '188.166.0.0/16',
]
export const HOSTING_V6: readonly string[] = ['2a01:4f8::/32', '2604:a880::/32', '2001:41d0::/32', '2400:8904::/32']

/** Home routers and phones that someone else commands. */
export const BOTNET: readonly string[] = [
  '113.64.0.0/10',
  '183.0.0.0/10',
  '95.24.0.0/13',
  '117.192.0.0/10',
  '114.120.0.0/13',
  '14.160.0.0/11',
  '171.224.0.0/11',
  '177.32.0.0/11',
  '179.96.0.0/11',
  '78.160.0.0/11',
  '37.52.0.0/14',
  '121.128.0.0/10',
  '189.128.0.0/10',
]

interface Network {
  v6: boolean
  /** IPv4: the network's number. IPv6: its first four groups. */
  base: number
  groups: readonly number[]
  bits: number
}

const parsed = new Map<string, Network>()

const networkOf = (cidr: string): Network => {
  const known = parsed.get(cidr)
  if (known) return known
  const [address, bits] = ipaddr.parseCIDR(cidr)
  const bytes = address.toByteArray()
  const groups = [0, 2, 4, 6].map((at) => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0))
  const base = bytes.slice(0, 4).reduce((number, byte) => number * 256 + byte, 0)
  const network = { v6: address.kind() === 'ipv6', base, groups, bits }
  parsed.set(cidr, network)
  return network
}

const dotted = (number: number): string =>
  `${number >>> 24}.${(number >>> 16) & 255}.${(number >>> 8) & 255}.${number & 255}`

/** An address of the network, in RFC 5952's form. In IPv6, a subnet of it and an interface of a privacy address. */
export const addressIn = (random: Random, cidr: string): string => {
  const { v6, base, groups, bits } = networkOf(cidr)
  if (!v6) {
    if (bits === 32) return dotted(base)
    // Neither the first nor the last of its /24, which rarely belong to anyone.
    const number = base + Math.floor(random.float() * 2 ** (32 - bits))
    return dotted((number & ~255) | random.int(2, 254))
  }
  const filled = groups.map((group, i) => {
    const free = Math.min(16, Math.max(0, (i + 1) * 16 - bits))
    return free === 0 ? group : group | random.int(0, 2 ** free - 1)
  })
  const device = Array.from({ length: 4 }, () => random.int(0x1000, 0xffff))
  return ipaddr.parse([...filled, ...device].map((group) => group.toString(16)).join(':')).toString()
}

/** Gives addresses that no one else of this day has. */
export const createAddressBook = () => {
  const taken = new Set<string>()
  return {
    take(random: Random, cidrs: readonly string[]): string {
      for (;;) {
        const ip = addressIn(random, random.pick(cidrs))
        if (!taken.has(ip)) {
          taken.add(ip)
          return ip
        }
      }
    },
  }
}

export type AddressBook = ReturnType<typeof createAddressBook>
