import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { type Command, Option } from 'commander'

import { type Config, loadConfig } from '../config.ts'
import {
  BLOCK_LIST_ENTRY_ID,
  BLOCK_LIST_FORMATS,
  type BlockAction,
  type BlockList,
  type BlockListEntry,
  type BlockListFormat,
  checkNewEntry,
  createBlockList,
  createRefusal,
  formatBlockList,
  isWithin,
  type NewBlockListEntry,
  parseAddress,
  parsePrefix,
} from '../ratelimit/index.ts'
import { createSecurityLog } from '../securitylog/index.ts'
import { StoreError } from '../store/index.ts'
import { readBlockFile } from './block-file.ts'
import { CliError } from './errors.ts'
import { day, json, note, out, table, time } from './print.ts'
import { withStores } from './stores.ts'
import { moment } from './values.ts'

/** Bad lines that are named one by one. */
const MOST_NAMED = 20

/** Ours, and those of the service that runs on this data folder. */
const trustedProxiesOf = async ({ dataDir, trustedProxies }: Config): Promise<string[]> => {
  const place = await readFile(join(dataDir, 'service.json'), 'utf8').catch(() => '{}')
  const theirs = (JSON.parse(place) as { trustedProxies?: string[] }).trustedProxies ?? []
  return [...new Set([...trustedProxies, ...theirs])]
}

/** The list as ClickHouse has it now. */
const withBlockList = <T>(work: (blockList: BlockList) => Promise<T>): Promise<T> =>
  withStores(async ({ config, clickhouse, redis, log }) => {
    const securityLog = createSecurityLog({ dataDir: config.dataDir, log })
    const trustedProxies = await trustedProxiesOf(config)
    const blockList = createBlockList({ clickhouse, redis, log, dataDir: undefined, trustedProxies, securityLog })
    try {
      await blockList.start()
      await blockList.refresh()
      return await work(blockList)
    } finally {
      await blockList.stop()
      await securityLog.stop()
    }
  })

const stateOf = ({ removedAt, expiresAt }: BlockListEntry): 'active' | 'expired' | 'removed' =>
  removedAt ? 'removed' : expiresAt && expiresAt <= new Date() ? 'expired' : 'active'

const asJson = (entry: BlockListEntry) => ({ ...entry, prefix: undefined, state: stateOf(entry) })

const DONE: Record<BlockAction, string> = {
  BLOCK: 'is blocked',
  ALLOW: 'is allowed',
  CHALLENGE: 'is challenged',
  RATE_LIMIT: 'is held to its limits',
}

interface BlockOptions {
  file?: string
  for?: Date
  until?: Date
  reason?: string
  action: string
  force?: true
  json?: true
}

/** What is to be added, each with the place it comes from. @throws {CliError} */
const wanted = async (
  cidrs: readonly string[],
  options: BlockOptions,
): Promise<[place: string, NewBlockListEntry][]> => {
  const common = {
    action: options.action.toUpperCase().replace('-', '_') as BlockAction,
    expiresAt: options.for ?? options.until ?? null,
    force: options.force ?? false,
  }
  const given = cidrs.map((cidr): [string, NewBlockListEntry] => [
    cidr,
    { ...common, cidr, reason: options.reason ?? 'by hand' },
  ])
  if (options.file === undefined) return given
  const { file } = options
  const name = file === '-' ? 'stdin' : file
  const lines = await readBlockFile(file)
  return [
    ...given,
    ...lines.map(({ number, cidr, reason }): [string, NewBlockListEntry] => [
      `${name}:${number}`,
      { ...common, cidr, reason: reason ?? options.reason ?? `from ${name}` },
    ]),
  ]
}

/** Says of each one that cannot be what is wrong with it. @throws {CliError} then nothing is to be written */
const checkAll = async (all: readonly [place: string, NewBlockListEntry][]): Promise<void> => {
  const refusal = createRefusal(await trustedProxiesOf(loadConfig()))
  const wrong = all.flatMap(([place, entry]) => {
    try {
      checkNewEntry(entry, refusal)
      return []
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      return [`${place}: ${error.message.replace(/set force$/, 'give --force')}`]
    }
  })
  if (wrong.length === 0) return
  if (wrong.length === 1) throw new CliError(`${wrong[0]}; nothing was written`, 2)
  for (const line of wrong.slice(0, MOST_NAMED)) note(line)
  if (wrong.length > MOST_NAMED) note(`… and ${wrong.length - MOST_NAMED} more`)
  throw new CliError(`${wrong.length} of ${all.length} cannot be; nothing was written`, 2)
}

const block = async (cidrs: string[], options: BlockOptions): Promise<void> => {
  const all = await wanted(cidrs, options)
  if (all.length === 0) throw new CliError('there is no CIDR; give some, or --file with one a line', 2)
  await checkAll(all)
  const entries = await withBlockList(async (blockList) => {
    const [first, ...others] = all.map(([, entry]) => entry)
    return others.length === 0
      ? [await blockList.add(first!, { by: 'cli' })]
      : await blockList.addMany([first!, ...others], { by: 'cli' })
  })
  if (options.json) return json(entries.map(asJson))
  const { action, expiresAt } = entries[0]!
  const until = expiresAt ? `until ${time(expiresAt)}` : 'until it is removed'
  if (options.file === undefined)
    for (const { id, cidr, reason } of entries) out(`${id} ${cidr} ${DONE[action]} ${until}: ${reason}`)
  else out(`${new Set(entries.map(({ id }) => id)).size} prefixes: each ${DONE[action]} ${until}`)
  note('Every process knows it within 2 s.')
}

