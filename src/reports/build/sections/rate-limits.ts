import { before, changed, count, counted, listed, ofThem, percent, quoted, sentence } from '../words.ts'
import { lineChart, type MakeSection } from '../work.ts'

const value = (of: number | bigint): number => Number(of)

export const rateLimits: MakeSection = async (work) => {
  const { scope, analytics, asker, policyName } = work
  const ask = (timeRange: { from: Date; to: Date }, rows: boolean) =>
    analytics.rateLimitEffectiveness(
      { timeRange, services: scope.services, selection: { rows, totals: true, errorRates: false, verdicts: true } },
      asker,
    )
  const [now, then, series] = await Promise.all([
    ask(scope.period, true),
    ask(scope.previous, false),
    work.rows<{ bucket: number; limited: string }>('series'),
  ])
  const link = work.link('limits')
  const [totals, earlier] = [now.totals!, then.totals!]
  const nameOf = (id: string | null): string | null => (id === null ? null : (policyName(id) ?? id))
  const rows = now.rows.filter(({ policyId }) => policyId !== null)
  const mistaken = rows.filter(({ limitedFalsePositive }) => limitedFalsePositive > 0)
  const shadow = rows.filter(({ shadowLimited }) => value(shadowLimited) > 0)
  const evaluated = value(totals.evaluated)
  return {
    lead:
      evaluated === 0
        ? 'No service asked whether a request may pass.'
        : `${sentence(`limited requests ${changed(value(totals.limited), value(earlier.limited))}`)} against ${before(scope.kind)}: ${count(value(totals.limited))} of ${counted(evaluated, 'decision')} (${percent(totals.limitedRate ?? 0)}); ${counted(value(totals.uniqLimitedClients), 'client')} went over a limit, ${ofThem(value(totals.repeatOffenders))} again.`,
    advice:
      mistaken.length > 0
        ? `People who are no attackers were limited by ${listed([...new Set(mistaken.map(({ policyId }) => quoted(nameOf(policyId)!)))])}: try a higher limit with backtestRateLimit.`
        : shadow.length > 0
          ? `${listed([...new Set(shadow.map(({ policyId }) => quoted(nameOf(policyId)!)))])} would have limited ${counted(value(totals.shadowLimited), 'request')} in SHADOW: enforce it if these were unwanted.`
          : null,
    figures: [
      {
        label: 'Decisions',
        value: evaluated,
        unit: 'requests',
        previous: value(earlier.evaluated),
        more: 'neutral',
        link,
      },
      {
        label: 'Limited',
        value: value(totals.limited),
        unit: 'requests',
        previous: value(earlier.limited),
        more: 'neutral',
        link,
      },
      {
        label: 'Share limited',
        value: totals.limitedRate,
        unit: 'ratio',
        previous: earlier.limitedRate,
        more: 'neutral',
        link,
      },
      {
        label: 'Would have been limited (SHADOW)',
        value: value(totals.shadowLimited),
        unit: 'requests',
        previous: value(earlier.shadowLimited),
        more: 'neutral',
        link,
      },
      {
        label: 'Clients over a limit',
        value: value(totals.uniqLimitedClients),
        unit: 'none',
        previous: value(earlier.uniqLimitedClients),
        more: 'neutral',
        link,
      },
      {
        label: 'Repeat offenders',
        value: value(totals.repeatOffenders),
        unit: 'none',
        previous: value(earlier.repeatOffenders),
        more: 'bad',
        link,
      },
      {
        label: 'Passed after being limited',
        value: value(totals.passedAfterLimit),
        unit: 'requests',
        previous: value(earlier.passedAfterLimit),
        more: 'neutral',
        link,
      },
      {
        label: 'Limited clients, confirmed attackers',
        value: totals.limitedConfirmedAbusive,
        unit: 'none',
        previous: earlier.limitedConfirmedAbusive,
        more: 'good',
        link,
      },
      {
        label: 'Limited clients, false positives',
        value: totals.limitedFalsePositive,
        unit: 'none',
        previous: earlier.limitedFalsePositive,
        more: 'bad',
        link,
      },
    ],
    charts:
      evaluated === 0
        ? []
        : [
            lineChart(
              work,
              {
                name: 'Limited requests',
                unit: 'requests',
                alt: `${count(value(totals.limited))} in all, ${count(value(earlier.limited))} ${before(scope.kind)}.`,
              },
              new Map(series.map(({ bucket, limited }) => [bucket, Number(limited)])),
            ),
          ],
    tables: [
      {
        id: 'rate-limits',
        title: 'By policy and service',
        columns: [
          { key: 'policy', title: 'Policy', kind: 'text' },
          { key: 'service', title: 'Service', kind: 'hostile' },
          { key: 'evaluated', title: 'Decisions', kind: 'requests' },
          { key: 'limited', title: 'Limited', kind: 'requests' },
          { key: 'limitedRate', title: 'Share', kind: 'ratio' },
          { key: 'shadowLimited', title: 'In SHADOW', kind: 'requests' },
          { key: 'clients', title: 'Clients', kind: 'none' },
          { key: 'repeatOffenders', title: 'Repeat offenders', kind: 'none' },
          { key: 'passedAfterLimit', title: 'Passed after', kind: 'requests' },
          { key: 'confirmed', title: 'Confirmed', kind: 'none' },
          { key: 'falsePositives', title: 'False positives', kind: 'none' },
        ],
        rows: rows.map((row) => ({
          policy: nameOf(row.policyId),
          service: row.service,
          evaluated: value(row.evaluated),
          limited: value(row.limited),
          limitedRate: row.limitedRate,
          shadowLimited: value(row.shadowLimited),
          clients: value(row.uniqLimitedClients),
          repeatOffenders: value(row.repeatOffenders),
          passedAfterLimit: value(row.passedAfterLimit),
          confirmed: row.limitedConfirmedAbusive,
          falsePositives: row.limitedFalsePositive,
        })),
        shown: 10,
        link,
      },
    ],
  }
}
