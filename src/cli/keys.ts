import type { Command } from 'commander'

import { type Scope, SCOPES } from '../http/index.ts'
import { type ApiKey, type ApiKeys, createApiKeys } from '../store/index.ts'
import { day, json, note, out, table, time } from './print.ts'
import { withStores } from './stores.ts'
import { list, moment, wholeNumber } from './values.ts'

/** The keys as ClickHouse has them now. */
const withKeys = <T>(work: (keys: ApiKeys) => Promise<T>): Promise<T> =>
  withStores(async ({ clickhouse, redis, log }) => {
    const keys = createApiKeys({ clickhouse, redis, log, dataDir: undefined })
    try {
      await keys.start()
      await keys.refresh()
      return await work(keys)
    } finally {
      await keys.stop()
    }
  })

const stateOf = ({ revokedAt, expiresAt }: ApiKey): 'active' | 'expired' | 'revoked' =>
  revokedAt ? 'revoked' : expiresAt && expiresAt <= new Date() ? 'expired' : 'active'

interface CreateOptions {
  scope: string[]
  service?: string[]
  expires?: Date
  pointsPerHour?: number
  postsPerMinute?: number
  json?: true
}

const create = (name: string, options: CreateOptions): Promise<void> =>
  withKeys(async (keys) => {
    const { apiKey, secret } = await keys.create({
      name,
      scopes: options.scope.map((scope) => scope.toUpperCase() as Scope),
      services: options.service ?? null,
      expiresAt: options.expires ?? null,
      ...(options.pointsPerHour !== undefined && { pointsPerHour: options.pointsPerHour }),
      ...(options.postsPerMinute !== undefined && { postsPerMinute: options.postsPerMinute }),
      by: 'cli',
    })
    if (options.json) return json({ ...apiKey, state: stateOf(apiKey), secret })
    const services = apiKey.services ? `, services ${apiKey.services.join(', ')}` : ''
    const until = apiKey.expiresAt ? `until ${time(apiKey.expiresAt)}` : 'until it is revoked'
    note(`${apiKey.id} "${apiKey.name}" may ${apiKey.scopes.join(', ')}${services}, ${until}.`)
    note('Its secret is shown this once:')
    out(secret)
  })

const show = (options: { all?: true; json?: true }): Promise<void> =>
  withKeys(async (keys) => {
    const found = keys.list().filter((key) => options.all || stateOf(key) === 'active')
    if (options.json) return json(found.map((key) => ({ ...key, state: stateOf(key) })))
    if (found.length === 0) return note('There is no key; vedette keys create --help says how to make one.')
    table(
      found.map((key) => ({
        id: key.id,
        name: key.name,
        'begins with': key.prefix,
        scopes: key.scopes.join(' '),
        services: key.services?.join(' ') ?? 'all',
        ...(options.all && { state: stateOf(key) }),
        made: day(key.createdAt),
        expires: key.expiresAt ? time(key.expiresAt) : 'never',
        'last used': key.lastUsedAt ? day(key.lastUsedAt) : 'never',
      })),
    )
  })

const revoke = (ids: string[], options: { json?: true }): Promise<void> =>
  withKeys(async (keys) => {
    const revoked: ApiKey[] = []
    for (const id of ids) revoked.push(await keys.revoke(id, { by: 'cli' }))
    if (options.json) return json(revoked.map((key) => ({ ...key, state: stateOf(key) })))
    for (const key of revoked)
      out(`${key.id} "${key.name}" is revoked since ${time(key.revokedAt!)}; every process refuses it within 2 s.`)
  })

/** `vedette keys create|list|revoke` */
export const keys = (program: Command): void => {
  const group = program.command('keys').description('make, list and revoke API keys').helpCommand(false)

  group
    .command('create')
    .description('make a key; its secret is printed once, alone on stdout')
    .argument('<name>', 'what it is for, such as "shop, production"')
    .requiredOption('-s, --scope <scope>', `what it may do, several with commas: ${SCOPES.join(', ')}`, list)
    .option('--service <service>', 'bind it to a service, several with commas (default: all services)', list)
    .option('--expires <when>', 'such as 90d, 12h or 2027-01-31T12:00:00Z (default: never)', moment)
    .option('--points-per-hour <points>', 'what its GraphQL queries may cost in an hour (default: 100000)', wholeNumber)
    .option(
      '--posts-per-minute <posts>',
      'how many POSTs the collector takes in a minute (default: 300000)',
      wholeNumber,
    )
    .option('--json', 'print it as JSON, the secret included')
    .addHelpText(
      'after',
      '\nExample:\n  $ vedette keys create shop --scope COLLECT,DECIDE --service shop --expires 365d',
    )
    .action(create)

  group
    .command('list')
    .description('show the keys that are in force, oldest first')
    .option('--all', 'expired and revoked ones too')
    .option('--json', 'print them as JSON')
    .action(show)

  group
    .command('revoke')
    .description('end keys for good, in every process within 2 s')
    .argument('<id...>', 'such as key_4fY1pQ2hXc9z, from vedette keys list')
    .option('--json', 'print them as JSON')
    .action(revoke)
}