/** The entries that one word of the command line means. @throws {CliError} */
const meant = (blockList: BlockList, given: string): BlockListEntry[] => {
  if (given.startsWith(BLOCK_LIST_ENTRY_ID)) {
    const entry = blockList.get(given)
    if (entry) return [entry]
    throw new CliError(
      `there is no entry ${JSON.stringify(given)} on the block list; vedette blocklist --all shows them`,
    )
  }
  const prefix = parsePrefix(given)
  if (!prefix)
    throw new CliError(`${JSON.stringify(given)} is neither an address, nor a CIDR, nor the ID of an entry`, 2)
  const active = blockList.active()
  const own = active.filter(({ cidr }) => cidr === prefix.cidr)
  const ending = own.filter(({ action }) => action !== 'ALLOW')
  if (ending.length > 0) return ending
  const [allowed] = own
  if (allowed) throw new CliError(`${prefix.cidr} is not blocked, but allowed; to end that, give its ID: ${allowed.id}`)
  const wider = active.find(
    (entry) => entry.action !== 'ALLOW' && entry.prefix.bits < prefix.bits && isWithin(prefix.address, entry.prefix),
  )
  throw new CliError(
    wider
      ? `${prefix.cidr} is not on the block list by itself: ${wider.cidr} (${wider.id}) holds it; end that, or let it pass with vedette block --action allow ${prefix.cidr}`
      : `${prefix.cidr} is not on the block list`,
  )
}

const unblock = (given: string[], options: { reason?: string; json?: true }): Promise<void> =>
  withBlockList(async (blockList) => {
    const entries = new Set(given.flatMap((one) => meant(blockList, one)))
    const removed: BlockListEntry[] = []
    for (const { id } of entries) removed.push(await blockList.remove(id, { by: 'cli', reason: options.reason }))
    if (options.json) return json(removed.map(asJson))
    for (const { id, cidr, action, removedAt } of removed)
      out(`${id} ${cidr} (${action}) is off the block list since ${time(removedAt!)}`)
    note('Every process knows it within 2 s.')
  })

interface ShowOptions {
  all?: true
  format?: BlockListFormat
  search?: string
  json?: true
}

const show = ({ all, format, search, ...options }: ShowOptions): Promise<void> => {
  const address = search === undefined ? undefined : parseAddress(search)
  if (search !== undefined && !address)
    throw new CliError(`--search is ${JSON.stringify(search)}; allowed is an IPv4 or IPv6 address`, 2)
  return withBlockList(async (blockList) => {
    if (format) return void process.stdout.write(formatBlockList(format, blockList.denied()))
    const found = (all ? blockList.list() : blockList.active()).filter(
      ({ prefix }) => !address || isWithin(address, prefix),
    )
    if (options.json) return json(found.map(asJson))
    if (found.length === 0)
      return note(address ? `Nothing on the block list holds ${address.text}.` : 'The block list is empty.')
    table(
      found.map((entry) => ({
        id: entry.id,
        cidr: entry.cidr,
        action: entry.action,
        source: entry.source,
        ...(all && { state: stateOf(entry) }),
        made: day(entry.createdAt),
        by: entry.createdBy,
        expires: entry.expiresAt ? time(entry.expiresAt) : 'never',
        reason: entry.reason,
      })),
    )
  })
}

/** `vedette block`, `vedette unblock`, `vedette blocklist` */
export const blockList = (program: Command): void => {
  program
    .command('block')
    .description('put addresses on the block list, in force in every process within 2 s')
    .argument('[cidr...]', 'addresses or CIDRs, IPv4 or IPv6')
    .option('-f, --file <file>', 'one CIDR a line, a reason behind it if you like, # begins a comment; - is stdin')
    .addOption(
      new Option('--for <time>', 'such as 24h, 30m, 90d (default: until it is removed)')
        .argParser(moment)
        .conflicts('until'),
    )
    .addOption(new Option('--until <time>', 'such as 2027-01-31T12:00:00Z').argParser(moment))
    .option('-r, --reason <text>', 'why, for those who look at the list later')
    .addOption(
      new Option('-a, --action <action>', 'what becomes of their requests')
        .choices(['block', 'allow', 'challenge', 'rate-limit'])
        .default('block'),
    )
    .option('--force', 'also private, loopback, … ranges, trusted proxies and very broad prefixes')
    .option('--json', 'print the entries as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ vedette block 203.0.113.7 2001:db8:bad::/48 --for 24h --reason "credential stuffing"',
    )
    .action(block)

  program
    .command('unblock')
    .description('take addresses off the block list')
    .argument(
      '<cidr-or-id...>',
      'a prefix as it is on the list (all of its entries but ALLOW end), or the ID of an entry',
    )
    .option('-r, --reason <text>', 'why, for those who look at it later')
    .option('--json', 'print the entries as JSON')
    .action(unblock)

  program
    .command('blocklist')
    .description('show what is on the block list, newest first')
    .option('--all', 'expired and removed entries too')
    .option('--search <ip>', 'only what holds this address')
    .addOption(
      new Option('--format <format>', 'what may be denied, less what is allowed, for other programs').choices(
        BLOCK_LIST_FORMATS,
      ),
    )
    .option('--json', 'print the entries as JSON')
    .action(show)
}
