import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'

import { temporaryFolder } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { expectStored, logLines, serviceBeside, textOf } from './import-support.ts'

const database = testDatabase()
const beside = serviceBeside(database)
let folder = ''
beforeAll(async () => {
  folder = await temporaryFolder()
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const follow = (path: string, service: string): ChildProcess => {
  const child = beside.spawnImport(path, '--service', service, '--follow', '--json')
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

/** By Ctrl-C, as a user does. */
const end = async (child: ChildProcess) => {
  child.kill('SIGINT')
  const [stdout, stderr, [exitCode]] = await Promise.all([
    text(child.stdout!),
    text(child.stderr!),
    once(child, 'close'),
  ])
  return { exitCode, stderr, ...JSON.parse(stdout) }
}

it('follows a file as it grows, through rotation, until Ctrl-C, and goes on from there when it is started again', async () => {
  const path = join(folder, 'access.log')
  const lines = logLines(1000, 0, 'follow')
  const upTo = (count: number): Promise<void> => expectStored(database.clickhouse, 'follow', lines.slice(0, count))
  await writeFile(path, textOf(lines.slice(0, 300)))
  const first = follow(path, 'follow')
  await upTo(300)
  // A line that comes in two parts is one.
  const [begins, ends] = [lines[300]!.slice(0, 40), `${lines[300]!.slice(40)}\n`]
  await appendFile(path, begins)
  await appendFile(path, ends)
  await upTo(301)

  // As logrotate and nginx do it: the server goes on writing into the renamed file until it opens the new one.
  await rename(path, `${path}.1`)
  await appendFile(`${path}.1`, textOf(lines.slice(301, 400)))
  await writeFile(path, '')
  await appendFile(`${path}.1`, textOf(lines.slice(400, 500)))
  await upTo(500)
  await appendFile(path, textOf(lines.slice(500, 501)))
  await upTo(501)
  await appendFile(`${path}.1`, textOf(lines.slice(501, 510)))
  await appendFile(path, textOf(lines.slice(510, 700)))
  await upTo(700)
  expect(await end(first)).toMatchObject({ exitCode: 0, stderr: '', accepted: 700, rejected: 0, leftBytes: 0 })

  await appendFile(path, textOf(lines.slice(700, 900)))
  const second = follow(path, 'follow')
  await upTo(900)
  await appendFile(path, textOf(lines.slice(900)))
  await upTo(1000)
  expect(await end(second)).toMatchObject({ exitCode: 0, accepted: 300 })
  expect(JSON.parse((await beside.importLog(`${path}.1`, '-s', 'follow', '--json')).stdout)).toMatchObject({
    accepted: 0,
  })
})

it('waits for a file that is not there yet, and begins anew when it is cut off under its name', async () => {
  const path = join(folder, 'later.log')
  const lines = logLines(60, 0, 'later')
  const child = follow(path, 'later')
  const [said] = (await once(child.stderr!, 'data')) as [Buffer]
  expect(String(said)).toBe(`waiting: there is no ${path} yet\n`)
  await writeFile(path, textOf(lines.slice(0, 40)))
  await expectStored(database.clickhouse, 'later', lines.slice(0, 40))
  await truncate(path)
  await appendFile(path, textOf(lines.slice(40)))
  await expectStored(database.clickhouse, 'later', lines)
  expect(await end(child)).toMatchObject({ exitCode: 0, accepted: 60 })
})
