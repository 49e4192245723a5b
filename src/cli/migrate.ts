import type { Command } from 'commander'

import { applyRetention, createClickHouse, migrate as bringUp } from '../clickhouse/index.ts'
import { loadConfig } from '../config.ts'
import { json, out } from './print.ts'
import { commandLog } from './stores.ts'

/** `vedette migrate` */
export const migrate = (program: Command): void => {
  program
    .command('migrate')
    .description('bring the tables up to this version and set RETENTION_DAYS; serve does the same when it starts')
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
        const retentionChanged = await applyRetention(clickhouse, config.retentionDays)
        if (options.json) return json({ applied, retentionDays: config.retentionDays, retentionChanged })
        for (const name of applied) out(`${name} applied`)
        if (retentionChanged) out(`request logs and decisions are now kept for ${config.retentionDays} days`)
        if (applied.length === 0 && !retentionChanged) out('nothing to do')
      } finally {
        await clickhouse.close()
      }
    })
}
