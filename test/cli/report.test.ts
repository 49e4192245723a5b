import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, it } from 'vitest'

import { testGraphql } from '../graphql/support.ts'
import { temporaryFolder } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { type Outcome, vedette } from '../support/command.ts'

const api = testGraphql(testDatabase())
const folders: string[] = []
let env: Record<string, string> = {}
let id = ''
beforeAll(async () => {
  folders.push(await temporaryFolder(), await temporaryFolder())
  // As a service that runs there leaves it.
  await writeFile(join(folders[0]!, 'service.json'), JSON.stringify({ url: api.url }))
  env = { DATA_DIR: folders[0]!, VEDETTE_API_KEY: await api.key(['REPORTS_READ', 'REPORTS_WRITE']) }
  const { json } = await api.ask(
    'mutation { saveReportSubscription(input: { name: "Mondays", kind: WEEKLY, cron: "0 8 * * 1", recipients: ["ops@example.com"] }) { subscription { id } } }',
  )
  id = json.data.saveReportSubscription.subscription.id
})
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

const report = (...args: string[]): Promise<Outcome> => vedette(['report', ...args], env)

it('previews a report as text, as JSON, or in a file as a page, a PDF or JSON', async () => {
  const text = await report('preview', 'daily')
  expect(text).toMatchObject({ exitCode: 0, stderr: '' })
  const { json } = await api.ask('{ securityReports(first: 1) { nodes { id headline } } }')
  const [{ id: reportId, headline }] = json.data.securityReports.nodes
  expect(text.stdout).toContain(headline)
  const file = join(folders[0]!, 'report.html')
  const page = await report('preview', 'daily', '--out', file)
  expect(page).toMatchObject({ exitCode: 0, stdout: '' })
  expect(await readFile(file, 'utf8')).toMatch(/^<!doctype html>/i)
  const pdf = join(folders[0]!, 'report.pdf')
  expect(await report('preview', 'daily', '--out', pdf)).toMatchObject({ exitCode: 0, stdout: '' })
  expect((await readFile(pdf)).subarray(0, 5).toString()).toBe('%PDF-')
  await report('preview', 'daily', '--format', 'json', '--out', file)
  expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ id: reportId, headline })
  const asJson = await report('preview', 'daily', '--json')
  expect(JSON.parse(asJson.stdout)).toMatchObject({ id: reportId, headline })
  const before = await report(
    'preview',
    'weekly',
    '--at=2026-11-05',
    '--timezone=Europe/Berlin',
    '--service=shop',
    '--json',
  )
  expect(JSON.parse(before.stdout).scope).toMatchObject({
    period: { from: '2026-11-01T23:00:00.000Z', to: '2026-11-08T23:00:00.000Z' },
    services: ['shop'],
  })
})

it('lists subscriptions, and sends a report of one to whom it is told', async () => {
  const list = await report('subscriptions')
  expect(list).toMatchObject({ exitCode: 0, stderr: '' })
  expect(list.stdout).toMatch(new RegExp(`^ID .*\\n${id} +Mondays +weekly +0 8 \\* \\* 1 UTC +1 +20.* UTC`))
  expect(JSON.parse((await report('subscriptions', '--json')).stdout)).toMatchObject([{ id, name: 'Mondays' }])
  const sent = await report('send', id, '--to', 'me@example.com')
  expect(sent).toMatchObject({ exitCode: 0, stderr: '' })
  expect(sent.stdout).toBe('queued for me@example.com\n')
  const wrong = await report('send', id, '--to', 'me')
  expect(wrong).toMatchObject({ exitCode: 2, stderr: expect.stringMatching(/^vedette: recipient is "me".*\n$/) })
})

it('shows that a subscription to incidents has no schedule, and says why it has nothing to send', async () => {
  const { json } = await api.ask(
    'mutation { saveReportSubscription(input: { name: "At once", kind: INCIDENT, recipients: ["ops@example.com"] }) { subscription { id cron nextRunAt } } }',
  )
  const { subscription } = json.data.saveReportSubscription
  expect(subscription).toMatchObject({ cron: '', nextRunAt: null })
  expect((await report('subscriptions')).stdout).toMatch(/At once +incident +at once +1 +with an incident +none/)
  const nothing = await report('send', subscription.id, '--to', 'me@example.com')
  expect(nothing).toMatchObject({
    exitCode: 1,
    stderr: expect.stringMatching(/^vedette: there is no incident yet, .*\n$/),
  })
})

it.each([
  [1, ['send', 'sub_none', '--to', 'me@example.com'], /^vedette: there is no report subscription "sub_none"\n$/],
  [2, ['preview', 'daily', '--format', 'pdf'], /^vedette: .*write it to a file: --out report\.pdf\n$/],
  [1, ['preview', 'incident'], /^vedette: there is no incident yet\.\n$/],
  [1, ['preview', 'incident', '--at', 'inc_none'], /^vedette: there is no incident "inc_none"\.\n$/],
  [
    2,
    ['preview', 'incident', '--timezone', 'Europe/Berlin'],
    /^vedette: .*allowed is UTC, in which incidents are told\.\n$/,
  ],
  [
    1,
    ['preview', 'daily', '--out', '/nowhere/r.html'],
    /^vedette: \/nowhere\/r\.html: there is no such .*; see to it.*\n$/,
  ],
  [2, ['preview', 'yearly'], /^vedette: .*hourly, daily, weekly, monthly.*\n$/],
  [2, ['preview', 'daily', '--at', 'someday'], /^vedette: .*"someday"; allowed is latest, or .*\n$/],
])('ends with %i and one line for %j', async (exitCode, args, line) => {
  const outcome = await report(...args)
  expect(outcome).toMatchObject({ exitCode, stdout: '' })
  expect(outcome.stderr).toMatch(line)
})

it('without a service says to start it', async () => {
  const alone = await vedette(['report', 'subscriptions'], { DATA_DIR: folders[1]! })
  expect(alone).toMatchObject({ exitCode: 1, stdout: '' })
  expect(alone.stderr).toMatch(/^vedette: .*vedette serve.*\n$/)
})
