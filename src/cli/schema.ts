import type { Command } from 'commander'

import { printSchema } from '../graphql/index.ts'

/** `vedette schema`: the SDL of the GraphQL API on stdout, as `schema/schema.graphql` keeps it. */
export const schema = (program: Command): void => {
  program
    .command('schema')
    .description('print the schema of the GraphQL API (SDL)')
    .action(() => {
      process.stdout.write(printSchema())
    })
}
