import { countryName } from '../../geo/index.ts'
import { hostile, prose } from '../render/disarm.ts'
import type { Culprit, Notice } from './types.ts'

const LONGEST = 300
const MOST_SERVICES = 20

const count = (number: number, one: string, many: string): string => `${number} ${number === 1 ? one : many}`

/** `2026-11-20 12:00–13:00 UTC` */
const hourOf = ({ hour: { from, to } }: Notice): string =>
  `${from.slice(0, 10)} ${from.slice(11, 16)}–${to.slice(11, 16)} UTC`

const whoOf = ({ subject, addresses, addressCount }: Notice): string => {
  if (subject === 'ADDRESS') return addresses[0]?.ip ?? 'An address'
  const many = count(addressCount, 'address', 'addresses')
  return subject === 'CAMPAIGN' ? `${many} of one campaign` : `${many} that have nothing in common`
}

const nameOf = ({ summary, detector }: Notice['sightings'][number]): string => summary.split(':', 1)[0] || detector

const blockedOf = ({ addressCount, blockedCount }: Notice): string => {
  if (blockedCount === 0) return 'Nobody of them is blocked.'
  return blockedCount === addressCount ? 'All of them are blocked.' : `${blockedCount} of ${addressCount} are blocked.`
}

const adviceOf = ({ addressCount, blockedCount, sightings }: Notice): string =>
  [
    sightings.some(({ detector }) => detector === 'attack_succeeded')
      ? 'An answer looked as if the attack had worked: look at what was answered, and treat the service as broken into until that is ruled out.'
      : 'Look at what was answered: a 2xx to such a request may be a break-in.',
    blockedCount < addressCount ? 'Block who is not blocked yet, unless these are your own tests.' : '',
    'Then confirm it, or mark it as a false positive, so that it counts for what comes next.',
  ]
    .filter(Boolean)
    .join(' ')

const culpritOf = ({ ip, country, asn, asOrganization, score, isBlocked }: Culprit): string =>
  [
    ip,
    country === null ? '' : countryName(country) || prose(country, 10),
    asn === null ? '' : `AS${asn}${asOrganization === null ? '' : ` ${hostile(asOrganization, 60)}`}`,
    `score ${Math.round(score)}`,
    isBlocked ? 'blocked' : 'not blocked',
  ]
    .filter(Boolean)
    .join(', ')

/** A notice in words, of which none becomes a link or a command of what shows it; to be escaped for where it goes. */
export interface Words {
  subject: string
  /** What happened, in one sentence. */
  what: string
  campaign: string | null
  sightings: readonly string[]
  target: string | null
  services: string
  who: readonly string[]
  /** How many are left out of `who`; empty: none. */
  rest: string
  blocked: string
  advice: string
}

export const wordsOf = (notice: Notice): Words => {
  const { sightings, campaign, target, services, addresses, addressCount } = notice
  const names = [...new Set(sightings.map(nameOf))]
  const what = prose(`${whoOf(notice)}: ${names.join(', ')} (${hourOf(notice)})`, LONGEST)
  const left = addressCount - addresses.length
  return {
    subject: prose(`Vedette incident: ${whoOf(notice)}: ${names.join(', ')}`, 140),
    what,
    campaign: campaign && hostile(campaign.summary, LONGEST),
    sightings: sightings.map(
      ({ summary, addresses }) =>
        `${prose(summary, LONGEST)}${addresses > 1 ? ` (the strongest of ${addresses} addresses)` : ''}`,
    ),
    target: target === null ? null : hostile(target),
    services: [
      ...services.slice(0, MOST_SERVICES).map((service) => hostile(service, 60)),
      ...(services.length > MOST_SERVICES ? [`and ${services.length - MOST_SERVICES} more`] : []),
    ].join(', '),
    who: addresses.map(culpritOf),
    rest: left > 0 ? `and ${count(left, 'more', 'more')}` : '',
    blocked: blockedOf(notice),
    advice: adviceOf(notice),
  }
}
