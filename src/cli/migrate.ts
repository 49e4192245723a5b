import type { Command } from 'commander'

import { createClickHouse, migrate as bringUp } from '../clickhouse/index.ts'
import { loadConfig } from '../config.ts'
import { applyRetention, retentionOf } from '../retention/index.ts'
import { json, out } from './print.ts'
import { commandLog } from './stores.ts'

/** `vedette migrate` */
export const migrate = (program: Command): void => {
  program
    .command('migrate')
    .description(
      'bring the tables up to this version and set how long rows are kept; serve does the same when it starts',
    )
    .option('--json', 'print it as JSON')
    .action(async (options: { json?: true }) => {
      const config = loadConfig()
      const log = commandLog(config)
      const clickhouse = await createClickHouse({
        url: config.clickhouseUrl,
        dataDir: config.dataDir,
        log,
        role: 'attach',
      })
      try {
        const { applied } = await bringUp(clickhouse, { log })
        const changed = await applyRetention(clickhouse, retentionOf(config))
        if (options.json)
          return json({ applied, retentionDays: config.retentionDays, retentionChanged: changed.length > 0 })
        for (const name of applied) out(`${name} applied`)
        for (const line of changed) out(line)
        if (applied.length === 0 && changed.length === 0) out('nothing to do')
      } finally {
        await clickhouse.close()
      }
    })
}
