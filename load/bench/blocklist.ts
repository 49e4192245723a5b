import { mkdtemp, rm } from 'node:fs/promises'
import { BlockList as NodeBlockList } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'

import pino from 'pino'

import { createClickHouse, migrate } from '../../src/clickhouse/index.ts'
import { type Address, addressOf, isWithin, parsePrefix, type Prefix, prefixOf } from '../../src/ratelimit/address.ts'
import { createPrefixTree } from '../../src/ratelimit/blocklist/prefix-tree.ts'
import { createBlockList } from '../../src/ratelimit/index.ts'
import { createRedis } from '../../src/redis/index.ts'

const PREFIXES = 100_000
const LOOKUPS = 200_000
/** A search through the whole list takes a thousand times as long: fewer tell as much. */
const SLOW_LOOKUPS = 200

/** Repeatable, 32 bits. */
const createRandom = (seed: number) => {
  let state = seed
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
}

const random = createRandom(7)
/** IPv4 of the world at large, IPv6 of 2000::/3. */
const anyV4 = (): Address => addressOf(0, 0, 0xffff, (random() % 0xde000000) + 0x01000000)
const anyV6 = (): Address => addressOf((random() >>> 3) | 0x20000000, random(), random(), random())

/** As feeds have them: mostly single addresses, some networks, a tenth IPv6. */
const makePrefixes = (): Prefix[] => {
  const made = new Map<string, Prefix>()
  while (made.size < PREFIXES) {
    const kind = random() % 10
    const prefix =
      kind === 0
        ? prefixOf(anyV6(), [48, 56, 64][random() % 3]!)
        : prefixOf(anyV4(), kind < 4 ? 112 + (random() % 9) : 128)
    made.set(prefix.cidr, prefix)
  }
  return [...made.values()]
}

/** An address within the prefix. */
const within = ({ address, bits }: Prefix): Address => {
  const { w0, w1, w2, w3 } = address
  const fill = (word: number, from: number) => {
    const kept = Math.min(32, Math.max(0, bits - from))
    return kept === 32 ? word : (word | (random() & (0xffffffff >>> kept))) >>> 0
  }
  return addressOf(fill(w0, 0), fill(w1, 32), fill(w2, 64), fill(w3, 96))
}

const line = (what: string, figure: string): void => console.log(`${what.padEnd(64)} ${figure.padStart(12)}`)
const ms = (figure: number): string => `${figure.toFixed(0)} ms`
const ns = (figure: number): string => `${figure.toFixed(0)} ns`

/** Best of twenty rounds, ns a lookup, over addresses in no order, so that the processor's caches are little help. */
const timeLookups = (asked: readonly Address[], lookup: (address: Address) => unknown, lookups = LOOKUPS): number => {
  let best = Infinity
  let found = 0
  for (let round = 0; round < (lookups < LOOKUPS ? 1 : 20); round++) {
    const startedAt = performance.now()
    for (let count = 0; count < lookups; count++) if (lookup(asked[count % asked.length]!) !== undefined) found++
    best = Math.min(best, ((performance.now() - startedAt) * 1e6) / lookups)
  }
  if (found < 0) throw new Error('the results are used, so that they cannot be left out')
  return best
}

/** Works while the longest wait of the event loop is watched. */
const watched = async <T>(work: () => Promise<T>): Promise<{ result: T; took: number; blocked: number }> => {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const startedAt = performance.now()
  const result = await work()
  const took = performance.now() - startedAt
  delay.disable()
  return { result, took, blocked: delay.max / 1e6 }
}

