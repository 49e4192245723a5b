import { promises as dns } from 'node:dns'

import { LRUCache } from 'lru-cache'
import type { Logger } from 'pino'

import { type Address, createPrefixTree, parseAddress } from '../../ratelimit/index.ts'
import { mergeLists } from './bundled.ts'
import { confirmByName, type NameResolver } from './confirm.ts'
import { createListFolder } from './folder.ts'
import { checkedPattern, checkedPrefix } from './parse-list.ts'
import type { Crawler, CrawlerVerdict, ReadyCrawler } from './types.ts'

/** An address and what it says to be; `ip` is one address of it where it is a /64. */
export interface CrawlerClaim {
  address: string
  ip: string
  userAgent: string
}

export interface CrawlerFinding {
  address: string
  /** Name of the crawler that it says to be. */
  crawler: string
  verdict: CrawlerVerdict
}

export interface Crawlers {
  start: () => Promise<void>
  stop: () => Promise<void>
  /** One RE2 pattern for user agents in lower case: who says to be a listed crawler. */
  readonly agents: string
  /** The lists in force, with their source and date. */
  list: () => readonly Crawler[]
  /** Says of every claim whether the crawler's owner bears it out; who claims nothing is left out. */
  verify: (claims: readonly CrawlerClaim[], signal?: AbortSignal) => Promise<CrawlerFinding[]>
}

export interface CrawlersDependencies {
  /** Lists of an operator's, followed while they change. */
  dir?: string | undefined
  /** Whether names may be looked up. */
  dns: boolean
  log: Logger
  resolver?: NameResolver
  pollMs?: number
  timeoutMs?: number
}

const AT_ONCE = 10
/** Of one call. Names of 500 addresses that nobody answers for would take minutes; see also FAILURES. */
const MOST_LOOKED_UP = 500
/** In a row: then the resolver is away, and the rest of the call is not asked for. */
const FAILURES = 2 * AT_ONCE
const REMEMBERED = 20_000
const REMEMBERED_MS = 24 * 3_600_000

const ready = (crawler: Crawler): ReadyCrawler => {
  const tree = createPrefixTree<string>()
  for (const range of crawler.ranges) tree.set(checkedPrefix(range), range)
  return { ...crawler, pattern: checkedPattern(crawler.userAgent), tree }
}

/** Tells crawlers that are what they say from those that only say so. */
export const createCrawlers = (dependencies: CrawlersDependencies): Crawlers => {
  const { dir, log, pollMs = 5_000, timeoutMs = 2_000 } = dependencies
  const resolver = dependencies.resolver ?? new dns.Resolver({ timeout: timeoutMs, tries: 1 })
  const folder = dir === undefined ? undefined : createListFolder(dir, log)
  const remembered = new LRUCache<string, CrawlerVerdict>({ max: REMEMBERED, ttl: REMEMBERED_MS })
  let crawlers = mergeLists([]).map(ready)
  let timer: NodeJS.Timeout | undefined
  let looking: Promise<void> = Promise.resolve()
  let stopped = false

  const look = async (): Promise<void> => {
    if (!(await folder?.look())) return
    crawlers = mergeLists(folder!.lists()).map(ready)
    remembered.clear()
    log.info({ dir, lists: folder!.lists().length }, 'lists of crawlers are in force')
  }

  const schedule = (): void => {
    if (stopped || !folder) return
    timer = setTimeout(() => {
      looking = look()
        .catch((error: unknown) => log.error({ err: error, dir }, 'CRAWLER_RANGES_DIR could not be looked at'))
        .then(schedule)
    }, pollMs)
    timer.unref()
  }

  /** What can be said without asking anybody; undefined: names are to be looked up. */
  const judge = (crawler: ReadyCrawler, address: Address): CrawlerVerdict | undefined => {
    if (crawler.tree.matches(address, []) > 0) return 'verified'
    const outside: CrawlerVerdict = crawler.complete ? 'false' : 'unknown'
    if (crawler.names.length === 0 || !dependencies.dns) return outside
    return remembered.get(`${crawler.name} ${address.text}`)
  }

  return {
    start: async () => {
      await look()
      schedule()
    },
    stop: async () => {
      stopped = true
      clearTimeout(timer)
      await looking
    },
    get agents() {
      return crawlers.map(({ userAgent }) => `(?:${userAgent})`).join('|')
    },
    list: () => crawlers,
    verify: async (claims, signal) => {
      const findings = new Map<string, CrawlerFinding>()
      const open: { crawler: ReadyCrawler; address: Address; finding: CrawlerFinding }[] = []
      for (const claim of claims) {
        const userAgent = claim.userAgent.toLowerCase()
        const crawler = crawlers.find(({ pattern }) => pattern.test(userAgent))
        const address = parseAddress(claim.ip)
        if (!crawler || !address) continue
        const key = `${claim.address} ${crawler.name}`
        if (findings.has(key)) continue
        const verdict = judge(crawler, address)
        const finding = { address: claim.address, crawler: crawler.name, verdict: verdict ?? 'unknown' }
        findings.set(key, finding)
        if (verdict === undefined) open.push({ crawler, address, finding })
      }
      const left = open.slice(0, MOST_LOOKED_UP).values()
      let failures = 0
      await Promise.all(
        Array.from({ length: AT_ONCE }, async () => {
          for (const { crawler, address, finding } of left) {
            if (failures >= FAILURES) return
            finding.verdict = await confirmByName(address, crawler.names, { resolver, timeoutMs, signal })
            failures = finding.verdict === 'unknown' ? failures + 1 : 0
            if (finding.verdict !== 'unknown') remembered.set(`${crawler.name} ${address.text}`, finding.verdict)
          }
        }),
      )
      const unknown = open.filter(({ finding }) => finding.verdict === 'unknown').length
      if (unknown > 0) log.warn({ unknown }, 'the names of some who say to be crawlers could not be looked up')
      return [...findings.values()]
    },
  }
}
