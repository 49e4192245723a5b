import { createHash } from 'node:crypto'

import type { Campaign } from '../types.ts'
import { neighbourhood } from './address.ts'

/** How ids of campaigns begin. */
export const CAMPAIGN_ID = 'cmp_'

/** What may tie a suspicious address to others. */
export interface Traits {
  /** As addresses are counted, in the text of the store. */
  address: string
  /** As people write it. */
  ip: string
  asn: number | null
  asOrganization: string | null
  userAgents: readonly string[]
  /** Hosts of foreign referers. */
  referers: readonly string[]
  /** Of detectors that look at groups, which group it was found in. */
  groups: readonly { detector: string; key: string }[]
  /** What was asked for most, by the hour (epoch seconds) in which it was found. */
  targets: readonly { path: string; hour: number }[]
  firstSeenAt: Date
  lastSeenAt: Date
  requests: number
}

export interface CampaignOf {
  campaign: Campaign
  /** As `Traits.address`, in order. */
  addresses: readonly string[]
}

/** Two addresses share much by chance: a colleague, a phone that left the Wi-Fi. Three that do are somebody's. */
const LEAST = 3
/** An autonomous system may have millions of customers: only where so many of them act is it the network that does. */
const LEAST_OF_AS = 20
const HOUR = 3_600

/** 192.0.2.9 before 192.0.2.10. */
const BY_NUMBER = new Intl.Collator('en', { numeric: true })

/** Browsers say the same for millions, libraries for every beginner: this alone ties nobody together. */
const BROWSER = /^Mozilla\/\d\.\d(?:$| .*(?:AppleWebKit|Gecko|Trident|MSIE))|^Opera\/|^-?$/
const LIBRARY =
  /^(?:curl|wget|python|go-http-client|okhttp|axios|node|undici|java|libwww|lwp|ruby|php|guzzle|apache-httpclient|aiohttp|httpx|postman|dart)/i
/** What says of itself that it is a program of somebody's. */
const PROGRAM = /bot\b|crawl|spider|scan|https?:|@/i

const isWidespread = (agent: string): boolean => LIBRARY.test(agent) || (BROWSER.test(agent) && !PROGRAM.test(agent))

/** Where everybody comes from. */
const USUAL_REFERER =
  /(?:^|\.)(?:google|bing|duckduckgo|yahoo|yandex|baidu|ecosia|qwant|facebook|instagram|twitter|linkedin|reddit|youtube|github|wikipedia)\.[a-z.]+$|^(?:t\.co|x\.com)$/i

/** A tie that several addresses may have. */
interface Tie {
  kind: Campaign['sharedBy']
  key: string
  least: number
  summary: (addresses: number) => string
}

const of = (addresses: number): string => `${addresses} addresses`
const shortened = (text: string): string => (text.length > 80 ? `${text.slice(0, 80)}…` : text)

const NETWORK_KEY = /^(?:AS)?\d+$|^[\d.]+\/\d+$|^[\da-f:]+\/\d+$/i

const groupTies = ({ groups }: Traits): Tie[] =>
  groups.map(({ detector, key }) => ({
    kind: NETWORK_KEY.test(key) ? 'NETWORK' : 'FINGERPRINT',
    key: `group ${detector} ${key}`,
    least: LEAST,
    summary: (count) => `${of(count)} that ${detector.replaceAll('_', ' ')} found together: ${shortened(key)}`,
  }))

const agentTies = ({ userAgents, referers }: Traits): Tie[] =>
  userAgents.flatMap((agent): Tie[] => [
    ...referers
      .filter((referer) => !USUAL_REFERER.test(referer))
      .map((referer): Tie => ({
        kind: 'FINGERPRINT',
        key: `agent+referer ${agent}\n${referer}`,
        least: LEAST,
        summary: (count) => `${of(count)} with the user agent "${shortened(agent)}" that say they come from ${referer}`,
      })),
    ...(isWidespread(agent)
      ? []
      : [
          {
            kind: 'FINGERPRINT' as const,
            key: `agent ${agent}`,
            least: LEAST,
            summary: (count: number) => `${of(count)} with the user agent "${shortened(agent)}"`,
          },
        ]),
  ])

/** Hours without a break in which a target was asked for. */
interface Spell {
  path: string
  from: number
  to: number
  addresses: Set<string>
  /** Of all addresses that ever asked for it at least half did so in this spell: at other times hardly anybody does. */
  rare: boolean
}

const spellsOf = (suspects: readonly Traits[]): Map<string, Spell[]> => {
  const byPath = new Map<string, { hour: number; address: string }[]>()
  for (const { address, targets } of suspects)
    for (const { path, hour } of targets) {
      if (path === '' || path === '/') continue
      const asked = byPath.get(path)
      if (asked) asked.push({ hour, address })
      else byPath.set(path, [{ hour, address }])
    }
  return new Map(
    [...byPath].map(([path, asked]) => {
      const spells: Spell[] = []
      for (const { hour, address } of asked.sort((a, b) => a.hour - b.hour)) {
        const last = spells.at(-1)
        if (last && hour - last.to <= HOUR) {
          last.to = hour
          last.addresses.add(address)
        } else spells.push({ path, from: hour, to: hour, addresses: new Set([address]), rare: false })
      }
      const everybody = new Set(asked.map(({ address }) => address)).size
      for (const spell of spells) spell.rare = 2 * spell.addresses.size >= everybody
      return [path, spells]
    }),
  )
}

