import { styleText } from 'node:util'

import { type SecurityEvent, visible } from '../../securitylog/index.ts'
import type { Entry } from './entry.ts'

/** Columns of a line: who it is about, what was done or asked for, and why. */
interface Told {
  who: string
  what: string
  why: string[]
}

const times = (count: number): string => (count > 1 ? ` ×${count}` : '')

const request = ({ method, path, count }: { method: string; path: string; count: number }): string =>
  `${`${method} ${path}`.trim() || 'requests'}${times(count)}`

const named = (name: string, value: string): string[] => (value === '' ? [] : [`${name} ${value}`])

const tell = (event: SecurityEvent): Told => {
  switch (event.event) {
    case 'limited':
    case 'shadow_limited':
    case 'blocked': {
      const { ip, counted, service, policyId, entryId } = event
      return {
        who: ip || 'unknown',
        what: request(event),
        why: [
          ...named('entry', entryId),
          ...named('policy', policyId),
          ...named('service', service),
          ...named('counted', counted === ip ? '' : counted),
        ],
      }
    }
    case 'key_refused':
      return { who: event.ip || 'others', what: request(event), why: [event.reason] }
    case 'block_list_added':
    case 'block_list_changed':
    case 'block_list_removed': {
      const { cidr, action, source, reason, by, expiresAt, entryId } = event
      const until = expiresAt === null ? 'for good' : `until ${expiresAt.slice(0, 19)}Z`
      const what = event.event === 'block_list_removed' ? action : `${action} ${until}`
      return { who: cidr, what, why: [reason || 'no reason given', `by ${by}`, source, entryId] }
    }
    case 'policy_changed':
    case 'policy_removed':
      return { who: '-', what: `${event.policyId} ${event.mode}`, why: [`"${event.name}"`, `by ${event.by}`] }
    default:
      event satisfies never
      return { who: '-', what: '', why: [] }
  }
}

const COLOURS: Partial<Record<SecurityEvent['event'], 'red' | 'yellow' | 'magenta'>> = {
  blocked: 'red',
  limited: 'yellow',
  key_refused: 'magenta',
}

const WIDEST_EVENT = 'block_list_removed'.length
/** Wider cells than these make their line ragged rather than every line wide. */
const WIDEST_WHO = 43
const WIDEST_WHAT = 48

export interface Text {
  /** Makes the columns wide enough for it; what is printed does so, too. */
  measure: (entry: Entry) => void
  line: (entry: Entry) => string
}

/** Lines for people. A column is as wide as its widest cell so far, since what follows is not known yet. */
export const createText = (): Text => {
  let whoWidth = 'xxx.xxx.xxx.xxx'.length
  let whatWidth = 24

  const measured = (event: SecurityEvent) => {
    const { who, what, why } = tell(event)
    const told = { who: visible(who), what: visible(what), why: visible(why.join(', ')) }
    whoWidth = Math.min(WIDEST_WHO, Math.max(whoWidth, told.who.length))
    whatWidth = Math.min(WIDEST_WHAT, Math.max(whatWidth, told.what.length))
    return told
  }

  return {
    measure: ({ event }) => void measured(event),
    line: ({ time, event }) => {
      const { who, what, why } = measured(event)
      const name = visible(event.event).padEnd(WIDEST_EVENT)
      const colour = COLOURS[event.event]
      return [
        time.replace('T', ' '),
        // Colours only where a terminal shows them, and NO_COLOR does not forbid it.
        colour ? styleText(colour, name, { stream: process.stdout }) : name,
        who.padEnd(whoWidth),
        what.padEnd(whatWidth),
        why,
      ]
        .join('  ')
        .trimEnd()
    },
  }
}
