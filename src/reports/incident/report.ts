import type { Column, Report, Section, Table } from '../types.ts'
import type { IncidentContent } from './notices.ts'
import { wordsOf } from './words.ts'

export type IncidentReport = Omit<Report, 'scope'> & {
  scope: Pick<IncidentContent, 'kind' | 'period' | 'timezone' | 'services'>
}

const column = (key: string, title: string, kind: Column['kind']): Column => ({ key, title, kind })

const sectionOf = (given: Pick<Section, 'id' | 'title' | 'lead'> & Partial<Section>): Section => ({
  advice: null,
  figures: [],
  charts: [],
  tables: [],
  ...given,
})

/** An incident in the form of other reports: what was found, who did it, what they wanted. */
export const incidentReport = (content: IncidentContent): IncidentReport => {
  const { notice, id, kind, period, timezone, services, recordedAt } = content
  const { link, sightings, addresses, addressCount, blockedCount } = notice
  const words = wordsOf(notice)
  const tableOf = (given: Pick<Table, 'id' | 'title' | 'columns' | 'rows'>): Table => ({
    ...given,
    shown: given.rows.length,
    link,
  })
  const found = tableOf({
    id: 'incident-findings',
    title: 'Findings',
    columns: [
      column('detector', 'Detector', 'text'),
      column('summary', 'What was seen', 'text'),
      column('observed', 'Observed', 'none'),
      column('threshold', 'Threshold', 'none'),
      column('addresses', 'Addresses', 'addresses'),
    ],
    rows: sightings.map((each) => ({ ...each })),
  })
  const who = tableOf({
    id: 'incident-addresses',
    title: 'Addresses',
    columns: [
      column('ip', 'Address', 'address'),
      column('country', 'Country', 'country'),
      column('asn', 'AS', 'none'),
      column('asOrganization', 'Network', 'hostile'),
      column('score', 'Score', 'none'),
      column('isBlocked', 'Blocked', 'text'),
    ],
    rows: addresses.map((each) => ({ ...each, isBlocked: each.isBlocked ? 'yes' : 'no' })),
  })
  return {
    id,
    scope: { kind, period, timezone, services },
    generatedAt: new Date(recordedAt),
    headline: words.title,
    sections: [
      sectionOf({
        id: 'incident-findings',
        title: 'What was found',
        lead: words.sightings.join(' '),
        advice: words.advice,
        tables: [found],
      }),
      sectionOf({
        id: 'incident-addresses',
        title: 'Who did it',
        lead: [
          ...(words.campaign === null ? [] : [`Campaign: ${words.campaign}.`]),
          `${[...words.who, ...(words.rest ? [words.rest] : [])].join('; ')}.`,
          words.blocked,
        ].join(' '),
        figures: [
          { label: 'Addresses', value: addressCount, unit: 'addresses', previous: null, more: 'bad', link },
          { label: 'Blocked addresses', value: blockedCount, unit: 'addresses', previous: null, more: 'good', link },
        ],
        tables: [who],
      }),
      ...(words.target === null && words.services === ''
        ? []
        : [
            sectionOf({
              id: 'incident-targets',
              title: 'What they wanted',
              lead: [
                ...(words.target === null ? [] : [`Most asked for: ${words.target}.`]),
                ...(words.services === '' ? [] : [`Services: ${words.services}.`]),
              ].join(' '),
            }),
          ]),
    ],
    empty: false,
  }
}
