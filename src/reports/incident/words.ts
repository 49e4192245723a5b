import { countryName } from '../../geo/index.ts'
import { hostile, prose } from '../render/disarm.ts'
import type { Culprit, Notice } from './types.ts'

const LONGEST = 300
const MOST_SERVICES = 20
/** Of detectors in a title. */
const MOST_NAMES = 4

const count = (number: number, one: string, many: string): string => `${number} ${number === 1 ? one : many}`

/** `2026-11-20 12:00–13:00 UTC` */
const hourOf = ({ hour: { from, to } }: Notice): string =>
  `${from.slice(0, 10)} ${from.slice(11, 16)}–${to.slice(11, 16)} UTC`

/** `Germany`; empty: not known. */
export const placeOf = ({ country }: Culprit): string =>
  country === null ? '' : countryName(country) || prose(country, 10)

/** `AS64500 Example Net`; empty: not known. */
export const networkOf = ({ asn, asOrganization }: Culprit): string =>
  asn === null ? '' : `AS${asn}${asOrganization === null ? '' : ` ${hostile(asOrganization, 60)}`}`

const whoOf = ({ subject, addresses, addressCount }: Notice): string => {
  if (subject === 'ADDRESS') return addresses[0]?.ip ?? 'An address'
  if (subject === 'CAMPAIGN' && addressCount === 1) return 'An address of a campaign'
  const many = count(addressCount, 'address', 'addresses')
  return subject === 'CAMPAIGN' ? `${many} of one campaign` : `${many} that have nothing in common`
}

const nameOf = ({ summary, detector }: Notice['sightings'][number]): string => summary.split(':', 1)[0] || detector

const blockedOf = ({ addressCount, blockedCount }: Notice): string => {
  if (addressCount === 1) return blockedCount === 1 ? 'It is blocked.' : 'It is not blocked.'
  if (blockedCount === 0) return 'None of them is blocked.'
  return blockedCount === addressCount ? 'All of them are blocked.' : `${blockedCount} of ${addressCount} are blocked.`
}

const adviceOf = ({ addressCount, blockedCount, sightings }: Notice): string =>
  [
    sightings.some(({ detector }) => detector === 'attack_succeeded')
      ? 'An answer looked as if the attack had worked: look at what was answered, and treat the service as broken into until that is ruled out.'
      : 'Look at what was answered: a 2xx to such a request may be a break-in.',
    blockedCount === addressCount
      ? ''
      : addressCount === 1
        ? 'Block the address, unless these are your own tests.'
        : 'Block those that are not blocked yet, unless these are your own tests.',
    'Then confirm it, or mark it as a false positive, so that it counts for what comes next.',
  ]
    .filter(Boolean)
    .join(' ')

const culpritOf = (culprit: Culprit): string =>
  [
    culprit.ip,
    placeOf(culprit),
    networkOf(culprit),
    `score ${Math.round(culprit.score)}`,
    culprit.isBlocked ? 'blocked' : 'not blocked',
  ]
    .filter(Boolean)
    .join(', ')

/** A notice in words, of which none becomes a link or a command of what shows it; to be escaped for where it goes. */
export interface Words {
  subject: string
  /** Who did what. */
  title: string
  /** The same with the hour. */
  what: string
  hour: string
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
  const all = [...new Set(sightings.map(nameOf))]
  const names = all.length > MOST_NAMES ? [...all.slice(0, MOST_NAMES), `${all.length - MOST_NAMES} more`] : all
  const who = `${whoOf(notice)}: ${names.join(', ')}`
  const left = addressCount - addresses.length
  return {
    subject: prose(`Vedette incident: ${who}`, 140),
    title: prose(who, LONGEST),
    what: prose(`${who} (${hourOf(notice)})`, LONGEST),
    hour: hourOf(notice),
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
