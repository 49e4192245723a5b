import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'

import { beforeAll, describe, expect, it } from 'vitest'

import { testDatabase } from '../support/clickhouse.ts'
import { insertFindings } from '../support/findings.ts'
import { insertLogs } from '../support/request-logs.ts'
import { createRollups } from '../../src/rollups/index.ts'
import { testGraphql } from './support.ts'

const HOUR = 3_600_000
const database = testDatabase()
const api = testGraphql(database)
/** The hour before last: over, whatever the clock does during the test. */
const from = new Date((Math.floor(Date.now() / HOUR) - 2) * HOUR)
const hour = `/reports/hourly/${from.toISOString().slice(0, 13)}`

beforeAll(async () => {
  const row = (index: number, ago: number, service: string) => ({
    timestamp: new Date(from.getTime() - ago * HOUR + index * 60_000),
    ip: `203.0.113.${index % 7}`,
    row: index,
    batch: ago * 2 + (service === 'shop' ? 1 : 0),
    path: '/p',
    status: index % 10 === 0 ? 500 : 200,
    service,
  })
  const rows = (count: number, ago: number, service: string) =>
    Array.from({ length: count }, (_, index) => row(index, ago, service))
  await insertLogs(database.clickhouse, [...rows(40, 0, 'shop'), ...rows(20, 0, 'blog'), ...rows(30, 1, 'shop')])
  const window = { from, to: new Date(from.getTime() + HOUR) }
  const { signal } = new AbortController()
  await createRollups({ clickhouse: database.clickhouse }).run({ window, runId: '1', signal })
  await insertFindings(database.clickhouse, [
    { hour: from, address: '203.0.113.1', services: ['shop'], score: 90 },
    { hour: from, address: '203.0.113.2', services: ['blog'], score: 50 },
  ])
})

const ask = async (query: string, options: { secret?: string; variables?: object } = {}) => {
  const { json } = await api.ask(query, options)
  expect(json.errors).toBeUndefined()
  return json.data
}
const bound = () => api.key(['REPORTS_READ', 'REPORTS_WRITE'], ['shop'])
const page = async (path: string, secret?: string) =>
  api.send(path, { headers: { authorization: `Bearer ${secret ?? (await api.key(['REPORTS_READ']))}` } })

const WHOLE =
  'id kind periodFrom periodTo timezone services generatedAt headline totals { requests errors } previousTotals { requests } topSuspiciousIps { ip } sections { id tables figures { label value unit previous link } } url csv: url(format: CSV) pdf: url(format: PDF) deliveries { recipient status }'
const hourly = async (args = '', fields = WHOLE, secret?: string) => {
  const query = `{ securityReports(kind: HOURLY, first: 3${args}) { nodes { ${fields} } } }`
  const { nodes } = (await ask(query, secret === undefined ? {} : { secret })).securityReports
  return nodes.find(({ periodFrom }: { periodFrom: string }) => periodFrom === from.toISOString())
}

