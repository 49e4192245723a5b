import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, it } from 'vitest'

import { type App, startApp } from '../../src/app.ts'
import { raw } from '../../src/clickhouse/index.ts'
import { loadConfig } from '../../src/config.ts'
import { temporaryFolder } from '../support/app.ts'
import { silent } from '../support/clickhouse.ts'
import { type Outcome, vedette } from '../support/command.ts'

let home = ''
let dataDir = ''
let running: App | undefined
beforeAll(async () => {
  home = await temporaryFolder()
  dataDir = join(home, 'data')
})
afterAll(async () => {
  await running?.stop()
  await rm(home, { recursive: true, force: true })
})

/** With the embedded engine, as one who has set nothing. */
const start = async (): Promise<App> => (running = await startApp(loadConfig({ DATA_DIR: dataDir, PORT: '0' }), silent))
const stop = async (): Promise<void> => {
  await running?.stop()
  running = undefined
}
const command = (...args: readonly string[]): Promise<Outcome> => vedette(args, { DATA_DIR: dataDir })

const ask = async (app: App, key: string, query: string): Promise<any> => {
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: JSON.stringify({ query }),
  })
  const { data, errors } = (await response.json()) as { data: unknown; errors?: unknown }
  expect(errors).toBeUndefined()
  return data
}

/** As an API key reads it. */
const STATE = '{ viewer { apiKey { name } } blockList { nodes { id cidr reason createdAt } } }'

const rowsOf = async (app: App): Promise<unknown> =>
  (
    await app.clickhouse.query(
      raw("SELECT count() AS rows, sum(cityHash64(formatRowNoNewline('JSONEachRow', *))) AS sum FROM request_logs"),
    )
  ).rows

it('a data folder that was destroyed comes back from a back-up that was made beside the running service', async () => {
  const app = await start()
  const key = (await readFile(join(dataDir, 'admin-key'), 'utf8')).trim()
  await ask(
    app,
    key,
    'mutation { addBlockListEntry(input: { cidr: "203.0.113.0/24", action: BLOCK, reason: "scans" }) { entry { id } } }',
  )
  const posted = await fetch(`${app.url}/v1/requests`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: JSON.stringify(
      Array.from({ length: 50 }, (_, n) => ({ ip: `192.0.2.${n}`, method: 'GET', path: `/${n}\r\n"`, status: 200 })),
    ),
  })
  expect(posted.status).toBe(202)
  await expect.poll(() => rowsOf(app)).toMatchObject([{ rows: 50 }])
  await app.policies.save({ id: 'default', limit: 77 }, { by: 'test' })
  const state = { ...(await ask(app, key, STATE)), policies: app.policies.list() }
  const rows = await rowsOf(app)

  const folder = join(home, 'saved')
  const { exitCode, stdout, stderr } = await command('backup', folder, '--only', 'keys,policies,blocklist,logs')
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
  expect(stdout).toMatch(/^logs +request_logs +50 +[\d,]+$/m)
  expect(await command('restore', folder)).toMatchObject({
    exitCode: 1,
    stderr: expect.stringMatching(/^vedette: a service runs at .+; stop it first\n$/),
  })

  await stop()
  await rm(dataDir, { recursive: true })
  expect(await command('restore', folder)).toMatchObject({ exitCode: 0, stderr: '' })
  const again = await start()
  expect(state.blockList.nodes).toHaveLength(1)
  // The key authenticates, and says what there is.
  expect({ ...(await ask(again, key, STATE)), policies: again.policies.list() }).toEqual(state)
  expect(await rowsOf(again)).toEqual(rows)
  await stop()
}, 90_000)
