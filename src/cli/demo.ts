import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Command } from 'commander'

import { loadConfig } from '../config.ts'
import { runDemo } from '../demo/index.ts'
import { createLog } from '../http/index.ts'
import { note } from './print.ts'
import { apiKeyFor } from './service.ts'
import { startApp, stopSignal, stopWithin } from './serve.ts'
import { wholeNumber } from './values.ts'

/** `vedette demo` */
export const demo = (program: Command): void => {
  program
    .command('demo')
    .description(
      'start the service on a folder of its own, send it a day of traffic with attacks in it, show what came of it, go on serving',
    )
    .option('--seed <number>', 'the same number makes the same day', wholeNumber, 1)
    .option('--requests <number>', 'about how many requests the day has', wholeNumber)
    .option('--exit', 'stop after the tables instead of serving until Ctrl-C')
    .action(async (options: { seed: number; requests?: number; exit?: true }) => {
      const folder = await mkdtemp(join(tmpdir(), 'vedette-demo-'))
      // The demo is about its tables; the log is for those who ask for it.
      const config = loadConfig({
        LOG_LEVEL: 'error',
        ...process.env,
        DATA_DIR: folder,
        CLICKHOUSE_URL: '',
        REDIS_URL: '',
      })
      const log = createLog(config.logLevel)
      const stopped = stopSignal()
      try {
        const app = await startApp(config, log)
        try {
          const key = await apiKeyFor(config, undefined)
          await runDemo({
            url: app.url,
            key,
            out: process.stdout,
            seed: options.seed,
            ...(options.requests !== undefined && { requests: options.requests }),
            attributions: app.geo.attributions(),
          })
          if (options.exit) return
          process.stdout.write(`API key    ${key}\n\nServing until Ctrl-C; the data of the demo go with it.\n`)
          await stopped
          note('stopping')
        } finally {
          await stopWithin(app, log)
        }
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    })
}
