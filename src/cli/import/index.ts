import { existsSync, statSync } from 'node:fs'
import { resolve } from 'node:path'

import { SingleBar } from 'cli-progress'
import { type Command, Option } from 'commander'

import { type Config, loadConfig } from '../../config.ts'
import { CliError } from '../errors.ts'
import { json, note, out } from '../print.ts'
import { apiKeyFor, findService } from '../service.ts'
import { startApp, stopSignal, stopWithin } from '../serve.ts'
import { commandLog } from '../stores.ts'
import { createCollectorClient } from './collector.ts'
import { follow } from './follow.ts'
import { createImport, type Summary } from './run.ts'

const FORMATS = {
  combined: '/v1/access-log',
  common: '/v1/access-log',
  'nginx-json': '/v1/access-log',
  ndjson: '/v1/requests',
}

interface Options {
  format: keyof typeof FORMATS
  service: string
  follow?: true
  url?: string
  key?: string
  json?: true
}

/** The running collector, or one of our own for as long as this takes. */
const withCollector = async <T>(
  config: Config,
  given: string | undefined,
  work: (url: string) => Promise<T>,
): Promise<T> => {
  const url = given?.replace(/\/+$/, '') ?? (await findService(config))
  if (url !== undefined) return await work(url)
  const log = commandLog(config)
  const app = await startApp({ ...config, host: '127.0.0.1', port: 0, roles: new Set(['collector']) }, log)
  try {
    return await work(app.url)
  } finally {
    await stopWithin(app, log)
  }
}

const count = (value: number): string => value.toLocaleString('en-US')

const report = (file: string, { accepted, rejected, skippedBytes, leftBytes }: Summary, seconds: number): void => {
  const before = skippedBytes > 0 ? `; ${count(skippedBytes)} bytes were in before` : ''
  const left = leftBytes > 0 ? `; an unfinished last line of ${count(leftBytes)} bytes is left for the next run` : ''
  out(
    `${file}: ${count(accepted)} rows taken, ${count(rejected)} lines refused in ${seconds.toFixed(1)} s${before}${left}`,
  )
}

const checkFile = (path: string, follow: boolean): void => {
  const there = existsSync(path)
  if (there && !statSync(path).isFile())
    throw new CliError(`${path} is no file; pipe what it gives into: vedette import -`, 2)
  if (!there && !follow) throw new CliError(`there is no file ${path}`, 2)
  if (!there) note(`waiting: there is no ${path} yet`)
}

const run = async (file: string, options: Options): Promise<void> => {
  if (options.follow && (file === '-' || file.endsWith('.gz')))
    throw new CliError('--follow needs a file that grows, not a stream or a .gz', 2)
  const path = resolve(file)
  if (file !== '-') checkFile(path, options.follow ?? false)
  const config = loadConfig()
  const started = performance.now()
  const stopping = new AbortController()
  if (options.follow) void stopSignal().then(() => stopping.abort())

  // A bar needs a terminal and an end: elsewhere the last line says it all.
  const bar =
    process.stderr.isTTY && !options.follow && !options.json
      ? new SingleBar({
          format: '{bar} {percentage} % · {value} of {total} bytes · {eta_formatted} left',
          hideCursor: true,
          stream: process.stderr,
        })
      : undefined
  let waiting = ''
  const summary = await withCollector(config, options.url, async (url) => {
    const client = createCollectorClient({
      url,
      key: await apiKeyFor(config, options.key),
      target: FORMATS[options.format],
      service: options.service,
      onWait: (reason) => {
        if (reason !== waiting) note(`waiting: ${reason}`)
        waiting = reason
      },
    })
    const work = createImport(
      client,
      {
        onProgress: (bytes, size) => {
          if (bar && !bar.isActive) bar.start(size ?? bytes, bytes)
          bar?.setTotal(Math.max(size ?? bytes, bytes))
          bar?.update(bytes)
        },
        onRefused: ({ line, message }) => note(`line ${line}: ${message}`),
      },
      stopping.signal,
    )
    if (file === '-') return await work.stream(process.stdin)
    return await (options.follow ? follow(path, work, stopping.signal) : work.file(path))
  }).finally(() => bar?.stop())
  const seconds = (performance.now() - started) / 1000
  if (options.json) json({ file, service: options.service, ...summary, seconds })
  else report(file, summary, seconds)
}

/** `vedette import` */
export const importFile = (program: Command): void => {
  program
    .command('import')
    .description('read an access log or NDJSON into the running service, or without one into its data folder')
    .argument('<file>', 'a log file, also as .gz, or - for standard input')
    .requiredOption('-s, --service <name>', 'the service whose log it is')
    .addOption(new Option('-f, --format <format>', 'what a line is').choices(Object.keys(FORMATS)).default('combined'))
    .option('--follow', 'go on as the file grows, through rotation, until Ctrl-C')
    .option('--url <url>', 'of the service (default: the one on DATA_DIR)')
    .option('--key <key>', 'an API key with scope COLLECT (default: VEDETTE_API_KEY, or the admin key in DATA_DIR)')
    .option('--json', 'print the outcome as JSON')
    .addHelpText(
      'after',
      `
A file is known for ever by how it begins: import it again, also under another name, and only what is new is read.
Lines that are no log lines are counted, and the first five shown.

Example:
  $ vedette import /var/log/nginx/access.log --service shop --follow`,
    )
    .action(run)
}
