import { createInterface } from 'node:readline/promises'

import type { Command } from 'commander'

import { type Address, createBlockList, parseAddress } from '../ratelimit/index.ts'
import { countRowsOf, forget as forgetRows, type RowsByTable } from '../retention/index.ts'
import { forgetInNotices } from '../reports/index.ts'
import { loadSecret } from '../secret.ts'
import { createSecurityLog } from '../securitylog/index.ts'
import { CliError } from './errors.ts'
import { linesInSecurityLog, mailsInOutbox, rowsInSpool } from './forget-disk.ts'
import { json, note, out, table } from './print.ts'
import { type Stores, withStores } from './stores.ts'

interface ForgetCommandOptions {
  yes?: true
  blocks?: true
  json?: true
}

/** Entries of the block list for the address itself; with `remove` they end. */
const entriesOf = async (
  { config, clickhouse, redis, log }: Stores,
  { text, counted }: Address,
  remove: boolean,
): Promise<{ id: string; cidr: string }[]> => {
  const securityLog = createSecurityLog({ dataDir: config.dataDir, log })
  const blockList = createBlockList({ clickhouse, redis, log, dataDir: undefined, trustedProxies: [], securityLog })
  try {
    await blockList.start()
    await blockList.refresh()
    const own = blockList.active().filter(({ cidr }) => cidr === text || cidr === counted)
    if (remove) for (const { id } of own) await blockList.remove(id, { by: 'cli', reason: 'forgotten' })
    return own.map(({ id, cidr }) => ({ id, cidr }))
  } finally {
    await blockList.stop()
    await securityLog.stop()
  }
}

const sumOf = (rows: RowsByTable): number => Object.values(rows).reduce((sum, count) => sum + count, 0)

const asked = async (question: string): Promise<boolean> => {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(?:es)?$/i.test((await terminal.question(question)).trim())
  } finally {
    terminal.close()
  }
}

const forget = (given: string, options: ForgetCommandOptions): Promise<void> => {
  const address = parseAddress(given)
  if (!address)
    throw new CliError(`${JSON.stringify(given)} is not an address; give one, IPv4 or IPv6, without a length`, 2)
  if (address.text === '::')
    throw new CliError(':: stands for addresses that were not told, and cannot be forgotten', 2)
  return withStores(async (stores) => {
    const { config, clickhouse } = stores
    const hashes = config.anonymiseAfterDays !== undefined && config.anonymiseBy === 'hash'
    const secret = hashes || config.secret !== undefined ? await loadSecret(config.dataDir, config.secret) : undefined
    if (process.stdin.isTTY && !options.yes) {
      const rows = sumOf(await countRowsOf(clickhouse, address, { secret }))
      if (!(await asked(`Delete ${rows.toLocaleString('en-US')} rows of ${address.text} for good? [y/N] `)))
        throw new CliError('nothing was deleted')
    }
    await forgetInNotices(stores, address)
    const deleted = await forgetRows(clickhouse, address, { secret })
    const entries = await entriesOf(stores, address, options.blocks ?? false)
    const inSpool = await rowsInSpool(config.dataDir, address.text)
    const inSecurityLog = await linesInSecurityLog(config.dataDir, address.text)
    const inOutbox = await mailsInOutbox(config.dataDir, address)
    if (options.json)
      return json({
        address: address.text,
        counted: address.counted,
        deleted,
        blockListEntries: { ids: entries.map(({ id }) => id), removed: options.blocks ?? false },
        inSpool,
        inSecurityLog,
        inOutbox,
      })
    const rows = Object.entries(deleted).map(([name, count]) => ({ table: name, deleted: count }))
    if (rows.length === 0) out(`there is nothing of ${address.text}`)
    else table(rows)
    for (const { id, cidr } of entries)
      note(
        options.blocks
          ? `${id} ${cidr} is off the block list.`
          : `${id} ${cidr} stays on the block list; --blocks takes it off.`,
      )
    if (inSpool > 0)
      note(
        `${inSpool} rows of it wait in ${config.dataDir}/spool (in quarantine too); once they are stored, run this again.`,
      )
    if (inSecurityLog > 0) note(`${inSecurityLog} lines of ${config.dataDir}/security.log name it and stay.`)
    if (inOutbox > 0) note(`${inOutbox} mails in ${config.dataDir}/outbox name it and stay.`)
  })
}

/** `vedette forget` */
export const forgetAddress = (program: Command): void => {
  program
    .command('forget')
    .description(
      'delete all that is stored of an address: requests, decisions, summaries, findings, verdicts, incidents',
    )
    .argument('<ip>', 'IPv4 or IPv6; of IPv6 the address itself, and summaries and findings of its /64')
    .option('-y, --yes', 'do not ask (without a terminal nobody is asked)')
    .option('--blocks', 'also take it off the block list')
    .option('--json', 'print what was deleted, by table, as JSON')
    .addHelpText('after', '\nExample:\n  $ vedette forget 203.0.113.7 --yes')
    .action(forget)
}
