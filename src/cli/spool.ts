import type { Command } from 'commander'

import { loadConfig } from '../config.ts'
import { listQuarantine } from '../spool/index.ts'
import { CliError } from './errors.ts'
import { json, out, table } from './print.ts'
import { apiKeyFor, findService } from './service.ts'

const list = async (options: { json?: true }): Promise<void> => {
  const entries = await listQuarantine(loadConfig().dataDir)
  if (options.json) return json(entries)
  if (entries.length === 0) return out('nothing is in quarantine')
  table(
    entries.map(({ id, table: name, rows, at, reason }) => ({
      id,
      table: name,
      rows,
      since: at,
      reason: reason.slice(0, 120),
    })),
  )
}

const replay = async (ids: string[]): Promise<void> => {
  const config = loadConfig()
  const url = await findService(config)
  if (url === undefined)
    throw new CliError(`no service runs on ${config.dataDir}; start it with vedette serve, then replay`)
  const key = await apiKeyFor(config, undefined)
  for (const id of ids) {
    const response = await fetch(`${url}/v1/spool/replay/${encodeURIComponent(id)}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}` },
    })
    if (!response.ok)
      throw new CliError(`${id}: ${((await response.json()) as { detail?: string }).detail ?? response.status}`)
    out(`${id} is on its way again`)
  }
}

/** `vedette spool quarantine|replay` */
export const spool = (program: Command): void => {
  const group = program.command('spool').description('segments that ClickHouse refused').helpCommand(false)
  group
    .command('quarantine')
    .description('list them, with the reason')
    .option('--json', 'print them as JSON')
    .action(list)
  group
    .command('replay')
    .description('send them again, once the reason is mended')
    .argument('<id...>', 'from vedette spool quarantine')
    .action(replay)
}
