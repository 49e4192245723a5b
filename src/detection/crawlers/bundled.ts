import { readFileSync } from 'node:fs'

import type { Crawler, CrawlerKind, GivenList } from './types.ts'

/** As crawlers.json has it. */
interface Bundled {
  name: string
  /** What owners and others call their lists of it. */
  aliases?: readonly string[]
  title: string
  kind: CrawlerKind
  userAgent: string
  /** Domains under which the names of its addresses lie. */
  names: readonly string[]
  complete: boolean
  ranges: readonly string[]
  source: string
  date: string
}

const LITERAL = /[\\^$.*+?()[\]{}|]/g
const escaped = (text: string): string => text.replaceAll(LITERAL, String.raw`\$&`)

const isUnder = (domain: string): RegExp => new RegExp(String.raw`(?:^|\.)${escaped(domain)}$`)

const bundled = (): Bundled[] =>
  JSON.parse(readFileSync(new URL('crawlers.json', import.meta.url), 'utf8')) as Bundled[]

/** The bundled crawlers, with an operator's lists in place of what the bundle says of the same. */
export const mergeLists = (given: readonly (GivenList & { file: string; written: string })[]): Crawler[] => {
  const crawlers = new Map<string, Crawler>()
  const byAlias = new Map<string, string>()
  for (const { aliases = [], ...crawler } of bundled()) {
    crawlers.set(crawler.name, { ...crawler, names: crawler.names.map(isUnder) })
    for (const alias of aliases) byAlias.set(alias, crawler.name)
  }
  for (const { file, written, ...list } of given) {
    const name = byAlias.get(list.name) ?? list.name
    const known = crawlers.get(name)
    crawlers.set(name, {
      name,
      title: known?.title ?? name,
      kind: known?.kind ?? 'crawler',
      userAgent: list.userAgent ?? known?.userAgent ?? escaped(name),
      ranges: list.ranges ?? known?.ranges ?? [],
      names: list.names ?? known?.names ?? [],
      complete: list.ranges !== undefined || (known?.complete ?? false),
      source: file,
      date: list.date ?? written,
    })
  }
  return [...crawlers.values()]
}
