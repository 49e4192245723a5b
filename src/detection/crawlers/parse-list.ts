import { extname } from 'node:path'

import { parsePrefix, type Prefix } from '../../ratelimit/index.ts'
import type { GivenList } from './types.ts'

/** A list that cannot be used; the message says what is wrong with it. */
export class ListError extends Error {
  override name = 'ListError'
}

/** Whoever lists more by one prefix than this has slipped: nobody who crawls owns as much. */
const WIDEST = { v4: 96 + 8, v6: 16 }
const NAME = /^[a-z0-9._-]{1,64}$/
/** What JavaScript knows and RE2 does not. */
const NOT_RE2 = /\(\?(?:[=!]|<[=!])|\\[1-9]|\\k</

/** @throws {ListError} */
export const checkedPrefix = (text: string): Prefix => {
  const prefix = parsePrefix(text)
  if (!prefix) throw new ListError(`${JSON.stringify(text.slice(0, 64))} is neither an address nor a CIDR`)
  const widest = prefix.address.isV4 ? WIDEST.v4 : WIDEST.v6
  if (prefix.bits < widest) throw new ListError(`${prefix.cidr} is wider than a crawler's owner can mean`)
  return prefix
}

const checkedRanges = (given: readonly string[]): string[] => given.map((text) => checkedPrefix(text).cidr)

/** @throws {ListError} */
export const checkedPattern = (text: string): RegExp => {
  if (NOT_RE2.test(text)) throw new ListError(`the pattern ${text} uses what RE2 does not have`)
  try {
    return new RegExp(text)
  } catch (error) {
    throw new ListError((error as Error).message, { cause: error })
  }
}

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string')

/** As Google, Bing, OpenAI and others publish it. */
const ownersList = (name: string, { creationTime, prefixes }: Record<string, unknown>): GivenList => {
  const ranges = (prefixes as unknown[]).map((item) => {
    const { ipv4Prefix, ipv6Prefix } = (item ?? {}) as Record<string, unknown>
    const range = ipv4Prefix ?? ipv6Prefix
    if (typeof range !== 'string') throw new ListError('a prefix has neither ipv4Prefix nor ipv6Prefix')
    return range
  })
  if (ranges.length === 0) throw new ListError('it has no prefixes')
  const date = /^\d{4}-\d{2}-\d{2}/.exec(String(creationTime))?.[0]
  return { name, ranges: checkedRanges(ranges), date }
}

const ownList = (given: Record<string, unknown>): GivenList => {
  const { name, user_agent: userAgent, ranges, rdns } = given
  if (typeof name !== 'string') throw new ListError('it has neither "prefixes" nor a "name"')
  if (userAgent !== undefined && typeof userAgent !== 'string') throw new ListError('user_agent is not a string')
  if (ranges !== undefined && !isTexts(ranges)) throw new ListError('ranges is not a list of strings')
  if (rdns !== undefined && !isTexts(rdns)) throw new ListError('rdns is not a list of strings')
  if (!ranges?.length && !rdns?.length) throw new ListError('it has neither ranges nor rdns')
  if (userAgent !== undefined) checkedPattern(userAgent)
  return {
    name: name.toLowerCase(),
    userAgent,
    ranges: ranges?.length ? checkedRanges(ranges) : undefined,
    names: rdns?.length ? rdns.map(checkedPattern) : undefined,
  }
}

const withoutComments = (text: string): string => text.replaceAll(/^\s*#.*$/gm, '')

/** What such a file is to be read as; undefined: it is no list. */
export const isList = (file: string): boolean => ['.json', '.txt'].includes(extname(file).toLowerCase())

/**
 * Reads one file of CRAWLER_RANGES_DIR: `{creationTime, prefixes}` as owners publish it or CIDRs one a line, of the crawler that
 * the file is named after; or `{name, user_agent, ranges, rdns}` behind comment lines.
 * @throws {ListError}
 */
export const parseList = (file: string, text: string): GivenList => {
  const name = file.slice(0, -extname(file).length).toLowerCase()
  const list = ((): GivenList => {
    if (extname(file).toLowerCase() === '.txt') {
      const ranges = withoutComments(text)
        .split('\n')
        .map((line) => line.replace(/\s+#.*$/, '').trim())
        .filter(Boolean)
      if (ranges.length === 0) throw new ListError('it is empty')
      return { name, ranges: checkedRanges(ranges) }
    }
    let given: unknown
    try {
      given = JSON.parse(withoutComments(text))
    } catch (error) {
      throw new ListError((error as Error).message, { cause: error })
    }
    if (typeof given !== 'object' || given === null || Array.isArray(given))
      throw new ListError('it is not a JSON object')
    const fields = given as Record<string, unknown>
    return Array.isArray(fields['prefixes']) ? ownersList(name, fields) : ownList(fields)
  })()
  if (!NAME.test(list.name))
    throw new ListError(`the name ${JSON.stringify(list.name)} has other than letters, digits, ".", "_" and "-"`)
  return list
}
