import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { Job } from '../../src/jobs/index.ts'
import { testGraphql } from '../graphql/support.ts'
import { temporaryFolder } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { type Outcome, vedette } from '../support/command.ts'

const sweep: Job = {
  name: 'sweep',
  description: 'Sweeps the yard.',
  windowSeconds: 3600,
  settleSeconds: 0,
  catchUp: 'latest',
  run: async ({ window }) => {
    if (window.from.getTime() === Date.UTC(2026, 0, 1)) throw new Error('snow')
    return { rowsRead: 7, rowsWritten: 3 }
  },
}

const database = testDatabase()
const api = testGraphql(database, undefined, { jobs: () => [sweep] })
const folders: string[] = []
let env: Record<string, string> = {}
beforeAll(async () => {
  folders.push(await temporaryFolder(), await temporaryFolder())
  // As a service that runs there leaves it.
  await writeFile(join(folders[0]!, 'service.json'), JSON.stringify({ url: api.url }))
  env = { DATA_DIR: folders[0]!, VEDETTE_API_KEY: await api.key(['ADMIN']) }
})
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

const jobs = (...args: string[]): Promise<Outcome> => vedette(['jobs', ...args], env)

describe('beside a service', () => {
  it('runs a job for windows of the past, and says of each what came of it', async () => {
    const done = await jobs('run', 'sweep', '--window', '2026-11-20T10:00:00Z/2026-11-20T12:00:00Z')
    expect(done).toMatchObject({ exitCode: 0, stderr: '' })
    expect(done.stdout).toMatch(/^ID +JOB +WINDOW +STATUS +ATTEMPT +BY +SECONDS +READ +WRITTEN +ERROR\n/)
    expect(done.stdout).toMatch(
      /^run_\d+ +sweep +2026-11-20 10:00 UTC +SUCCEEDED +1 +key_\w+ +\d\.\d +7 +3\nrun_\d+ +sweep +2026-11-20 11:00 UTC +SUCCEEDED .*\n2 of 2 done\n$/m,
    )
    const again = JSON.parse((await jobs('run', 'sweep', '-w', '2026-11-20T10:30:00Z', '--json')).stdout)
    expect(again).toMatchObject([{ status: 'SUCCEEDED', attempt: 2, windowFrom: '2026-11-20T10:00:00.000Z' }])
  })

  it('fails with the run, and shows why', async () => {
    const failed = await jobs('run', 'sweep', '-w', '2026-01-01')
    expect(failed.exitCode).toBe(1)
    expect(failed.stdout).toContain('snow; it is tried again at')
    const runs = JSON.parse((await jobs('runs', '--status', 'failed', '--json')).stdout)
    expect(runs).toMatchObject([{ job: 'sweep', error: expect.stringContaining('snow') }])
  })

  it('lists jobs and how far they have got', async () => {
    const list = await jobs('list')
    expect(list).toMatchObject({ exitCode: 0, stderr: '' })
    expect(list.stdout).toMatch(
      /^JOB +EVERY +LAST RUN +LAST SUCCESS +DONE UNTIL +NEXT +DOES\nsweep +1h +\w+ +2\d{3}-.* UTC +Sweeps the yard\.\n$/,
    )
    const [runs] = JSON.parse((await jobs('runs', '-n', '1', '--json')).stdout)
    expect(runs.id).toMatch(/^run_/)
  })

  it.each([
    [1, ['run', 'hourly'], 'vedette: there is no job "hourly"; there are: sweep\n'],
    [2, ['run', 'sweep', '-w', '2099-01-01'], /^vedette: windowFrom: 2099-01-01T00:00:00.000Z is yet to come/],
    [2, ['run', 'sweep', '-w', 'a/b/c'], /Allowed is FROM or FROM\/TO; see vedette jobs run --help\n$/],
    [2, ['runs', '-s', 'lost'], /Allowed choices are queued, running, succeeded, failed, skipped/],
  ])('ends with %i and one line for %j', async (exitCode, args, line) => {
    const outcome = await jobs(...args)
    expect(outcome).toMatchObject({ exitCode, stdout: '' })
    expect(outcome.stderr).toMatch(line)
  })
})

it('does without a service: it reads the records itself', async () => {
  const alone = { DATA_DIR: folders[1]!, CLICKHOUSE_URL: database.url }
  const runs = await vedette(['jobs', 'runs', '--job', 'sweep', '--json'], alone)
  expect(runs).toMatchObject({ exitCode: 0, stderr: '' })
  expect(JSON.parse(runs.stdout).length).toBeGreaterThan(3)
  const none = await vedette(['jobs', 'run', 'nothing'], alone)
  expect(none).toMatchObject({ exitCode: 1, stdout: '' })
  expect(none.stderr).toMatch(/^vedette: there is no job "nothing"; there are: /)
})
