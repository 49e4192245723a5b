import { before, changed, count, counted, ofThem, percent, quoted, sentence } from '../words.ts'
import { lineChart, type MakeSection, share } from '../work.ts'

interface Route {
  service: string
  route: string
  errors: string
  previous: string
  requests: string
}

export const errors: MakeSection = async (work) => {
  const { scope } = work
  const [routes, series] = await Promise.all([
    work.rows<Route>('routes'),
    work.rows<{ bucket: number; errors: string; requests: string }>('series'),
  ])
  const rows = routes.map(({ service, route, errors, previous, requests }) => ({
    service: service || '(unnamed)',
    route: route || '(no route named)',
    errors: Number(errors),
    previous: Number(previous),
    requests: Number(requests),
    rate: share(Number(errors), Number(requests)),
    isNew: Number(previous) === 0 && Number(errors) > 0 ? 'new' : null,
  }))
  const from = scope.period.from.getTime() / 1_000
  const sum = (of: 'errors' | 'requests', isCurrent: boolean): number =>
    series.filter(({ bucket }) => bucket >= from === isCurrent).reduce((total, row) => total + Number(row[of]), 0)
  const [now, then] = [sum('errors', true), sum('errors', false)]
  const [rate, rateBefore] = [share(now, sum('requests', true)), share(then, sum('requests', false))]
  const failing = rows.filter(({ errors }) => errors > 0)
  const fresh = sum('requests', false) === 0 ? [] : failing.filter(({ isNew }) => isNew !== null)
  const link = work.link('errors')
  const top = failing[0]
  const shown = ({ service, route }: (typeof rows)[number]): string => quoted(`${service} ${route}`)
  return {
    lead:
      now === 0
        ? `No server errors${then === 0 ? `, neither now nor ${before(scope.kind)}` : `; ${before(scope.kind)} there were ${count(then)}`}.`
        : `${sentence(`server errors ${changed(now, then)}`)} against ${before(scope.kind)}: ${count(now)}, ${percent(rate!)} of requests, on ${counted(failing.length, 'route')}, ${ofThem(fresh.length)} without any before.`,
    advice:
      fresh.length > 0
        ? `Look first at ${shown(fresh[0]!)}, which did not fail ${before(scope.kind)}.`
        : top && now > then
          ? `Look first at ${shown(top)}, which fails most.`
          : null,
    // A row of zeros says nothing more.
    figures:
      now + then === 0
        ? []
        : [
            { label: 'Server errors (5xx)', value: now, unit: 'requests', previous: then, more: 'bad', link },
            { label: 'Share of requests', value: rate, unit: 'ratio', previous: rateBefore, more: 'bad', link },
            {
              label: 'Routes that failed',
              value: failing.length,
              unit: 'none',
              previous: rows.filter(({ previous }) => previous > 0).length,
              more: 'bad',
              link,
            },
            { label: 'Of them new', value: fresh.length, unit: 'none', previous: null, more: 'bad', link },
          ],
    charts:
      now === 0
        ? []
        : [
            lineChart(
              work,
              {
                name: 'Server errors',
                unit: 'requests',
                alt: `${count(now)} in all, ${count(then)} ${before(scope.kind)}.`,
              },
              new Map(series.map(({ bucket, errors }) => [bucket, Number(errors)])),
            ),
          ],
    // Only what failed before: that is said above.
    tables:
      now === 0
        ? []
        : [
            {
              id: 'server-errors-by-route',
              title: 'By route',
              columns: [
                { key: 'service', title: 'Service', kind: 'hostile' },
                { key: 'route', title: 'Route', kind: 'hostile' },
                { key: 'errors', title: 'Errors', kind: 'requests' },
                { key: 'previous', title: 'Before', kind: 'requests' },
                { key: 'rate', title: 'Share', kind: 'ratio' },
                { key: 'requests', title: 'Requests', kind: 'requests' },
                { key: 'isNew', title: 'New', kind: 'text' },
              ],
              rows,
              shown: 10,
              link,
            },
          ],
  }
}
