import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, it } from 'vitest'

import { temporaryFolder } from '../support/app.ts'
import { type Outcome, vedette } from '../support/command.ts'

let home = ''
beforeAll(async () => {
  home = await temporaryFolder()
})
afterAll(() => rm(home, { recursive: true, force: true }))

const command = (...args: readonly string[]): Promise<Outcome> => vedette(args, { DATA_DIR: join(home, 'data') })

it('what is no back-up, no part, or a folder that is taken is named, with what to do', async () => {
  expect(await command('restore', home)).toMatchObject({
    exitCode: 1,
    stderr: `vedette: ${home} holds no manifest.json, so it is no whole back-up; choose another folder\n`,
  })
  expect(await command('backup', join(home, 'new'), '--only', 'keys,everything')).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('Allowed are keys, policies, blocklist'),
  })
  await writeFile(join(home, 'taken'), '')
  expect(await command('backup', home, '--only', 'keys')).toMatchObject({
    exitCode: 1,
    stderr: `vedette: ${home} is there already and not empty; name a new folder\n`,
  })
})
