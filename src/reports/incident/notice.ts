import { createHash } from 'node:crypto'

import type { CampaignOf, Finding, SuspiciousAddress } from '../../detection/index.ts'
import { queryLink } from '../build/links.ts'
import type { Period } from '../types.ts'
import type { Notice, Sighting, Subject } from './types.ts'

export const MOST_ADDRESSES = 10
/** More that belong to no campaign are told of together. */
const MOST_ALONE = 5
const MOST_SERVICES = 20

/** An address with what was found of it in the hour. */
export interface Suspect {
  address: SuspiciousAddress
  /** One at least. */
  findings: readonly Finding[]
}

interface Group {
  subject: Subject
  key: string
  campaign: CampaignOf['campaign'] | null
  suspects: Suspect[]
}

/** One for each campaign; who belongs to none is a group alone, or of the rest where these are many. */
export const groupsOf = (suspects: readonly Suspect[], campaigns: readonly CampaignOf[]): Group[] => {
  const campaignOf = new Map(
    campaigns.flatMap(({ campaign, addresses }) => addresses.map((address) => [address, campaign] as const)),
  )
  const alone = suspects.filter(({ address }) => !campaignOf.has(address.address))
  const groups = new Map<string, Group>()
  for (const suspect of suspects) {
    const campaign = campaignOf.get(suspect.address.address) ?? null
    const [subject, key] = campaign
      ? (['CAMPAIGN', campaign.id] as const)
      : alone.length > MOST_ALONE
        ? (['REST', 'rest'] as const)
        : (['ADDRESS', suspect.address.address] as const)
    const group = groups.get(key)
    if (group) group.suspects.push(suspect)
    else groups.set(key, { subject, key, campaign, suspects: [suspect] })
  }
  return [...groups.values()]
}

export const noticeId = (key: string, hour: Date): string =>
  `inc_${createHash('sha256')
    .update(JSON.stringify([key, hour.toISOString()]))
    .digest('base64url')
    .slice(0, 22)}`

export const linkOf = (ips: readonly string[]): string =>
  queryLink(
    `{ suspiciousIps(first: ${MOST_ADDRESSES}, where: { ip: { in: ${JSON.stringify(ips)} } }) { nodes { ip score severity isBlocked review { status } campaign { summary ips } detections(first: 5) { summary } } } }`,
  )

const byStrength = (a: Finding, b: Finding): number => b.score - a.score || (a.id < b.id ? -1 : 1)

/** @param summaryOf says of a finding in a sentence what was seen */
export const noticeOf = (
  { subject, key, campaign, suspects }: Group,
  { from, to }: Period,
  summaryOf: (finding: Finding) => string,
): Notice => {
  const worst = suspects.toSorted(
    (a, b) => b.address.score - a.address.score || (a.address.address < b.address.address ? -1 : 1),
  )
  const findings = worst.flatMap(({ findings }) => findings).toSorted(byStrength)
  const sightings = [...Map.groupBy(findings, ({ detector }) => detector)].map(([detector, of]): Sighting => {
    const [strongest] = of as [Finding]
    const { observed, threshold } = strongest
    const addresses = new Set(of.map(({ address }) => address)).size
    return { detector, summary: summaryOf({ ...strongest, target: null }), observed, threshold, addresses }
  })
  const shown = worst.slice(0, MOST_ADDRESSES).map(({ address }) => address)
  return {
    id: noticeId(key, from),
    subject,
    hour: { from: from.toISOString(), to: to.toISOString() },
    campaign: campaign && { id: campaign.id, summary: campaign.summary },
    addresses: shown.map(({ ip, country, asn, asOrganization, score, isBlocked }) => ({
      ip,
      country,
      asn,
      asOrganization,
      score,
      isBlocked,
    })),
    addressCount: worst.length,
    blockedCount: worst.filter(({ address }) => address.isBlocked).length,
    sightings,
    target: findings.find(({ target }) => target !== null)?.target ?? null,
    services: [...new Set(findings.flatMap(({ services }) => services))].toSorted().slice(0, MOST_SERVICES),
    link: linkOf(shown.map(({ ip }) => ip)),
  }
}