describe('a report', () => {
  it('says the same as its own page, its text, its CSV and requestAnalytics, and is found again by its id', async () => {
    const report = await hourly()
    expect(report).toMatchObject({
      kind: 'HOURLY',
      periodTo: new Date(from.getTime() + HOUR).toISOString(),
      services: [],
      totals: { requests: 60, errors: 6 },
      previousTotals: { requests: 30 },
      topSuspiciousIps: [{ ip: '203.0.113.1' }, { ip: '203.0.113.2' }],
      url: `http://vedette.example${hour}`,
      csv: `http://vedette.example${hour}?format=csv`,
      pdf: `http://vedette.example${hour}?format=pdf`,
      deliveries: [],
    })
    const volume = report.sections.find(({ id }: { id: string }) => id === 'request-volume')
    const [requests] = volume.figures
    expect(requests).toMatchObject({ label: 'Requests', value: 60, unit: 'requests', previous: 30 })
    expect(requests.link).toBe(`http://vedette.example${hour}/look/requests`)

    const html = await page(hour)
    expect([html.status, html.type]).toEqual([200, 'text/html; charset=utf-8'])
    expect(html.headers.get('content-security-policy')).toBe(
      "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    )
    expect(html.headers.get('cache-control')).toBe('private, no-store')
    expect(html.text).not.toMatch(/<script/i)
    expect((await page(`${hour}?format=text`)).text).toContain(report.headline)
    expect((await page(`${hour}?format=json`)).json).toMatchObject({ id: report.id, headline: report.headline })
    const pdf = await page(`${hour}?format=pdf`)
    expect([pdf.type, pdf.headers.get('content-disposition'), pdf.text.slice(0, 5)]).toEqual([
      'application/pdf',
      `inline; filename="vedette-hourly-${from.toISOString().slice(0, 13)}.pdf"`,
      '%PDF-',
    ])
    const figures = await page(`${hour}?format=csv`)
    expect([figures.type, figures.headers.get('content-disposition')]).toEqual([
      'text/csv; charset=utf-8',
      'attachment; filename="figures.csv"',
    ])
    expect(figures.text).toContain('"request-volume","Requests","requests",60,30\r\n')
    const table = volume.tables[0] ?? report.sections.flatMap(({ tables }: { tables: string[] }) => tables)[0]
    expect((await page(`${hour}?format=csv&table=${table}`)).text.split('\r\n').length).toBeGreaterThan(2)

    const { node } = await ask(`{ node(id: "${report.id}") { __typename ... on SecurityReport { url } } }`)
    expect(node).toEqual({ __typename: 'SecurityReport', url: report.url })
    expect(await ask('{ node(id: "rep_0000000000000000") { id } }')).toEqual({ node: null })
  })

  it('leads each of its numbers, without a key, to a question about the same time and services', async () => {
    const all = await hourly()
    const shop = await hourly(', services: ["shop"]')
    for (const [report, requests] of [
      [all, 60],
      [shop, 40],
    ] as const) {
      const links = new Set<string>(
        report.sections.flatMap(({ figures }: any) => figures.map(({ link }: { link: string }) => link)),
      )
      expect(links.size).toBeGreaterThan(3)
      for (const link of links) {
        const { status, headers } = await api.send(link.replace('http://vedette.example', ''), { redirect: 'manual' })
        expect(status).toBe(302)
        const { pathname, searchParams } = new URL(headers.get('location')!)
        expect(pathname).toBe('/graphql')
        const answer = await ask(searchParams.get('query')!)
        if (link.includes('/look/requests')) expect(answer.requestAnalytics.totals.requests).toBe(requests)
        if (link.includes('/look/suspicious')) expect(answer.suspiciousIps.totalCount).toBe(report === all ? 2 : 1)
      }
    }
    for (const [path, status, told] of [
      ['/look/everything', 404, 'there are: requests, services, countries'],
      ['/look/suspicious?minSeverity=SOME', 400, 'minSeverity is \\"SOME\\"; allowed is LOW, MEDIUM, HIGH, CRITICAL'],
      ['/look/requests?timezone=Mars', 400, 'timezone is'],
    ] as const) {
      const answer = await api.send(`${hour}${path}`, { redirect: 'manual' })
      expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(told)])
    }
  })

  it('is about services as asked, and for a bound key about its own alone', async () => {
    const some = await hourly(', services: ["blog"]', 'periodFrom url totals { requests } topSuspiciousIps { ip }')
    expect(some).toMatchObject({ totals: { requests: 20 }, topSuspiciousIps: [{ ip: '203.0.113.2' }] })
    expect(some.url).toBe(`http://vedette.example${hour}?services=blog`)
    const secret = await bound()
    const own = await hourly('', 'id periodFrom services totals { requests }', secret)
    expect(own).toMatchObject({ services: ['shop'], totals: { requests: 40 } })
    expect((await ask(`{ node(id: "${own.id}") { id } }`, { secret })).node).toEqual({ id: own.id })
    expect((await page(`${hour}?format=csv`, secret)).text).toContain('"Requests","requests",40,30\r\n')
    expect((await page(`${hour}?services=blog`, secret)).status).toBe(403)
    const refused = await api.ask('{ securityReports(services: ["blog"]) { totalCount } }', { secret })
    expect(refused.json.errors[0].extensions.code).toBe('FORBIDDEN')
  })

  it.each([
    ['/reports/yearly/latest', 404, /hourly, daily, weekly, monthly/],
    ['/reports/daily/tomorrow', 400, /allowed is latest, or a time in it such as 2026-11-24/],
    ['/reports/daily/2026-02-30', 400, /allowed is latest/],
    ['/reports/daily/2999-01-01', 400, /once it is over; the last one is \/reports\/daily\/20/],
    ['/reports/daily/latest?timezone=Mars', 400, /IANA/],
    ['/reports/daily/latest?format=docx', 400, /html, text, csv, pdf, json/],
    ['/reports/hourly/latest?format=csv&table=none', 404, /it has: figures/],
  ])('%s is refused with %i and what is allowed', async (path, status, detail) => {
    const answer = await page(path)
    expect([answer.status, answer.json.detail]).toEqual([status, expect.stringMatching(detail)])
  })

  it('asks a browser for the key, and is for REPORTS_READ', async () => {
    // Not fetch, which says that it is no browser's window.
    const [nobody] = (await once(get(`${api.url}/reports/daily/latest`), 'response')) as [IncomingMessage]
    nobody.resume()
    expect([nobody.statusCode, nobody.headers['www-authenticate']]).toEqual([401, expect.stringContaining('Basic')])
    expect((await page('/reports/daily/latest', await api.key(['LOGS_READ']))).status).toBe(403)
  })
})

