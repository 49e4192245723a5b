import ipaddr from 'ipaddr.js'

/** What a small database file is made of. Networks are CIDRs; a longer prefix goes inside a shorter one if it comes later. */
export interface MmdbContent {
  type: string
  ipVersion: 4 | 6
  networks: Record<string, unknown>
  buildDate?: Date
}

type Node = [Slot, Slot]
type Slot = Node | { data: number } | undefined

const isNode = (slot: Slot): slot is Node => Array.isArray(slot)

const control = (type: number, size: number): Buffer => {
  const first = type < 8 ? type << 5 : 0
  const extended = type < 8 ? [] : [type - 7]
  if (size < 29) return Buffer.from([first | size, ...extended])
  if (size < 285) return Buffer.from([first | 29, ...extended, size - 29])
  return Buffer.from([first | 30, ...extended, (size - 285) >> 8, (size - 285) & 255])
}

const unsigned = (type: number, value: number): Buffer => {
  const hex = value.toString(16)
  const bytes = Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex')
  return Buffer.concat([control(type, bytes.length), bytes])
}

/** MaxMind DB data: whole numbers as uint32 (uint64 past 32 bits), others as doubles. */
const encode = (value: unknown): Buffer => {
  if (typeof value === 'string') {
    const bytes = Buffer.from(value)
    return Buffer.concat([control(2, bytes.length), bytes])
  }
  if (typeof value === 'number') {
    if (Number.isInteger(value) && value >= 0) return unsigned(value < 2 ** 32 ? 6 : 9, value)
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleBE(value)
    return Buffer.concat([control(3, 8), bytes])
  }
  if (typeof value === 'boolean') return control(14, Number(value))
  if (Array.isArray(value)) return Buffer.concat([control(11, value.length), ...value.map(encode)])
  const entries = Object.entries(value as object)
  return Buffer.concat([control(7, entries.length), ...entries.flatMap(([key, item]) => [encode(key), encode(item)])])
}

/** Bits of a network in a tree of the given version: IPv4 lies below ::/96 of an IPv6 tree. */
const bitsOf = (cidr: string, ipVersion: 4 | 6): number[] => {
  const [address, length] = ipaddr.parseCIDR(cidr)
  const pad = ipVersion === 6 && address.kind() === 'ipv4' ? 96 : 0
  const bits = address.toByteArray().flatMap((byte) => Array.from({ length: 8 }, (_, i) => (byte >> (7 - i)) & 1))
  return [...Array.from({ length: pad }, () => 0), ...bits.slice(0, length)]
}

/** Writes a MaxMind DB with records of 28 bits, the size that the real ones have. */
export const writeMmdb = ({ type, ipVersion, networks, buildDate = new Date(0) }: MmdbContent): Buffer => {
  const root: Node = [undefined, undefined]
  const nodes: Node[] = [root]
  const data: Buffer[] = []
  let dataLength = 0
  for (const [cidr, record] of Object.entries(networks)) {
    const encoded = encode(record)
    const bits = bitsOf(cidr, ipVersion)
    let node = root
    for (const bit of bits.slice(0, -1)) {
      let next = node[bit]
      if (!isNode(next)) {
        next = [next, next]
        nodes.push(next)
        node[bit] = next
      }
      node = next
    }
    node[bits.at(-1)!] = { data: dataLength }
    data.push(encoded)
    dataLength += encoded.length
  }
  const place = new Map(nodes.map((node, index) => [node, index]))
  const pointer = (slot: Slot): number => {
    if (slot === undefined) return nodes.length
    return isNode(slot) ? place.get(slot)! : nodes.length + 16 + slot.data
  }
  const tree = nodes.map((node) => {
    const [left, right] = [pointer(node[0]), pointer(node[1])]
    const bytes = Buffer.alloc(7)
    bytes.writeUIntBE(left & 0xffffff, 0, 3)
    bytes[3] = ((left >>> 24) << 4) | (right >>> 24)
    bytes.writeUIntBE(right & 0xffffff, 4, 3)
    return bytes
  })
  return Buffer.concat([
    ...tree,
    Buffer.alloc(16),
    ...data,
    Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1'),
    encode({
      binary_format_major_version: 2,
      binary_format_minor_version: 0,
      build_epoch: Math.floor(buildDate.getTime() / 1000),
      database_type: type,
      description: { en: 'made for a test' },
      ip_version: ipVersion,
      languages: ['en'],
      node_count: nodes.length,
      record_size: 28,
    }),
  ])
}

/** A City record as MaxMind writes it. */
export const maxmindCity = (country: string, city: string, latitude: number, longitude: number): object => ({
  city: { geoname_id: 1, names: { en: city, de: `${city} (de)` } },
  country: { geoname_id: 2, iso_code: country, names: { en: country } },
  location: { accuracy_radius: 5, latitude, longitude, time_zone: 'UTC' },
})
