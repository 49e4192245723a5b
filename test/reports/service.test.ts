import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { text as readText } from 'node:stream/consumers'

import { simpleParser } from 'mailparser'
import { expect, it } from 'vitest'

import { testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { insertLogs } from '../support/request-logs.ts'

const HOUR = 3_600_000
const database = testDatabase()
const service = testApp(database, { CRAWLER_DNS: 'false' })
const lastHour = new Date((Math.floor(Date.now() / HOUR) - 1) * HOUR)

const ask = async (query: string, variables: object = {}, key = service.key) => {
  const response = await service.request('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: JSON.stringify({ query, variables }),
  })
  const { data, errors } = (await response.json()) as { data: Record<string, any>; errors?: { message: string }[] }
  expect(errors).toBeUndefined()
  return data
}

it('a report is subscribed to, looked at as page, text and GraphQL with the same numbers, and mailed', async () => {
  await insertLogs(
    database.clickhouse,
    Array.from({ length: 40 }, (_, index) => ({
      timestamp: new Date(lastHour.getTime() + index * 60_000),
      ip: `203.0.113.${index % 7}`,
      path: '/p/1',
      status: index % 10 === 0 ? 500 : 200,
    })),
  )
  await ask('mutation ($from: DateTime!) { runJob(job: "hourly", windowFrom: $from) { jobRun { status } } }', {
    from: lastHour.toISOString(),
  })

  const { securityReports } = await ask(
    '{ securityReports(kind: HOURLY, first: 1) { nodes { kind periodFrom periodTo headline url sections { id lead figures { label value } } deliveries { recipient } } } }',
  )
  const [report] = securityReports.nodes
  expect(report).toMatchObject({ kind: 'HOURLY', periodFrom: lastHour.toISOString(), deliveries: [] })
  const volume = report.sections.find(({ id }: { id: string }) => id === 'request-volume')
  expect(volume.figures.find(({ label }: { label: string }) => /requests/i.test(label)).value).toBe(40)

  const page = await service.request(new URL(report.url).pathname)
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
  const html = await page.text()
  expect(html).toContain(report.headline)
  expect(html).not.toMatch(/<script/i)
  const text = await (await service.request('/reports/hourly/latest?format=text')).text()
  expect(text).toContain(report.headline)
  // As a browser follows it out of a mail that is read in a browser: asked for a key there, it would be asked for ever.
  const path = new URL(report.url).pathname
  const [led] = (await once(
    get(`${service.url}${path}?services=a&services=%22%3E%3Cb%3E`, {
      auth: `x:${service.key}`,
      headers: { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' },
    }),
    'response',
  )) as [IncomingMessage]
  expect([led.statusCode, led.headers['www-authenticate']]).toEqual([401, 'Bearer realm="vedette"'])
  expect(await readText(led)).toContain(`<a href="${path}?services=a&#38;services=%22%3E%3Cb%3E">`)
  expect((await service.request('/reports/yearly/latest')).status).toBe(404)
  const mistaken = await service.request('/reports/hourly/latest?service=shop')
  expect([mistaken.status, ((await mistaken.json()) as { detail: string }).detail]).toEqual([
    400,
    'there is no parameter "service"; there are: timezone, services, format, table.',
  ])
  const wrong = await service.request('/reports/daily/tomorrow')
  expect([wrong.status, ((await wrong.json()) as { detail: string }).detail]).toEqual([
    400,
    expect.stringContaining('"tomorrow"; allowed is latest, or a time in it'),
  ])

  const bad = await ask(
    'mutation { saveReportSubscription(input: { name: "x", kind: HOURLY, cron: "0 8 * *", recipients: ["a@example.com"] }) { subscription { id } userErrors { code field message } } }',
  )
  expect(bad['saveReportSubscription']).toMatchObject({
    subscription: null,
    userErrors: [{ code: 'INVALID', field: ['cron'] }],
  })
  const { saveReportSubscription } = await ask(
    'mutation { saveReportSubscription(input: { name: "Every hour", kind: HOURLY, cron: "5 * * * *", recipients: ["a@example.com"] }) { subscription { id nextRunAt lastDelivery { status } } userErrors { message } } }',
  )
  expect(saveReportSubscription).toMatchObject({
    userErrors: [],
    subscription: { nextRunAt: expect.any(String), lastDelivery: null },
  })
  const { id } = saveReportSubscription.subscription
  const { sendTestReport } = await ask(
    'mutation ($id: ID!) { sendTestReport(id: $id, recipient: "ops@example.com") { userErrors { message } } }',
    { id },
  )
  expect(sendTestReport.userErrors).toEqual([])
  const outbox = join(service.dataDir, 'outbox')
  const mails = () =>
    readdir(outbox).then(
      (names) => names.filter((name) => name.endsWith('.eml')),
      () => [],
    )
  await expect.poll(mails).toHaveLength(1)
  const mail = await simpleParser(await readFile(join(outbox, (await mails())[0]!)))
  expect(mail.subject).toContain(report.headline)
  expect(mail.text).toContain(report.headline)
  expect(mail.html).toContain(report.headline)
  expect(mail.attachments.some(({ filename }) => filename?.endsWith('.csv'))).toBe(true)
  const deliveries = async () => {
    const { securityReports: after } = await ask(
      '{ securityReports(kind: HOURLY, first: 1) { nodes { deliveries { recipient status } } } }',
    )
    return after.nodes[0].deliveries
  }
  // The file is there before it is recorded.
  await expect.poll(deliveries).toEqual([{ recipient: 'ops@example.com', status: 'SENT' }])
  const { deleteReportSubscription } = await ask(
    'mutation ($id: ID!) { deleteReportSubscription(id: $id) { subscription { id } userErrors { message } } }',
    { id },
  )
  expect(deleteReportSubscription).toEqual({ subscription: { id }, userErrors: [] })
})

it('an incident is mailed to who subscribed to it, looked at as page, text and GraphQL, tried, and unsubscribed from', async () => {
  const at = new Date(lastHour.getTime() - HOUR)
  await insertLogs(
    database.clickhouse,
    ['shop', 'blog'].map((name, index) => ({
      timestamp: new Date(at.getTime() + index * 60_000),
      ip: `198.51.10${index}.7`,
      path: `/${name};cat /etc/passwd`,
      userAgent: `curl/${index}`,
      service: name,
      batch: 7,
      row: index,
    })),
  )
  const SAVED = '{ subscription { id cron nextRunAt } userErrors { field message } }'
  const save = async (more: string) =>
    (
      await ask(
        `mutation { saveReportSubscription(input: { name: "At once", kind: INCIDENT, recipients: ["on@call.example"], services: ["shop"]${more} }) ${SAVED} }`,
      )
    )['saveReportSubscription']
  for (const [field, more] of [
    ['cron', ', cron: "0 8 * * 1"'],
    ['minSeverity', ', minSeverity: HIGH'],
  ])
    expect(await save(more!)).toMatchObject({ subscription: null, userErrors: [{ field: [field] }] })
  const { subscription, userErrors } = await save(', minSeverity: CRITICAL')
  expect([subscription, userErrors]).toMatchObject([{ cron: '', nextRunAt: null }, []])
  const { id } = subscription
  const test = `mutation { sendTestReport(id: "${id}", recipient: "me@example.com") { userErrors { code message } } }`
  expect((await ask(test))['sendTestReport'].userErrors).toMatchObject([{ code: 'NOT_FOUND' }])

  const close = (hour: Date) =>
    ask('mutation ($from: DateTime!) { runJob(job: "hourly", windowFrom: $from) { jobRun { status } } }', {
      from: hour.toISOString(),
    })
  await close(at)
  const FIELDS =
    'id kind periodFrom periodTo timezone services headline totals { requests } topSuspiciousIps { ip } sections { id lead advice tables } url deliveries { recipient status }'
  const incidents = async (fields: string, key?: string) =>
    (await ask(`{ securityReports(kind: INCIDENT, first: 3) { nodes { ${fields} } } }`, {}, key))['securityReports']
      .nodes
  const deliveries = async () =>
    (await incidents('deliveries { recipient status }')).map((each: any) => each.deliveries)
  await expect
    .poll(async () => (await deliveries()).toSorted((a: [], b: []) => a.length - b.length))
    .toEqual([[], [{ recipient: 'on@call.example', status: 'SENT' }]])
  const { createApiKey } = await ask(
    'mutation { createApiKey(name: "shop", scopes: [REPORTS_READ, REPORTS_WRITE], services: ["shop"]) { secret } }',
  )
  const ours = await incidents(FIELDS, createApiKey.secret)
  expect(ours).toEqual([
    {
      id: expect.stringMatching(/^inc_/),
      kind: 'INCIDENT',
      periodFrom: at.toISOString(),
      periodTo: lastHour.toISOString(),
      timezone: 'UTC',
      services: ['shop'],
      headline: expect.stringContaining('198.51.100.7: Command injection'),
      totals: { requests: 1 },
      topSuspiciousIps: [{ ip: '198.51.100.7' }],
      sections: [
        expect.objectContaining({ id: 'incident-findings', lead: expect.stringContaining('Command injection: ') }),
        expect.objectContaining({ id: 'incident-addresses', lead: expect.stringContaining('198.51.100.7') }),
        expect.objectContaining({ id: 'incident-targets', lead: expect.stringContaining('/shop;cat') }),
      ],
      url: expect.stringMatching(/\/reports\/incident\/inc_[\w-]+$/),
      deliveries: [{ recipient: 'on@call.example', status: 'SENT' }],
    },
  ])
  const [shop] = ours
  const { node } = await ask(`{ node(id: "${shop.id}") { ... on SecurityReport { headline } } }`)
  expect(node).toEqual({ headline: shop.headline })
  const foreign = (await incidents('id')).find(({ id }: { id: string }) => id !== shop.id)
  expect((await ask(`{ node(id: "${foreign.id}") { id } }`, {}, createApiKey.secret))['node']).toBeNull()

  const open = (path: string, key = service.key) =>
    service.request(`/reports/incident/${path}`, { headers: { authorization: `Bearer ${key}` } })
  const page = await open(shop.id)
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
  expect(await page.text()).toContain(shop.headline)
  expect(await (await open('latest?format=text', createApiKey.secret)).text()).toContain(shop.headline)
  expect(await (await open(`${shop.id}?format=json`)).json()).toMatchObject({ id: shop.id, headline: shop.headline })
  expect(await (await open(`${shop.id}?format=csv&table=incident-addresses`)).text()).toContain('198.51.100.7')
  expect((await open(foreign.id, createApiKey.secret)).status).toBe(404)
  expect((await open(`${shop.id}?format=pdf`)).status).toBe(400)

  expect((await ask(test))['sendTestReport'].userErrors).toEqual([])
  const outbox = join(service.dataDir, 'outbox')
  const mails = async () => {
    const names = (await readdir(outbox)).filter((name) => name.endsWith('.eml'))
    const all = await Promise.all(names.map(async (name) => simpleParser(await readFile(join(outbox, name)))))
    return all.filter(({ subject }) => subject!.startsWith('Vedette incident: 198.51.100.7'))
  }
  await expect.poll(async () => (await mails()).length).toBe(2)
  const mail = (await mails()).find(({ to }) => [to].flat()[0]!.text === 'on@call.example')!
  const { unsubscribe } = mail.headers.get('list') as unknown as { unsubscribe: { url: string } }
  const link = new URL(unsubscribe.url).pathname
  expect((await fetch(`${service.url}${link}`, { method: 'POST' })).status).toBe(200)
  await insertLogs(database.clickhouse, [
    { timestamp: lastHour, ip: '198.51.102.7', path: '/z;cat /etc/passwd', service: 'shop', batch: 8, row: 0 },
  ])
  await close(lastHour)
  await expect
    .poll(async () => (await deliveries())[0])
    .toEqual([{ recipient: 'on@call.example', status: 'SUPPRESSED' }])
})
