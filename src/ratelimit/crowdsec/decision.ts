import { hash } from 'node:crypto'

import { parsePrefix, type Prefix } from '../address.ts'
import type { BlockListEntry, BlockSource } from '../blocklist/types.ts'

/** What CrowdSec's bouncers call a decision: one prefix that one entry of the block list denies. */
export interface Decision {
  /** An address or a CIDR: the entry's own, or a part of it where the rest is allowed. */
  value: string
  entry: BlockListEntry
  /** When it ends, or ended; null: never. */
  until: Date | null
}

/** As CrowdSec's Go prints it, in the order of its fields. */
export interface DecisionJson {
  duration: string
  id: number
  origin: string
  scenario: string
  scope: string
  type: string
  uuid: string
  value: string
}

const ORIGINS: Readonly<Record<BlockSource, string>> = {
  MANUAL: 'vedette-manual',
  AUTOMATIC: 'vedette-automatic',
  FEED: 'vedette-feed',
}

/** Ten years: bouncers know no "for ever". */
const NEVER_SECONDS = 87_600 * 3600

export const originOf = ({ source }: BlockListEntry): string => ORIGINS[source]
export const typeOf = ({ action }: BlockListEntry): 'ban' | 'captcha' => (action === 'CHALLENGE' ? 'captcha' : 'ban')
export const scopeOf = (value: string): 'Ip' | 'Range' => (value.includes('/') ? 'Range' : 'Ip')

/** Whether bouncers are told of entries like this one: they can neither count requests nor make exceptions. */
export const isSent = ({ action }: BlockListEntry): boolean => action === 'BLOCK' || action === 'CHALLENGE'

/** Undefined never comes of a decision's own value. */
export const prefixOfDecision = ({ value, entry }: Decision): Prefix | undefined =>
  value === entry.cidr ? entry.prefix : parsePrefix(value)

/** Whole seconds as Go's `time.Duration.String` writes them: 14398 → 3h59m58s, -5 → -5s. */
export const goDuration = (seconds: number): string => {
  const left = Math.abs(seconds)
  const [hours, minutes] = [Math.floor(left / 3600), Math.floor((left % 3600) / 60)]
  const sign = seconds < 0 ? '-' : ''
  return `${sign}${hours > 0 ? `${hours}h` : ''}${left >= 60 ? `${minutes}m` : ''}${left % 60}s`
}

/** Never 0 while it is in force, since `ipset` takes that for "for ever"; never above -1 once it has ended. */
const durationOf = ({ until }: Decision, inForce: boolean, now: number): string => {
  const seconds = until === null ? undefined : (until.getTime() - now) / 1000
  if (inForce) return goDuration(seconds === undefined ? NEVER_SECONDS : Math.max(1, Math.ceil(seconds)))
  return goDuration(seconds === undefined ? -1 : Math.min(-1, Math.round(seconds)))
}

/** The same for the same entry and value, in every process and for ever. */
const identityOf = ({ entry, value }: Decision): { id: number; uuid: string } => {
  const hex = hash('sha256', `${entry.id} ${value}`, 'hex')
  // 52 bits, and one more: positive and exact in a double.
  const id = Number.parseInt(hex.slice(0, 13), 16) + 1
  // Version 8 of RFC 9562: made by a rule of one's own.
  const variant = '89ab'[Number.parseInt(hex[16]!, 16) & 3]!
  const uuid = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
  return { id, uuid }
}

export const idOf = (decision: Decision): number => identityOf(decision).id

export const decisionJson = (decision: Decision, { inForce, now }: { inForce: boolean; now: number }): DecisionJson => {
  const { entry, value } = decision
  const { id, uuid } = identityOf(decision)
  return {
    duration: durationOf(decision, inForce, now),
    id,
    origin: originOf(entry),
    scenario: entry.reason,
    scope: scopeOf(value),
    type: typeOf(entry),
    uuid,
    value,
  }
}