const urlsOf = async (kind: string, timezone: string, first: number): Promise<string[]> =>
  (
    await ask(`{ securityReports(kind: ${kind}, timezone: "${timezone}", first: ${first}) { nodes { url } } }`)
  ).securityReports.nodes.map(({ url }: { url: string }) => url)

describe('a period', () => {
  it.each(['HOURLY', 'DAILY', 'WEEKLY', 'MONTHLY'])('%s has an address of its own in any zone', async (kind) => {
    for (const timezone of ['UTC', 'Pacific/Kiritimati', 'America/St_Johns', 'Asia/Kolkata']) {
      const urls = await urlsOf(kind, timezone, 60)
      expect(new Set(urls).size).toBe({ HOURLY: 48, DAILY: 60, WEEKLY: 26, MONTHLY: 13 }[kind])
    }
  })

  it('is found by its address, in zones far from UTC too', async () => {
    for (const [timezone, kind] of [
      ['Pacific/Kiritimati', 'WEEKLY'],
      ['Pacific/Pago_Pago', 'DAILY'],
      ['Asia/Kolkata', 'HOURLY'],
    ]) {
      const query = `{ securityReports(kind: ${kind}, timezone: "${timezone}", first: 2) { nodes { id url } } }`
      const { id, url } = (await ask(query)).securityReports.nodes[1]
      const { json } = await page(`${url.replace('http://vedette.example', '')}&format=json`)
      expect(json.id).toBe(id)
    }
  })
})

