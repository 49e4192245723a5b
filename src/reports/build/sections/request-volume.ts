import type { Figure, ReportScope } from '../../types.ts'
import { before, changed, count, counted, percent, sentence } from '../words.ts'
import { byPeriod, type Flag, lineChart, type MakeSection, share } from '../work.ts'

interface Totals {
  current: Flag
  requests: string
  errors: string
  p95: number | null
  addresses: string
}

interface Service {
  service: string
  requests: string
  previous: string
  errors: string
  p95: number | null
  addresses: string
}

const NONE = { requests: '0', errors: '0', p95: null, addresses: '0' }
const GROWTH = 2
const SHRINKAGE = 0.5
/** Below, a rate that doubled may be one failed request. */
const LEAST_ERRORS = 20

const adviceOf = (
  now: { requests: number; errors: number },
  then: { requests: number; errors: number },
): string | null => {
  const [rate, rateBefore] = [share(now.errors, now.requests) ?? 0, share(then.errors, then.requests) ?? 0]
  if (then.requests > 0 && now.requests === 0)
    return 'Find out whether the services are down or no longer send their logs.'
  if (now.errors >= LEAST_ERRORS && rate >= 2 * rateBefore && then.requests > 0)
    return 'The share of errors has at least doubled: look at the routes that fail and at the suspicious addresses.'
  if (then.requests > 0 && now.requests >= GROWTH * then.requests)
    return 'Traffic has at least doubled: if no campaign of yours explains it, look at countries and suspicious addresses.'
  if (then.requests > 0 && now.requests <= SHRINKAGE * then.requests)
    return 'Traffic has at least halved: check that all services still send their logs.'
  return null
}

/** As much of the date as its period leaves open: `at 16:00`, `on Tuesday at 16:00`, `on 24 November at 16:00`. */
const clockOf = ({ kind, timezone }: ReportScope) => {
  const formatOf = (parts: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat('en-GB', { ...parts, timeZone: timezone, hourCycle: 'h23' })
  const clock = formatOf({ hour: '2-digit', minute: '2-digit' })
  const day = formatOf(kind === 'WEEKLY' ? { weekday: 'long' } : { day: 'numeric', month: 'long' })
  return (at: number): string => `${kind === 'DAILY' ? '' : `on ${day.format(at)} `}at ${clock.format(at)}`
}

export const requestVolume: MakeSection = async (work) => {
  const { scope } = work
  const [totals, services, series, busiest] = await Promise.all([
    work.rows<Totals>('totals'),
    work.rows<Service>('services'),
    work.rows<{ bucket: number; requests: string }>('series'),
    work.rows<{ hour: number; requests: string }>('busiest'),
  ])
  const { current = NONE, previous = NONE } = byPeriod(totals)
  const [now, then] = [current, previous].map((row) => ({
    requests: Number(row.requests),
    errors: Number(row.errors),
    addresses: Number(row.addresses),
  })) as [
    { requests: number; errors: number; addresses: number },
    { requests: number; errors: number; addresses: number },
  ]
  const link = work.link('requests')
  const byService = work.link('services')
  const rate = share(now.errors, now.requests)
  const top = busiest[0]
  const busiestHour: Figure[] =
    scope.kind === 'HOURLY' || !top
      ? []
      : [
          {
            label: 'Requests in the busiest hour',
            value: Number(top.requests),
            unit: 'requests',
            previous: null,
            more: 'neutral',
            link,
          },
        ]
  const when =
    scope.kind === 'HOURLY' || !top
      ? ''
      : `; the busiest hour began ${clockOf(scope)(top.hour * 1_000)} with ${counted(Number(top.requests), 'request')}`
  const isFirst = then.requests === 0
  const trend = isFirst ? counted(now.requests, 'request') : `requests ${changed(now.requests, then.requests)}`
  const failed = `of which ${percent(rate ?? 0)} failed`
  const told = isFirst
    ? `${trend}, ${failed}; ${before(scope.kind)} there were none`
    : `${sentence(trend)} against ${before(scope.kind)}: ${count(now.requests)}, ${failed}`
  return {
    lead:
      now.requests === 0 ? `No requests; ${before(scope.kind)} there were ${count(then.requests)}.` : `${told}${when}.`,
    advice: adviceOf(now, then),
    headline: { rank: 2, text: now.requests === 0 ? 'no requests' : trend },
    nothing: now.requests === 0,
    figures: [
      { label: 'Requests', value: now.requests, unit: 'requests', previous: then.requests, more: 'neutral', link },
      { label: 'Errors', value: now.errors, unit: 'requests', previous: then.errors, more: 'bad', link },
      {
        label: 'Share of errors',
        value: rate,
        unit: 'ratio',
        previous: share(then.errors, then.requests),
        more: 'bad',
        link,
      },
      { label: '95 % of answers within', value: current.p95, unit: 'ms', previous: previous.p95, more: 'bad', link },
      {
        label: 'Client addresses',
        value: now.addresses,
        unit: 'addresses',
        previous: then.addresses,
        more: 'neutral',
        link,
      },
      ...busiestHour,
    ],
    charts: [
      lineChart(
        work,
        {
          name: 'Requests',
          unit: 'requests',
          alt: `${count(now.requests)} in all, ${count(then.requests)} ${before(scope.kind)}.`,
        },
        new Map(series.map(({ bucket, requests }) => [bucket, Number(requests)])),
      ),
    ],
    tables: [
      {
        id: 'requests-by-service',
        title: 'By service',
        columns: [
          { key: 'service', title: 'Service', kind: 'hostile' },
          { key: 'requests', title: 'Requests', kind: 'requests' },
          { key: 'previous', title: 'Before', kind: 'requests' },
          { key: 'errors', title: 'Errors', kind: 'requests' },
          { key: 'errorRate', title: 'Share of errors', kind: 'ratio' },
          { key: 'p95', title: '95 % within', kind: 'ms' },
          { key: 'addresses', title: 'Addresses', kind: 'addresses' },
        ],
        rows: services.map(({ service, requests, previous, errors, p95, addresses }) => ({
          service: service || '(unnamed)',
          requests: Number(requests),
          previous: Number(previous),
          errors: Number(errors),
          errorRate: share(Number(errors), Number(requests)),
          p95,
          addresses: Number(addresses),
        })),
        shown: 10,
        link: byService,
      },
    ],
  }
}
