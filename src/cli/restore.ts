import type { Command } from 'commander'

import { type Part, PARTS, readManifest, restore as putBack } from '../backup/index.ts'
import { loadConfig } from '../config.ts'
import { asCliError, parts, printFiles } from './backup.ts'
import { CliError } from './errors.ts'
import { out } from './print.ts'
import { findService } from './service.ts'
import { withStores } from './stores.ts'

/** `vedette restore` */
export const restore = (program: Command): void => {
  program
    .command('restore')
    .description('put back what `vedette backup` wrote; every service on this store must be stopped')
    .argument('<folder>', 'a folder that backup or the job of that name wrote')
    .option('--only <parts>', `these parts only, with commas: ${PARTS.join(', ')}`, parts)
    .option('--yes', 'replace what is there')
    .action(async (folder: string, options: { only?: Part[]; yes?: true }) => {
      const url = await findService(loadConfig())
      if (url !== undefined)
        throw new CliError(`a service runs at ${url}, and would write what is being replaced; stop it first`)
      // Before an engine is started for nothing.
      await readManifest(folder).catch(asCliError)
      await withStores(async ({ config: { dataDir }, clickhouse, redis, log }) => {
        const files = await putBack({ clickhouse, redis, dataDir, log }, folder, {
          only: options.only,
          replace: options.yes,
        })
        printFiles(files)
        out(`restored from ${folder}; rows and checksums are those of the back-up`)
      }).catch(asCliError)
    })
}