describe('subscriptions', () => {
  const FIELDS =
    'id name kind cron timezone recipients format services minSeverity skipIfEmpty enabled nextRunAt lastDelivery { recipient status attempts sentAt error }'
  const save = async (input: object, secret?: string) =>
    (
      await ask(
        `mutation ($input: ReportSubscriptionInput!) { saveReportSubscription(input: $input) { subscription { ${FIELDS} } userErrors { code field message } } }`,
        { variables: { input }, ...(secret === undefined ? {} : { secret }) },
      )
    ).saveReportSubscription
  const monday = { name: 'Mondays', kind: 'WEEKLY', cron: '0 8 * * 1', recipients: ['ops@example.com'] }

  it('are made, changed, listed, found, tried and ended', async () => {
    const { subscription, userErrors } = await save({ ...monday, timezone: 'Europe/Berlin' })
    expect(userErrors).toEqual([])
    expect(subscription).toMatchObject({
      ...monday,
      timezone: 'Europe/Berlin',
      format: 'HTML',
      services: [],
      minSeverity: null,
      skipIfEmpty: false,
      enabled: true,
      nextRunAt: expect.stringMatching(/T0[67]:00:00\.000Z$/),
      lastDelivery: null,
    })
    const { id } = subscription
    const off = await save({ id, enabled: false })
    expect(off.subscription).toEqual({ ...subscription, enabled: false, nextRunAt: null })
    const { reportSubscriptions } = await ask('{ reportSubscriptions { nodes { id } totalCount } }')
    expect(reportSubscriptions).toEqual({ nodes: [{ id }], totalCount: 1 })
    const [week] = (
      await ask('{ securityReports(kind: WEEKLY, timezone: "Europe/Berlin", first: 1) { nodes { id } } }')
    ).securityReports.nodes
    expect((await ask(`{ node(id: "${week.id}") { id } }`)).node).toEqual(week)

    const { sendTestReport } = await ask(
      `mutation { sendTestReport(id: "${id}", recipient: "me@example.com") { subscription { id } userErrors { message } } }`,
    )
    expect(sendTestReport).toEqual({ subscription: { id }, userErrors: [] })
    await expect
      .poll(async () =>
        ask(`{ node(id: "${week.id}") { ... on SecurityReport { deliveries { recipient status attempts error } } } }`),
      )
      .toEqual({ node: { deliveries: [{ recipient: 'me@example.com', status: 'SENT', attempts: 1, error: null }] } })

    const { deleteReportSubscription } = await ask(
      `mutation { deleteReportSubscription(id: "${id}") { subscription { id } userErrors { code } } }`,
    )
    expect(deleteReportSubscription).toEqual({ subscription: { id }, userErrors: [] })
    expect((await ask(`{ node(id: "${id}") { id } }`)).node).toBeNull()
  })

  it('that cannot be are refused with the field', async () => {
    for (const [field, value] of Object.entries({ cron: 'often', recipients: [], timezone: 'UTC', name: '' })) {
      const { subscription, userErrors } = await save({ ...monday, [field]: value })
      if (field === 'timezone') expect(subscription).not.toBeNull()
      else expect([subscription, userErrors]).toMatchObject([null, [{ code: 'INVALID', field: [field] }]])
    }
    expect((await save({ ...monday, id: 'sub_none' })).userErrors).toMatchObject([{ code: 'NOT_FOUND' }])
  })

  it('of all services or of others are neither seen nor changed by a bound key', async () => {
    const secret = await bound()
    const all = (await save(monday)).subscription.id
    const blog = (await save({ ...monday, services: ['blog', 'shop'] })).subscription.id
    const refusal = { subscription: null, userErrors: [{ code: 'INVALID', field: ['services'] }] }
    for (const services of [undefined, [], ['blog'], ['blog', 'shop']])
      expect(await save({ ...monday, services }, secret)).toMatchObject(refusal)
    const own = (await save({ ...monday, services: ['shop'] }, secret)).subscription.id
    const { nodes } = (await ask('{ reportSubscriptions { nodes { id } } }', { secret })).reportSubscriptions
    expect(nodes).toEqual([{ id: own }])
    for (const id of [all, blog]) {
      expect((await ask(`{ node(id: "${id}") { id } }`, { secret })).node).toBeNull()
      expect(await save({ id, services: ['shop'] }, secret)).toMatchObject(refusal)
      for (const change of [
        `deleteReportSubscription(id: "${id}")`,
        `sendTestReport(id: "${id}", recipient: "a@b.de")`,
      ])
        expect(
          Object.values(await ask(`mutation { ${change} { subscription { id } userErrors { code } } }`, { secret })),
        ).toEqual([{ subscription: null, userErrors: [{ code: 'INVALID' }] }])
    }
    expect((await ask('{ reportSubscriptions { totalCount } }')).reportSubscriptions.totalCount).toBeGreaterThan(2)
  })
})
