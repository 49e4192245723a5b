import { createHash } from 'node:crypto'

import type { CampaignOf, Finding, SuspiciousAddress } from '../../detection/index.ts'
import { queryLink } from '../build/links.ts'
import type { Period } from '../types.ts'
import type { Evidence, Incident, Notice, Sighting, Subject } from './types.ts'

export const MOST_ADDRESSES = 10
/** More that belong to no campaign are told of together. */
const MOST_ALONE = 5

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

/** The worst first. @param summaryOf says of a finding in a sentence what was seen */
export const evidenceOf = (suspects: readonly Suspect[], summaryOf: (finding: Finding) => string): Evidence[] =>
  suspects
    .toSorted((a, b) => b.address.score - a.address.score || (a.address.address < b.address.address ? -1 : 1))
    .map(({ address: { id, ip, country, asn, asOrganization, score, isBlocked }, findings }) => ({
      id,
      culprit: { ip, country, asn, asOrganization, score, isBlocked },
      findings: findings
        .toSorted((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1))
        .map((finding) => {
          const { detector, observed, threshold, score, target, services } = finding
          const summary = summaryOf({ ...finding, target: null })
          return { detector, summary, observed, threshold, score, target, services }
        }),
    }))

/** What a notice says of addresses. */
const factsOf = (evidence: readonly Evidence[]) => {
  const findings = evidence
    .flatMap(({ id, findings }) => findings.map((finding) => ({ address: id, ...finding })))
    .toSorted((a, b) => b.score - a.score)
  const sightings = [...Map.groupBy(findings, ({ detector }) => detector)].map(([detector, of]): Sighting => {
    const { summary, observed, threshold } = of[0]!
    return { detector, summary, observed, threshold, addresses: new Set(of.map(({ address }) => address)).size }
  })
  const shown = evidence.slice(0, MOST_ADDRESSES).map(({ culprit }) => culprit)
  return {
    addresses: shown,
    addressCount: evidence.length,
    blockedCount: evidence.filter(({ culprit }) => culprit.isBlocked).length,
    sightings,
    target: findings.find(({ target }) => target !== null)?.target ?? null,
    services: [...new Set(findings.flatMap(({ services }) => services))].toSorted(),
    link: linkOf(shown.map(({ ip }) => ip)),
  }
}

/** @param evidence of all who are in the group */
export const noticeOf = (
  { subject, key, campaign }: Pick<Group, 'subject' | 'key' | 'campaign'>,
  { from, to }: Period,
  evidence: readonly Evidence[],
): Notice => ({
  id: noticeId(key, from),
  subject,
  hour: { from: from.toISOString(), to: to.toISOString() },
  campaign: campaign && { id: campaign.id, summary: campaign.summary },
  ...factsOf(evidence),
})

/**
 * The notice as those may see it who may see these services alone: who touched none of them is not in it, nor what was asked of others.
 * @param services null: all
 * @returns undefined: it is not about them
 */
export const noticeFor = (
  { notice, evidence }: Pick<Incident, 'notice' | 'evidence'>,
  services: readonly string[] | null,
): Notice | undefined => {
  if (services === null) return notice
  const isTheirs = (service: string): boolean => services.includes(service)
  const theirs = evidence
    .map((each) => ({
      ...each,
      findings: each.findings
        .filter((finding) => finding.services.some(isTheirs))
        .map((finding) => ({
          ...finding,
          target: finding.services.every(isTheirs) ? finding.target : null,
          services: finding.services.filter(isTheirs),
        })),
    }))
    .filter(({ findings }) => findings.length > 0)
  if (theirs.length === 0) return undefined
  // What holds a campaign together may name the others.
  const isWhole = theirs.length === notice.addressCount
  return {
    ...notice,
    ...factsOf(theirs),
    subject: theirs.length === 1 && !isWhole ? 'ADDRESS' : notice.subject,
    campaign: isWhole ? notice.campaign : null,
  }
}
