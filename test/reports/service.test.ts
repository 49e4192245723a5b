import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { simpleParser } from 'mailparser'
import { expect, it } from 'vitest'

import { testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { insertLogs } from '../support/request-logs.ts'

const HOUR = 3_600_000
const database = testDatabase()
const service = testApp(database, { CRAWLER_DNS: 'false' })
const lastHour = new Date((Math.floor(Date.now() / HOUR) - 1) * HOUR)

const ask = async (query: string, variables: object = {}) => {
  const response = await service.request('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
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
  expect((await service.request('/reports/yearly/latest')).status).toBe(404)
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
  const { securityReports: after } = await ask(
    '{ securityReports(kind: HOURLY, first: 1) { nodes { deliveries { recipient status } } } }',
  )
  expect(after.nodes[0].deliveries).toEqual([{ recipient: 'ops@example.com', status: 'SENT' }])
  const { deleteReportSubscription } = await ask(
    'mutation ($id: ID!) { deleteReportSubscription(id: $id) { subscription { id } userErrors { message } } }',
    { id },
  )
  expect(deleteReportSubscription).toEqual({ subscription: { id }, userErrors: [] })
})
