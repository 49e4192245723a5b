import { writeFile } from 'node:fs/promises'

import { Argument, type Command, Option } from 'commander'

import { loadConfig } from '../config.ts'
import { CliError } from './errors.ts'
import { json, note, out, table, time } from './print.ts'
import { apiKeyFor, findService } from './service.ts'
import { list } from './values.ts'

const KINDS = ['hourly', 'daily', 'weekly', 'monthly', 'incident']
const FORMATS = ['text', 'html', 'pdf', 'json'] as const

interface KeyOption {
  key?: string
}

/** A call to the running service. @throws {CliError} what it said instead of an answer */
const call = async ({ key }: KeyOption, path: string, query?: object): Promise<Response> => {
  const config = loadConfig()
  const url = await findService(config)
  if (url === undefined)
    throw new CliError(`no service runs on ${config.dataDir}; start it with vedette serve, or set DATA_DIR`)
  const authorization = `Bearer ${await apiKeyFor(config, key)}`
  const response = await fetch(`${url}${path}`, {
    headers: { authorization, 'content-type': 'application/json' },
    ...(query && { method: 'POST', body: JSON.stringify(query) }),
  })
  if (response.ok) return response
  const { detail, errors } = (await response.json().catch(() => ({}))) as Refusal
  const message = errors?.[0]?.message ?? detail ?? `${url} answers ${response.status}`
  throw new CliError(message, response.status === 400 ? 2 : 1)
}

interface Refusal {
  detail?: string
  errors?: { message: string }[]
}

const ask = async <T>(options: KeyOption, query: string, variables: object = {}): Promise<T> => {
  const response = await call(options, '/graphql', { query, variables })
  const { data, errors } = (await response.json()) as Refusal & { data?: T | null }
  if (errors || !data) throw new CliError(errors?.[0]?.message ?? 'the service gave no answer')
  return data
}

interface PreviewOptions extends KeyOption {
  at: string
  timezone: string
  service?: string[]
  out?: string
  format?: (typeof FORMATS)[number]
  json?: true
}

/** Unless it is named, what the file's name ends with says it. */
const formatOf = ({ format, json: isJson, out: file }: PreviewOptions): (typeof FORMATS)[number] =>
  isJson ? 'json' : (format ?? FORMATS.find((each) => file?.toLowerCase().endsWith(`.${each}`)) ?? 'text')

const preview = async (kind: string, options: PreviewOptions): Promise<void> => {
  const { at, timezone, service = [], out: file } = options
  const format = formatOf(options)
  if (format === 'pdf' && file === undefined)
    throw new CliError('a PDF is not for the screen; write it to a file: --out report.pdf', 2)
  const services = service.map((name) => ['services', name])
  const query = new URLSearchParams([['timezone', timezone], ['format', format], ...services])
  const response = await call(options, `/reports/${kind}/${encodeURIComponent(at)}?${query}`)
  if (file === undefined)
    return format === 'json' ? json(await response.json()) : out((await response.text()).trimEnd())
  await writeFile(file, await response.bytes())
  note(`written to ${file}`)
}

interface Subscription {
  id: string
  name: string
  kind: string
  cron: string
  timezone: string
  recipients: string[]
  enabled: boolean
  nextRunAt: string | null
  lastDelivery: { status: string; recipient: string } | null
}

interface Page {
  reportSubscriptions: { nodes: Subscription[]; pageInfo: { nextCursor: string | null } }
}

const PAGE =
  'query ($after: String) { reportSubscriptions(first: 200, after: $after) { nodes { id name kind cron timezone recipients enabled nextRunAt lastDelivery { status recipient } } pageInfo { nextCursor } } }'

const nextOf = ({ kind, enabled, nextRunAt }: Subscription): string => {
  if (!enabled) return 'off'
  if (kind === 'INCIDENT') return 'with an incident'
  return nextRunAt ? time(new Date(nextRunAt)) : 'never'
}

const subscriptions = async (options: KeyOption & { json?: true }): Promise<void> => {
  const all: Subscription[] = []
  let after: string | null = null
  do {
    const { reportSubscriptions }: Page = await ask(options, PAGE, { after })
    all.push(...reportSubscriptions.nodes)
    after = reportSubscriptions.pageInfo.nextCursor
  } while (after !== null)
  if (options.json) return json(all)
  if (all.length === 0) return note('There are no subscriptions; saveReportSubscription in GraphQL makes one.')
  table(
    all.map((one) => ({
      id: one.id,
      name: one.name,
      kind: one.kind.toLowerCase(),
      schedule: one.kind === 'INCIDENT' ? 'at once' : `${one.cron} ${one.timezone}`,
      recipients: one.recipients.length,
      next: nextOf(one),
      'last mail': one.lastDelivery?.status.toLowerCase() ?? 'none',
    })),
  )
}

const send = async (id: string, { to, ...options }: KeyOption & { to: string }): Promise<void> => {
  const { sendTestReport } = await ask<{ sendTestReport: { userErrors: { code: string; message: string }[] } }>(
    options,
    'mutation ($id: ID!, $to: String!) { sendTestReport(id: $id, recipient: $to) { userErrors { code message } } }',
    { id, to },
  )
  const [refusal] = sendTestReport.userErrors
  if (refusal) throw new CliError(refusal.message, refusal.code === 'INVALID' ? 2 : 1)
  out(`queued for ${to}`)
}

/** `vedette report preview|send|subscriptions` */
export const report = (program: Command): void => {
  const group = program
    .command('report')
    .description('look at a report of the service that runs here, send one, see who gets them')
    .helpCommand(false)
  group
    .command('preview')
    .description('show a report')
    .addArgument(new Argument('<kind>', 'length of its period, or incident').choices(KINDS))
    .option(
      '--at <period>',
      'a day in it such as 2026-11-24, an hour of UTC such as 2026-11-24T13, the id of an incident',
      'latest',
    )
    .option('--timezone <zone>', 'whose days they are; incidents are told in UTC', 'UTC')
    .option('-s, --service <name>', 'about these services alone; several times or with commas', list)
    .option('-o, --out <file>', 'write it there: .html, .pdf and .json as such, else as text')
    .addOption(new Option('-f, --format <format>', 'whatever the file is called').choices(FORMATS))
    .addOption(new Option('--json', 'print it as JSON').conflicts(['out', 'format']))
    .option('-k, --key <key>', 'API key with REPORTS_READ')
    .action(preview)
  group
    .command('send')
    .description('mail the report of the last whole period, or the newest incident, to one address')
    .argument('<subscription>', 'id from vedette report subscriptions')
    .requiredOption('--to <address>', 'a mail address')
    .option('-k, --key <key>', 'API key with REPORTS_WRITE')
    .action(send)
  group
    .command('subscriptions')
    .description('who gets which report when')
    .option('--json', 'print them as JSON')
    .option('-k, --key <key>', 'API key with REPORTS_READ')
    .action(subscriptions)
}