const at = (hour: number): string => new Date(hour * 1_000).toISOString().slice(0, 16).replace('T', ' ')

/** `2026-11-24 07:00–09:00 UTC`, over midnight `2026-11-23 22:00–2026-11-24 01:00 UTC`. */
const during = ({ from, to }: Spell): string => {
  const [start, end] = [at(from), at(to + HOUR)]
  const day = start.slice(0, 11)
  return `${start}–${end.startsWith(day) ? end.slice(day.length) : end} UTC`
}

const targetTies = (traits: Traits, spells: ReadonlyMap<string, Spell[]>): Tie[] =>
  [...new Set(traits.targets.map(({ path }) => path))]
    .flatMap((path) => spells.get(path) ?? [])
    .filter(({ addresses, rare }) => rare && addresses.has(traits.address))
    .flatMap((spell): Tie[] => [
      ...traits.userAgents.map((agent): Tie => ({
        kind: 'FINGERPRINT',
        key: `agent+target ${agent}\n${spell.path}\n${spell.from}`,
        least: LEAST,
        summary: (count) =>
          `${of(count)} with the user agent "${shortened(agent)}" that asked for ${shortened(spell.path)} ${during(spell)}`,
      })),
      {
        kind: 'TARGET',
        key: `target ${spell.path}\n${spell.from}`,
        least: LEAST,
        summary: (count) => `${of(count)} that asked for ${shortened(spell.path)} ${during(spell)}`,
      },
    ])

const networkTies = ({ ip, asn, asOrganization }: Traits): Tie[] => {
  // A customer's line has a /64 of its own, and addresses are counted by it: the network around is a /48.
  const network = neighbourhood(ip, ip.includes(':') ? 48 : 24)
  return [
    { kind: 'NETWORK', key: `network ${network}`, least: LEAST, summary: (count) => `${of(count)} of ${network}` },
    ...(asn === null
      ? []
      : [
          {
            kind: 'NETWORK' as const,
            key: `as ${asn}`,
            least: LEAST_OF_AS,
            summary: (count: number) => `${of(count)} of AS${asn}${asOrganization ? ` (${asOrganization})` : ''}`,
          },
        ]),
  ]
}

/** The most telling first: an address belongs to the first campaign it fits. */
const RANKS = ['group', 'agent+referer', 'agent', 'agent+target', 'network', 'as', 'target']

const rankOf = ({ kind, key }: Tie): number =>
  kind === 'NETWORK' && key.startsWith('group') ? RANKS.indexOf('network') : RANKS.indexOf(key.split(' ', 1)[0]!)

const idOf = (key: string): string => CAMPAIGN_ID + createHash('sha256').update(key).digest('base64url').slice(0, 16)

const earliest = (dates: readonly Date[]): Date =>
  new Date(dates.reduce((least, date) => Math.min(least, date.getTime()), Infinity))
const latest = (dates: readonly Date[]): Date =>
  new Date(dates.reduce((most, date) => Math.max(most, date.getTime()), -Infinity))

const campaignOf = (tie: Tie, members: readonly Traits[]): CampaignOf => ({
  campaign: {
    id: idOf(tie.key),
    sharedBy: tie.kind,
    summary: tie.summary(members.length),
    ips: members.map(({ ip }) => ip),
    firstSeenAt: earliest(members.map(({ firstSeenAt }) => firstSeenAt)),
    lastSeenAt: latest(members.map(({ lastSeenAt }) => lastSeenAt)),
    requests: members.reduce((sum, { requests }) => sum + requests, 0),
  },
  addresses: members.map(({ address }) => address),
})

/**
 * Addresses that act as one: those that share a fingerprint, else a network, else a rare target in the same hours. Each belongs to one
 * campaign at most; of two that it fits equally well to the larger. The same whatever the order of the addresses. Largest first.
 */
export const campaignsOf = (given: readonly Traits[]): CampaignOf[] => {
  const suspects = given.toSorted((a, b) => BY_NUMBER.compare(a.address, b.address))
  const spells = spellsOf(suspects)
  const ties = new Map<string, { tie: Tie; rank: number; members: Traits[] }>()
  for (const traits of suspects)
    for (const tie of [
      ...groupTies(traits),
      ...agentTies(traits),
      ...targetTies(traits, spells),
      ...networkTies(traits),
    ]) {
      const known = ties.get(tie.key)
      if (!known) ties.set(tie.key, { tie, rank: rankOf(tie), members: [traits] })
      else if (known.members.at(-1) !== traits) known.members.push(traits)
    }
  const taken = new Set<string>()
  const campaigns: CampaignOf[] = []
  const candidates = [...ties.values()]
    .filter(({ tie, members }) => members.length >= tie.least)
    .sort((a, b) => a.rank - b.rank || b.members.length - a.members.length || (a.tie.key < b.tie.key ? -1 : 1))
  for (const { tie, members } of candidates) {
    const free = members.filter(({ address }) => !taken.has(address))
    if (free.length < tie.least) continue
    for (const { address } of free) taken.add(address)
    campaigns.push(campaignOf(tie, free))
  }
  return campaigns.sort((a, b) => b.addresses.length - a.addresses.length || (a.campaign.id < b.campaign.id ? -1 : 1))
}