const benchTree = (prefixes: readonly Prefix[], hits: readonly Address[], misses: readonly Address[]): void => {
  const cidrs = prefixes.map(({ cidr }) => cidr)
  let loaded = Infinity
  let built = Infinity
  let tree = createPrefixTree<string>()
  for (let round = 0; round < 5; round++) {
    tree = createPrefixTree<string>()
    const startedAt = performance.now()
    const parsed = cidrs.map((cidr) => parsePrefix(cidr)!)
    const parsedAt = performance.now()
    for (const prefix of parsed) tree.set(prefix, prefix.cidr)
    built = Math.min(built, performance.now() - parsedAt)
    loaded = Math.min(loaded, performance.now() - startedAt)
  }
  const into: number[] = []
  const longest = (address: Address) => {
    const count = tree.matches(address, into)
    return count === 0 ? undefined : tree.at(into[count - 1]!)
  }
  line(`tree alone: ${PREFIXES} prefixes, ready made`, ms(built))
  line('tree alone: the same from their text', ms(loaded))
  line('tree alone: a lookup that hits', ns(timeLookups(hits, longest)))
  line('tree alone: a lookup that misses', ns(timeLookups(misses, longest)))

  const node = new NodeBlockList()
  for (const { address, bits } of prefixes)
    node.addSubnet(address.text, address.isV4 ? bits - 96 : bits, address.isV4 ? 'ipv4' : 'ipv6')
  line(
    "reference: Node's own net.BlockList, a lookup that misses",
    ns(timeLookups(misses, ({ text, isV4 }) => node.check(text, isV4 ? 'ipv4' : 'ipv6') || undefined, SLOW_LOOKUPS)),
  )
  line(
    'reference: a search through a list, a lookup that misses',
    ns(timeLookups(misses, (address) => prefixes.find((prefix) => isWithin(address, prefix)), SLOW_LOOKUPS)),
  )
}

/** `npm run bench -- blocklist` */
export const run = async (): Promise<void> => {
  const prefixes = makePrefixes()
  const hits = Array.from({ length: PREFIXES }, () => within(prefixes[random() % PREFIXES]!))
  const misses = Array.from({ length: PREFIXES }, () => (random() % 10 === 0 ? anyV6() : anyV4())).filter(
    (address) => !prefixes.slice(0, 200).some((prefix) => isWithin(address, prefix)),
  )
  benchTree(prefixes, hits, misses)

  const dataDir = await mkdtemp(join(tmpdir(), 'vedette-bench-'))
  const log = pino({ level: 'silent' })
  const redis = createRedis([], { log })
  const clickhouse = await createClickHouse({ dataDir, log })
  try {
    await migrate(clickhouse, { log })
    const create = () => createBlockList({ clickhouse, redis, log, dataDir, trustedProxies: [] })
    const first = create()
    await first.start()
    const expiresAt = new Date(Date.now() + 86_400_000)
    const entries = prefixes.map(({ cidr }) => ({ cidr, reason: 'a feed', force: true, expiresAt }))
    const added = await watched(() => first.addMany(entries, { by: 'cli' }))
    line(`addMany of ${PREFIXES} into the embedded ClickHouse`, ms(added.took))
    line('  the event loop waited at most', ms(added.blocked))
    const saved = await watched(() => first.stop())
    line('  its snapshot at the stop', ms(saved.took))

    const before = process.memoryUsage().heapUsed
    const second = create()
    const started = await watched(() => second.start())
    line(`start: ${PREFIXES} from ClickHouse until they are looked up`, ms(started.took))
    line('  the event loop waited at most', ms(started.blocked))
    line('  memory', `${((process.memoryUsage().heapUsed - before) / 2 ** 20).toFixed(0)} MiB`)
    line('block list: a lookup that hits', ns(timeLookups(hits, second.lookup)))
    line('block list: a lookup that misses', ns(timeLookups(misses, second.lookup)))
    const one = await watched(() => second.add({ cidr: '198.51.100.7', reason: 'one more' }, { by: 'cli' }))
    line('one more added', ms(one.took))
    const polled = await watched(() => second.refresh())
    line('a poll after it', ms(polled.took))
    const denied = await watched(async () => second.denied())
    line('denied(), for /v1/blocklist, once a change', ms(denied.took))
    await second.stop()
  } finally {
    await clickhouse.close()
    await rm(dataDir, { recursive: true, force: true })
  }
}
