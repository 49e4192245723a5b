import type { Figure } from '../../types.ts'
import { counted, ofThem } from '../words.ts'
import { byPeriod, type Flag, type MakeSection } from '../work.ts'

interface Hours {
  current: Flag
  closed: string
  late: string
  failed: string
  rows: string
}

const NONE = { closed: '0', late: '0', failed: '0', rows: '0' }

export const pipeline: MakeSection = async (work) => {
  const { scope } = work
  const [hours, [open], failures] = await Promise.all([
    work.rows<Hours>('hours'),
    work.rows<{ hours: string }>('open'),
    work.rows<{ hour: number; attempt: number; error: string }>('failures'),
  ])
  const { current = NONE, previous = NONE } = byPeriod(hours)
  const [closed, late, failed, waiting] = [current.closed, current.late, current.failed, open!.hours].map(Number) as [
    number,
    number,
    number,
    number,
  ]
  const link = work.link('pipeline')
  // How much others have is nobody's business who asks for some services.
  const rows: Figure[] = scope.services
    ? []
    : [
        {
          label: 'Rows received in these hours',
          value: Number(current.rows),
          unit: 'requests',
          previous: Number(previous.rows),
          more: 'neutral',
          link,
        },
      ]
  const isQuiet = [late, failed, waiting, Number(previous.late), Number(previous.failed)].every((hours) => hours === 0)
  const troubles: Figure[] = [
    {
      label: 'Closed again for late rows',
      value: late,
      unit: 'none',
      previous: Number(previous.late),
      more: 'neutral',
      link,
    },
    { label: 'Failed', value: failed, unit: 'none', previous: Number(previous.failed), more: 'bad', link },
    { label: 'Not closed', value: waiting, unit: 'none', previous: null, more: 'bad', link },
  ]
  const missing =
    waiting === 0
      ? 'nothing is missing'
      : `${counted(waiting, 'hour')} with requests ${waiting === 1 ? 'is' : 'are'} not closed, so findings of ${waiting === 1 ? 'it' : 'them'} are missing here`
  return {
    lead: `${counted(closed, 'hour was', 'hours were')} closed, ${ofThem(late)} again for late rows; ${missing}.`,
    advice:
      failed > 0
        ? `Closing ${counted(failed, 'hour')} failed: \`vedette jobs list\` says why; \`vedette jobs run hourly\` with its window tries again.`
        : waiting > 0
          ? 'If `vedette doctor` finds nothing wrong, they are closed by themselves; send the report again then.'
          : null,
    headline: waiting > 0 ? { rank: 3, text: `${counted(waiting, 'hour')} not closed` } : undefined,
    figures: [
      { label: 'Hours closed', value: closed, unit: 'none', previous: Number(previous.closed), more: 'good', link },
      ...(isQuiet ? [] : troubles),
      ...rows,
    ],
    charts: [],
    tables:
      failures.length === 0
        ? []
        : [
            {
              id: 'failed-hours',
              title: 'Failures of hours that are not closed',
              columns: [
                { key: 'hour', title: 'Hour', kind: 'time' },
                { key: 'attempt', title: 'Attempt', kind: 'none' },
                { key: 'error', title: 'Why', kind: 'words' },
              ],
              rows: failures.map(({ hour, attempt, error }) => ({ hour: new Date(hour * 1_000), attempt, error })),
              shown: 10,
              link,
            },
          ],
  }
}
