import type { Period } from '../../types.ts'
import { before, changed, counted, listed, percent, sentence } from '../words.ts'
import { type MakeSection, share } from '../work.ts'

/** With fewer verdicts a precision says little. */
const FEW = 10
const LOW_PRECISION = 0.5
const HOUR_MS = 3_600_000

const few = (verdicts: number): string | null =>
  verdicts === 0 ? 'no verdicts' : verdicts < FEW ? 'few verdicts' : null

const rangeIn = ({ from, to }: Period) => ({ from: from.getTime(), to: to.getTime() })

export const anomalyDetection: MakeSection = async (work) => {
  const { scope, suspicious, detectorQueries, asker } = work
  const [found, [totals], [verdicts], reviewed, reviewedBefore] = await Promise.all([
    work.rows<{ id: string; findings: string; previous: string; addresses: string }>('detectors'),
    work.rows<{ findings: string; previous: string; addresses: string; addresses_before: string }>('totals'),
    work.rows<{ confirmed: string; false_positives: string }>('verdicts'),
    suspicious.reviewed(rangeIn(scope.period), asker),
    suspicious.reviewed(rangeIn(scope.previous), asker),
  ])
  const precisions = suspicious.precision()
  const byId = new Map(found.map((row) => [row.id, row]))
  const rows = [...new Set([...byId.keys(), ...[...precisions.keys()].toSorted()])].map((id) => {
    const row = byId.get(id)
    const precision = precisions.get(id)
    const [confirmed, falsePositives] = [precision?.confirmed ?? 0, precision?.falsePositives ?? 0]
    const detector = detectorQueries.detectors.get(id)
    return {
      detector: detector?.name ?? id,
      mode: detector?.mode ?? null,
      findings: Number(row?.findings ?? 0),
      previous: Number(row?.previous ?? 0),
      addresses: Number(row?.addresses ?? 0),
      confirmed,
      falsePositives,
      precision: precision?.precision ?? null,
      low: precision?.interval?.low ?? null,
      high: precision?.interval?.high ?? null,
      note: few(confirmed + falsePositives),
    }
  })
  const [now, then] = [Number(totals!.findings), Number(totals!.previous)]
  const [confirmed, mistaken] = [Number(verdicts!.confirmed), Number(verdicts!.false_positives)]
  const judged = confirmed + mistaken
  const precision = share(confirmed, judged)
  const link = work.link('detectors')
  const poor = rows.filter(({ precision, note, mode }) => note === null && precision! < LOW_PRECISION && mode !== 'OFF')
  const accuracy =
    precision === null
      ? 'there are no verdicts yet that say how often detection is right'
      : judged < FEW
        ? `of ${counted(judged, 'verdict', 'verdicts')} so far ${confirmed} confirmed it: too few to say how often detection is right`
        : `${percent(precision)} of ${counted(judged, 'judged address', 'judged addresses')} were attackers`
  return {
    lead: `${sentence(`findings ${changed(now, then)}`)} against ${before(scope.kind)}: ${counted(now, 'finding')} at ${counted(Number(totals!.addresses), 'address', 'addresses')}; ${accuracy}.`,
    advice:
      poor.length > 0
        ? `More often wrong than right: ${listed(poor.map(({ detector }) => detector))}; raise the threshold, add exceptions, or set REPORT_ONLY.`
        : (reviewed.share ?? 1) < 0.5
          ? `${reviewed.reviewed === 0 ? 'No flagged address has' : `Only ${percent(reviewed.share!)} of the flagged addresses have`} a verdict: say of more of them whether they were attackers, since precision is counted by it.`
          : null,
    figures: [
      { label: 'Findings', value: now, unit: 'findings', previous: then, more: 'neutral', link },
      {
        label: 'Addresses with findings',
        value: Number(totals!.addresses),
        unit: 'addresses',
        previous: Number(totals!.addresses_before),
        more: 'neutral',
        link,
      },
      {
        label: 'Confirmed addresses, ever',
        value: confirmed,
        unit: 'addresses',
        previous: null,
        more: 'neutral',
        link,
      },
      { label: 'False positives, ever', value: mistaken, unit: 'addresses', previous: null, more: 'bad', link },
      {
        label: judged > 0 && judged < FEW ? 'Precision (few verdicts)' : 'Precision',
        value: precision,
        unit: 'ratio',
        previous: null,
        more: 'good',
        link,
      },
      {
        label: 'Share of flagged addresses reviewed',
        value: reviewed.share,
        unit: 'ratio',
        previous: reviewedBefore.share,
        more: 'good',
        link,
      },
      {
        label: 'Median time to verdict',
        value: reviewed.timeToVerdictMs === null ? null : reviewed.timeToVerdictMs / HOUR_MS,
        unit: 'hours',
        previous: reviewedBefore.timeToVerdictMs === null ? null : reviewedBefore.timeToVerdictMs / HOUR_MS,
        more: 'bad',
        link,
      },
    ],
    charts: [],
    tables: [
      {
        id: 'detectors',
        title: 'By detector',
        columns: [
          { key: 'detector', title: 'Detector', kind: 'text' },
          { key: 'findings', title: 'Findings', kind: 'findings' },
          { key: 'previous', title: 'Before', kind: 'findings' },
          { key: 'addresses', title: 'Addresses', kind: 'addresses' },
          { key: 'confirmed', title: 'Confirmed', kind: 'addresses' },
          { key: 'falsePositives', title: 'False positives', kind: 'addresses' },
          { key: 'precision', title: 'Precision', kind: 'ratio' },
          { key: 'low', title: 'At least (95 %)', kind: 'ratio' },
          { key: 'high', title: 'At most (95 %)', kind: 'ratio' },
          { key: 'note', title: 'Note', kind: 'text' },
          { key: 'mode', title: 'Mode', kind: 'enum' },
        ],
        rows,
        shown: 15,
        link,
      },
    ],
  }
}
