import type { PrefixTree } from '../../ratelimit/index.ts'

export const CRAWLER_KINDS = ['search_engine', 'crawler', 'monitor', 'preview', 'webhook'] as const
export type CrawlerKind = (typeof CRAWLER_KINDS)[number]

/** A machine that says in its user agent who it is, and how its owner says one can tell. */
export interface Crawler {
  /** Lower-case letters, digits, `.`, `_` and `-`. */
  name: string
  title: string
  kind: CrawlerKind
  /** RE2 (and JavaScript), for user agents in lower case. */
  userAgent: string
  /** CIDRs. */
  ranges: readonly string[]
  /** What the names of its addresses match, in lower case and without the dot at the end. */
  names: readonly RegExp[]
  /** Whether `ranges` are all that the owner publishes: an address outside them is then none of the owner's. */
  complete: boolean
  /** Where the owner publishes it; of an operator's list the file. */
  source: string
  /** Of the list, YYYY-MM-DD. */
  date: string
}

/** A crawler made ready for look-ups. */
export interface ReadyCrawler extends Crawler {
  pattern: RegExp
  tree: PrefixTree<string>
}

/** What an operator's file says; what it does not say stays as the bundled list has it. */
export interface GivenList {
  name: string
  userAgent?: string | undefined
  ranges?: readonly string[] | undefined
  names?: readonly RegExp[] | undefined
  /** YYYY-MM-DD; undefined: when the file was written. */
  date?: string | undefined
}

/**
 * - `verified`: its owner's ranges or names bear the claim out
 * - `false`: they do not
 * - `unknown`: neither could be asked
 */
export type CrawlerVerdict = 'verified' | 'false' | 'unknown'
