import { hash } from 'node:crypto'

import { LRUCache } from 'lru-cache'

import { type Prefix, prefixOf } from '../address.ts'
import type { BlockList, BlockListEntry } from '../blocklist/types.ts'
import { type Decision, isSent, prefixOfDecision } from './decision.ts'
import type { Filter } from './filter.ts'

/** A decision with what its view needs of it, made once and taken over from view to view while it stays the same. */
interface Item extends Decision {
  prefix: Prefix
  part: number
  line: string
}

interface Part {
  items: Item[]
  text: string
  name: string
}

/**
 * What a bouncer with this filter should hold now: one decision for each value. Cut into parts by the value's hash, each
 * named by its content, so that two views are compared by names and a small change touches one small part.
 */
export interface View {
  decisions: ReadonlyMap<string, Item>
  /** The names of its parts, one after the other, each `NAME_LENGTH` long. */
  names: string
  /** What a part holds, a line for each decision. */
  part: (index: number) => string
  /** The decisions on prefixes that hold this one; some µs. */
  containing: (prefix: Prefix) => Decision[]
  /** Rises with all that this process learns of the block list; greater in another process: that one knows more. */
  knowledge: number
}

/** 390 decisions and 20 KB a part at 100,000 decisions. */
export const PARTS = 256
export const NAME_LENGTH = 16

export const nameOf = (names: string, index: number): string =>
  names.slice(index * NAME_LENGTH, (index + 1) * NAME_LENGTH)

/** FNV-1a, folded to a byte: all that is asked of it is to spread. */
const partOf = (value: string): number => {
  let code = 0x811c9dc5
  for (let index = 0; index < value.length; index++) code = Math.imul(code ^ value.charCodeAt(index), 0x01000193)
  return (code ^ (code >>> 8) ^ (code >>> 16) ^ (code >>> 24)) & (PARTS - 1)
}

/** All that makes a decision news when it changes. */
export interface Line {
  value: string
  entryId: string
  version: number
  until: Date | null
}

const lineOf = ({ value, entry, until }: Decision): string =>
  `${value} ${entry.id} ${entry.version} ${until?.getTime() ?? '-'}`

export const readLine = (line: string): Line => {
  const [value, entryId, version, until] = line.split(' ') as [string, string, string, string]
  return { value, entryId, version: Number(version), until: until === '-' ? null : new Date(Number(until)) }
}

const isLonger = (one: Decision, other: Decision): boolean =>
  other.until !== null && (one.until === null || one.until > other.until)

/** Of two decisions on the same value the one that counts: a ban before a captcha, then the longer one, then any, but the same everywhere. */
const isStronger = (one: Decision, other: Decision): boolean => {
  if (one.entry.action !== other.entry.action) return one.entry.action === 'BLOCK'
  if (isLonger(one, other)) return true
  return !isLonger(other, one) && one.entry.id < other.entry.id
}

/** Of the last view's part, where that holds the same: most changes touch one of them. */
const asPart = (items: Item[], last: Part | undefined): Part => {
  if (last && last.items.length === items.length && items.every((item, index) => item === last.items[index]))
    return last
  const text = items
    .map(({ line }) => line)
    .sort()
    .join('\n')
  return { items, text, name: hash('sha256', text, 'base64url').slice(0, NAME_LENGTH) }
}

/** A function of its own, so that no view keeps the one before it alive. */
const asParts = (items: readonly Item[][], last: readonly Part[] | undefined): Part[] =>
  items.map((each, index) => asPart(each, last?.[index]))

interface Built extends View {
  parts: readonly Part[]
}

/** Of 100,000 decisions: 60 ms of processor time after a change, 270 ms without a last view. */
const build = (denied: ReturnType<BlockList['denied']>, filter: Filter, knowledge: number, last?: Built): Built => {
  const decisions = new Map<string, Item>()
  for (const { cidr, expiresAt, entry } of denied) {
    let item = last?.decisions.get(cidr)
    if (!item || item.entry !== entry || item.until?.getTime() !== expiresAt?.getTime()) {
      const decision: Decision = { value: cidr, entry, until: expiresAt }
      if (!isSent(entry) || !filter.matches(decision)) continue
      item = { ...decision, prefix: prefixOfDecision(decision)!, part: partOf(cidr), line: lineOf(decision) }
    }
    const other = decisions.get(cidr)
    if (!other || isStronger(item, other)) decisions.set(cidr, item)
  }
  const lengths = new Set<number>()
  const items: Item[][] = Array.from({ length: PARTS }, () => [])
  for (const item of decisions.values()) {
    lengths.add(item.prefix.bits)
    items[item.part]!.push(item)
  }
  const parts = asParts(items, last?.parts)
  return {
    decisions,
    parts,
    names: parts.map(({ name }) => name).join(''),
    part: (index) => parts[index]!.text,
    containing: ({ address, bits }) => {
      const found: Decision[] = []
      for (const length of lengths) {
        // A shorter prefix of IPv6 holds no IPv4, though it lies within it here.
        if (length > bits || (address.isV4 && length < 96)) continue
        const decision = decisions.get(prefixOf(address, length).cidr)
        if (decision) found.push(decision)
      }
      return found
    },
    knowledge,
  }
}

export interface Views {
  /** Made once for each filter and change of the list. */
  view: (filter: Filter) => View
  /** The entries with exactly this CIDR, ended ones too. */
  entriesOf: (cidr: string) => readonly BlockListEntry[]
}

/** Bouncers with other filters than these many make their views from nothing at each pull. */
const MOST_FILTERS = 16

export const createViews = (blockList: BlockList): Views => {
  const views = new LRUCache<string, { revision: number; view: Built }>({ max: MOST_FILTERS })
  let byCidr: { revision: number; entries: Map<string, BlockListEntry[]> } | undefined

  return {
    view: (filter) => {
      const { revision } = blockList
      const last = views.get(filter.key)
      if (last?.revision === revision) return last.view
      // Versions only rise and entries only come.
      let knowledge = 0
      for (const { version } of blockList.list()) knowledge += version
      const view = build(blockList.denied(), filter, knowledge, last?.view)
      views.set(filter.key, { revision, view })
      return view
    },
    entriesOf: (cidr) => {
      const { revision } = blockList
      if (byCidr?.revision !== revision)
        byCidr = { revision, entries: Map.groupBy(blockList.list(), (entry) => entry.cidr) }
      return byCidr.entries.get(cidr) ?? []
    },
  }
}
