import { type Command, InvalidArgumentError } from 'commander'

import { backUp, BackupError, type BackupFile, type Part, PARTS } from '../backup/index.ts'
import { CliError } from './errors.ts'
import { json, out, table } from './print.ts'
import { withStores } from './stores.ts'
import { list } from './values.ts'

export const parts = (given: string, before: readonly Part[] = []): Part[] =>
  list(given, before).map((name) => {
    const part = PARTS.find((part) => part === name)
    if (part) return part
    throw new InvalidArgumentError(`Allowed are ${PARTS.join(', ')}.`)
  })

/** What stands in the way is for the operator to see to, not a fault. */
export const asCliError = (error: unknown): never => {
  throw error instanceof BackupError ? new CliError(error.message, 1, error) : error
}

export const printFiles = (files: readonly BackupFile[]): void =>
  table(files.map(({ part, table, rows, bytes }) => ({ part, table, rows, bytes })))

/** `vedette backup` */
export const backup = (program: Command): void => {
  program
    .command('backup')
    .description('write keys, policies, findings, logs and all else to a new folder; a service may run meanwhile')
    .argument('<folder>', 'a new folder; it appears when the back-up is whole')
    .option('--only <parts>', `these parts only, with commas: ${PARTS.join(', ')}`, parts)
    .option('--json', 'print the manifest')
    .addHelpText(
      'after',
      `
Each table is as it was at one moment, and all within milliseconds. Rows still in the spool are not in it, nor is the first
key in clear text (DATA_DIR/admin-key). With all parts it holds DATA_DIR/secret: keep it as safe as that folder.`,
    )
    .action(async (folder: string, options: { only?: Part[]; json?: true }) => {
      await withStores(async ({ config: { dataDir }, clickhouse, redis, log }) => {
        const manifest = await backUp({ clickhouse, redis, dataDir, log }, folder, { only: options.only })
        if (options.json) return json(manifest)
        printFiles(manifest.files)
        out(`whole, in ${folder}, as of ${manifest.takenAt}`)
      }).catch(asCliError)
    })
}
