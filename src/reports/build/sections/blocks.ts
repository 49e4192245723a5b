import { before, count, counted } from '../words.ts'
import type { Flag, MakeSection } from '../work.ts'

interface Entry {
  id: string
  created: string
  current: Flag
  cidr: string
  source: 'AUTOMATIC' | 'MANUAL' | 'FEED'
  reason: string
  created_by: string
  expires: string | null
  removed: boolean
}

export const blocks: MakeSection = async (work) => {
  const { scope, generatedAt } = work
  const [entries, denied] = await Promise.all([
    work.rows<Entry>('entries'),
    work.rows<{ id: string; denied: string; previous: string }>('denied'),
  ])
  const deniedBy = new Map(denied.map((row) => [row.id, Number(row.denied)]))
  const inForce = ({ expires, removed }: Entry): boolean =>
    !removed && (expires === null || Number(expires) > generatedAt.getTime())
  const fresh = entries.filter(({ current }) => Boolean(current))
  const numberOf = (source: Entry['source'], isCurrent: boolean): number =>
    entries.filter((entry) => entry.source === source && Boolean(entry.current) === isCurrent).length
  /** An automatic reason as a reader takes it: the detector by its name, without the hour that stands beside it. */
  const whyOf = ({ source, reason }: Entry): string =>
    source === 'AUTOMATIC'
      ? reason
          .replace(/^\w+(?=: )/, (id) => work.detectorQueries.detectors.get(id)?.name ?? id)
          .replace(/ in the hour from \S+$/, '')
      : reason.replace(
          /^verdict ([A-Z_]+)/,
          (_, status: string) => `Verdict ${status.toLowerCase().replaceAll('_', ' ')}`,
        )
  const still = fresh.filter(inForce)
  const [now, then] = [
    denied.reduce((sum, row) => sum + Number(row.denied), 0),
    denied.reduce((sum, row) => sum + Number(row.previous), 0),
  ]
  const link = work.link('blocks')
  const takenOff = fresh.filter(({ source, removed }) => source === 'AUTOMATIC' && removed).length
  const automatic = numberOf('AUTOMATIC', true)
  const previous = entries.length - fresh.length
  const figure = (label: string, source: Entry['source']) =>
    ({
      label,
      value: numberOf(source, true),
      unit: 'none',
      previous: numberOf(source, false),
      more: 'neutral',
      link,
    }) as const
  return {
    lead:
      fresh.length === 0
        ? `Nothing was put on the block list; ${before(scope.kind)} it was ${counted(previous, 'entry', 'entries')}. The list kept out ${counted(now, 'request')}.`
        : `${counted(fresh.length, 'block')} came on the list (${count(automatic)} by detectors, ${count(fresh.length - automatic)} by people or feeds), ${count(still.length)} of them still in force; ${before(scope.kind)} it was ${count(previous)}. The list kept out ${counted(now, 'request')}.`,
    advice:
      takenOff > 0
        ? `${counted(takenOff, 'automatic block was', 'automatic blocks were')} taken off again: if detectors were wrong, give a verdict and an exception.`
        : null,
    figures: [
      figure('New automatic blocks', 'AUTOMATIC'),
      figure('New manual blocks', 'MANUAL'),
      ...(entries.some(({ source }) => source === 'FEED') ? [figure('New blocks of feeds', 'FEED')] : []),
      {
        label: 'Of the new ones still in force',
        value: still.length,
        unit: 'none',
        previous: null,
        more: 'neutral',
        link,
      },
      {
        label: 'Requests denied by the block list',
        value: now,
        unit: 'requests',
        previous: then,
        more: 'neutral',
        link,
      },
    ],
    charts: [],
    tables: [
      {
        id: 'new-blocks',
        title: 'New blocks',
        columns: [
          { key: 'cidr', title: 'Address', kind: 'address' },
          { key: 'why', title: 'Why', kind: 'words' },
          { key: 'source', title: 'Source', kind: 'enum' },
          { key: 'expires', title: 'Until', kind: 'time' },
          { key: 'denied', title: 'Denied', kind: 'requests' },
          { key: 'inForce', title: 'In force', kind: 'text' },
          { key: 'created', title: 'From', kind: 'time' },
          { key: 'createdBy', title: 'By', kind: 'text' },
          { key: 'reason', title: 'Reason', kind: 'words' },
        ],
        rows: fresh.map((entry) => ({
          cidr: entry.cidr,
          why: whyOf(entry),
          source: entry.source,
          reason: entry.reason,
          created: new Date(Number(entry.created)),
          expires: entry.expires === null ? null : new Date(Number(entry.expires)),
          inForce: inForce(entry) ? 'yes' : 'no',
          denied: deniedBy.get(entry.id) ?? 0,
          createdBy: entry.created_by,
        })),
        shown: 10,
        link,
      },
    ],
  }
}
