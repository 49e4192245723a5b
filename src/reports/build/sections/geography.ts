import { countryName } from '../../../geo/index.ts'
import { before, count, counted, listed, percent, sentence } from '../words.ts'
import { type MakeSection, share } from '../work.ts'

interface Country {
  country: string
  requests: string
  previous: string
  errors: string
  denied: string
}

// The table below it has more.
const IN_CHART = 6
/** Below this share of all requests a new country is a traveller. */
const LEAST_SHARE = 0.01

const nameOf = (code: string): string => (code === '' ? 'unknown places' : countryName(code) || code)

export const geography: MakeSection = async (work) => {
  const { scope } = work
  const all = (await work.rows<Country>('countries')).map(({ country, requests, previous, errors, denied }) => ({
    country,
    requests: Number(requests),
    previous: Number(previous),
    errors: Number(errors),
    denied: Number(denied),
  }))
  const total = all.reduce((sum, { requests }) => sum + requests, 0)
  const totalBefore = all.reduce((sum, { previous }) => sum + previous, 0)
  const known = all.filter(({ country }) => country !== '')
  const unknown = all.find(({ country }) => country === '')
  const seen = known.filter(({ requests }) => requests > 0)
  const fresh = totalBefore === 0 ? [] : seen.filter(({ previous }) => previous === 0)
  const gone = known.filter(({ requests, previous }) => requests === 0 && previous > 0)
  const link = work.link('countries')
  const top = seen[0]
  const large = fresh.filter(({ requests }) => requests >= LEAST_SHARE * total)
  const main = top
    ? `Most requests came from ${nameOf(top.country)} (${percent(top.requests / total)})`
    : 'No request could be located'
  const news =
    totalBefore === 0
      ? `there is nothing to compare with ${before(scope.kind)}`
      : fresh.length === 0
        ? `no country is new against ${before(scope.kind)}`
        : `${counted(fresh.length, 'country is', 'countries are')} new against ${before(scope.kind)}: ${listed(fresh.map(({ country, requests }) => `${nameOf(country)} (${count(requests)})`))}`
  const shown = seen.slice(0, IN_CHART)
  return {
    lead: `${main}; ${news}.`,
    advice:
      large.length > 0
        ? `If you have no visitors in ${listed(large.map(({ country }) => nameOf(country)))}, look at who came from there.`
        : null,
    figures: [
      {
        label: 'Countries',
        value: seen.length,
        unit: 'none',
        previous: known.filter(({ previous }) => previous > 0).length,
        more: 'neutral',
        link,
      },
      {
        label: 'New countries',
        value: totalBefore === 0 ? null : fresh.length,
        unit: 'none',
        previous: null,
        more: 'neutral',
        link,
      },
      { label: 'Countries no longer seen', value: gone.length, unit: 'none', previous: null, more: 'neutral', link },
      {
        label: 'Share of requests from unknown places',
        value: share(unknown?.requests ?? 0, total),
        unit: 'ratio',
        previous: share(unknown?.previous ?? 0, totalBefore),
        more: 'neutral',
        link,
      },
    ],
    charts:
      shown.length === 0
        ? []
        : [
            {
              kind: 'bar',
              title: 'Requests by country',
              alt: `Requests by country: ${listed(
                shown.map(({ country, requests }) => `${nameOf(country)} ${count(requests)}`),
                5,
              )}.`,
              unit: 'requests',
              categories: shown.map(({ country }) => nameOf(country)),
              series: [
                { name: 'Requests', values: shown.map(({ requests }) => requests) },
                { name: sentence(before(scope.kind)), values: shown.map(({ previous }) => previous), previous: true },
              ],
            },
          ],
    tables: [
      {
        id: 'requests-by-country',
        title: 'By country',
        columns: [
          { key: 'country', title: 'Country', kind: 'country' },
          { key: 'requests', title: 'Requests', kind: 'requests' },
          { key: 'previous', title: 'Before', kind: 'requests' },
          { key: 'share', title: 'Share', kind: 'ratio' },
          { key: 'errors', title: 'Errors', kind: 'requests' },
          { key: 'denied', title: 'Limited or blocked', kind: 'requests' },
          { key: 'isNew', title: 'New', kind: 'text' },
        ],
        rows: all.map((row) => ({
          ...row,
          country: row.country || 'Unknown',
          share: share(row.requests, total),
          isNew: fresh.includes(row) ? 'new' : null,
        })),
        shown: 10,
        link,
      },
    ],
  }
}
