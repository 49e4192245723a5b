import { existsSync } from 'node:fs'

import { type Command, InvalidArgumentError } from 'commander'

import { loadConfig } from '../../config.ts'
import { parsePrefix, type Prefix } from '../../ratelimit/index.ts'
import { SECURITY_EVENTS, securityLogFiles } from '../../securitylog/index.ts'
import { CliError } from '../errors.ts'
import { note, out } from '../print.ts'
import { stopSignal } from '../serve.ts'
import { ago, list, wholeNumber } from '../values.ts'
import { createReader, type Entry } from './entry.ts'
import { readLog } from './files.ts'
import { createText } from './text.ts'

interface Options {
  security?: true
  follow?: true
  since?: Date
  lines?: number
  event?: string[]
  ip?: Prefix
  json?: true
}

/** As many as a screen or two hold; before what follows, a few to see that it is the right log. */
const LINES = 100
const LINES_BEFORE_FOLLOWING = 10
/** Lines whose columns are made to fit before the first is printed. */
const MEASURED = 1_000

const prefix = (given: string): Prefix => {
  const parsed = parsePrefix(given)
  if (!parsed) throw new InvalidArgumentError('Allowed are an address or a CIDR, such as 203.0.113.0/24.')
  return parsed
}

const events = (given: string, before?: readonly string[]): string[] => {
  const chosen = list(given, before)
  for (const event of chosen)
    if (!SECURITY_EVENTS.some((known) => known === event))
      throw new InvalidArgumentError(`Allowed are ${SECURITY_EVENTS.join(', ')}.`)
  return chosen
}

const countOf = ({ lines, since, follow }: Options): number =>
  lines ?? (since ? Infinity : follow ? LINES_BEFORE_FOLLOWING : LINES)

const printLines = async (entries: AsyncIterable<Entry>): Promise<void> => {
  for await (const { line } of entries) out(line)
}

/** @param ahead how many are waited for before the first is printed */
const printText = async (entries: AsyncIterable<Entry>, ahead: number): Promise<void> => {
  const text = createText()
  const held: Entry[] = []
  const release = (): void => {
    for (const entry of held.splice(0)) out(text.line(entry))
  }
  let measured = 0
  for await (const entry of entries) {
    text.measure(entry)
    held.push(entry)
    if (++measured > ahead) release()
  }
  release()
}

const show = async (options: Options): Promise<void> => {
  if (!options.security)
    throw new CliError(
      'add --security for the security log; the log of requests is asked by GraphQL, as requestLogs at /graphql',
      2,
    )
  const files = securityLogFiles(loadConfig().dataDir)
  const following = new AbortController()
  if (options.follow) void stopSignal().then(() => following.abort())
  if (!files.some((path) => existsSync(path)))
    note(options.follow ? `waiting: there is no ${files[0]} yet` : `there is no ${files[0]} yet: nothing has happened`)
  const since = options.since?.getTime()
  const read = createReader({ since, events: options.event && new Set(options.event), prefix: options.ip })
  const entries = readLog(files, {
    read,
    count: countOf(options),
    ...(since !== undefined && { since }),
    ...(options.follow && { following: following.signal }),
  })
  await (options.json ? printLines(entries) : printText(entries, options.follow ? 0 : MEASURED))
}

/** `vedette logs --security` */
export const logs = (program: Command): void => {
  program
    .command('logs')
    .description('show the security log: limits, blocks, refused keys, changes of block list and policies')
    .option('--security', 'say that it is the security log you mean')
    .option('-f, --follow', 'go on as it is written, through rotation, until Ctrl-C')
    .option('--since <when>', 'such as 30m, 1h, 7d or 2027-01-31T12:00:00Z; rotated files are read too', ago)
    .option(
      '-n, --lines <count>',
      `no more than so many of the newest (default: ${LINES}; ${LINES_BEFORE_FOLLOWING} with --follow; all with --since)`,
      wholeNumber,
    )
    .option('--event <event>', `only these, several with commas: ${SECURITY_EVENTS.join(', ')}`, events)
    .option('--ip <cidr>', 'only what has to do with this address or CIDR', prefix)
    .option('--json', 'print lines of JSON, as they stand in DATA_DIR/security.log')
    .addHelpText(
      'after',
      '\nExample:\n  $ vedette logs --security --follow --event limited,blocked --ip 203.0.113.0/24',
    )
    .action(show)
}
