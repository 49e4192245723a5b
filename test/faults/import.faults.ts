import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, it } from 'vitest'

import { temporaryFolder } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { expectStored, logLines, serviceBeside, textOf } from '../cli/import-support.ts'

const database = testDatabase()
const beside = serviceBeside(database)
/** Some 6 MB: six pieces, so that there is a middle. */
const lines = logLines(50_000)
const size = Buffer.byteLength(textOf(lines))
let folder = ''
let path = ''
beforeAll(async () => {
  folder = await temporaryFolder()
  path = join(folder, 'large.log')
  await writeFile(path, textOf(lines))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const untilInTheMiddle = async (name: string): Promise<void> => {
  await expect.poll(() => beside.offset(name), { interval: 5, timeout: 20_000 }).toBeGreaterThan(0)
  expect(await beside.offset(name)).toBeLessThan(size)
}

it('an import that was killed in the middle and is run again has brought each line once', async () => {
  const child = beside.spawnImport(path, '--service', 'importer')
  const closed = once(child, 'close')
  await untilInTheMiddle('importer')
  child.kill('SIGKILL')
  expect(await closed).toEqual([null, 'SIGKILL'])
  const again = await beside.importLog(path, '--service', 'importer', '--json')
  const summary = JSON.parse(again.stdout)
  expect(summary).toMatchObject({ rejected: 0, skippedBytes: expect.any(Number) })
  expect(summary.skippedBytes).toBeGreaterThan(0)
  expect(summary.accepted).toBeLessThan(lines.length)
  await expectStored(database.clickhouse, 'importer', lines)
})

it('an import waits for a service that was killed in the middle, and brings each line once', async () => {
  const child = beside.spawnImport(path, '--service', 'service')
  const closed = once(child, 'close')
  await untilInTheMiddle('service')
  await beside.restart('SIGKILL')
  expect(await closed).toEqual([0, null])
  expect(await beside.offset('service')).toBe(size)
  await expectStored(database.clickhouse, 'service', lines)
})
