import type { Command } from 'commander'

import type { App } from '../app.ts'
import { type Config, loadConfig } from '../config.ts'
import { createLog, type Log } from '../http/index.ts'
import { note } from './print.ts'

/** What stops later than this is cut: systemd and Docker would do it no less hard. The spool keeps what was not flushed. */
const STOP_WITHIN_MS = 25_000

/** Resolves at SIGINT or SIGTERM. A second one ends the process at once. */
export const stopSignal = (): Promise<NodeJS.Signals> =>
  new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        resolve(signal)
        process.once(signal, () => process.exit(signal === 'SIGINT' ? 130 : 143))
      })
    }
  })

/** The whole service takes 0.5 s to load, so only commands that start it do. */
export const startApp = async (config: Config, log: Log): Promise<App> =>
  await (await import('../app.ts')).startApp(config, log)

export const stopWithin = async (app: App, log: Log): Promise<void> => {
  const hard = setTimeout(() => {
    log.error(`not stopped after ${STOP_WITHIN_MS / 1000} s; what is in the spool goes on at the next start`)
    process.exit(1)
  }, STOP_WITHIN_MS)
  await app.stop()
  clearTimeout(hard)
}

/** An error that nobody expected leaves the state of the process unknown: better a restart, for which the spool is made. */
const dieOnUnexpected = (log: Log): void => {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      log.fatal({ err: error }, 'an unexpected error; the process ends and its supervisor should start it again')
      process.exit(1)
    })
  }
}

export const announce = (app: App, config: Config): void => {
  if (app.firstAdminKey === undefined) return
  note(`The first API key, with scope ADMIN, is shown this once (and kept in ${config.dataDir}/admin-key):`)
  note(`  ${app.firstAdminKey}`)
}

/** `vedette serve` */
export const serve = (program: Command): void => {
  program
    .command('serve')
    .description('run the service until SIGINT or SIGTERM')
    .action(async () => {
      const config = loadConfig()
      const log = createLog(config.logLevel)
      dieOnUnexpected(log)
      const stopped = stopSignal()
      const app = await startApp(config, log)
      announce(app, config)
      log.info({ signal: await stopped }, 'stopping')
      await stopWithin(app, log)
      log.info('stopped')
    })
}
