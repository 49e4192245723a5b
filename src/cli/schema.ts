import { writeFile } from 'node:fs/promises'

import type { Command } from 'commander'

/** `vedette schema [--out FILE]`: the GraphQL API as SDL, on stdout or into a file. */
export const schema = (program: Command): void => {
  program
    .command('schema')
    .description('print the schema of the GraphQL API (SDL)')
    .option('--out <file>', 'write it there instead')
    .action(async ({ out }: { out?: string }) => {
      // Loaded here, so that other commands start without GraphQL.
      const { printSchema } = await import('../graphql/index.ts')
      if (out === undefined) process.stdout.write(printSchema())
      else await writeFile(out, printSchema())
    })
}
