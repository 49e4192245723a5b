import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, copyFile, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { temporaryFolder } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { spawnVedette } from '../support/command.ts'
import { expectStored, logLines, serviceBeside, textOf } from './import-support.ts'

const database = testDatabase()
const beside = serviceBeside(database)
let folder = ''
beforeAll(async () => {
  folder = await temporaryFolder()
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const write = async (name: string, content: string | Buffer): Promise<string> => {
  const path = join(folder, name)
  await writeFile(path, content)
  return path
}
const importJson = async (path: string, service: string, ...args: string[]) => {
  const { exitCode, stdout, stderr } = await beside.importLog(path, '--service', service, '--json', ...args)
  return { exitCode, stderr, ...JSON.parse(stdout) }
}
/** Past the time in which a last line without an end may still be growing. */
const age = (path: string): Promise<void> => utimes(path, new Date(), new Date(Date.now() - 60_000))

const row = (n: number): string => JSON.stringify({ ip: '10.0.0.1', method: 'GET', path: `/${n}`, status: 200 })

describe('10,000 lines', () => {
  const lines = logLines(10_000)
  let path = ''
  beforeAll(async () => {
    path = await write('shop.log', textOf(lines))
  })

  it('become 10,000 equal rows, equal lines among them', async () => {
    const { exitCode, stdout, stderr } = await beside.importLog(path, '--service', 'shop')
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    expect(stdout).toMatch(/^\S+shop\.log: 10,000 rows taken, 0 lines refused in \d+\.\d s\n$/)
    await expectStored(database.clickhouse, 'shop', lines)
  })

  it('add nothing again: under the same name, another name, packed, and after restarts of the service', async () => {
    const copy = join(folder, 'shop.log.1')
    await copyFile(path, copy)
    const packed = await write('shop.log.2.gz', gzipSync(textOf(lines)))
    const disguised = await write('shop.log.3', gzipSync(textOf(lines)))
    const nothing = {
      exitCode: 0,
      accepted: 0,
      rejected: 0,
      bytes: 0,
      skippedBytes: textOf(lines).length,
      leftBytes: 0,
    }
    for (const again of [path, copy, packed, disguised])
      expect(await importJson(again, 'shop')).toMatchObject({ ...nothing, file: again })
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      await beside.restart(signal)
      expect(await importJson(copy, 'shop')).toMatchObject(nothing)
    }
    await expectStored(database.clickhouse, 'shop', lines)
  })

  it('and 1,000 more add 1,000, also packed', async () => {
    const more = logLines(2000, 10_000)
    await appendFile(path, textOf(more.slice(0, 1000)))
    expect(await importJson(path, 'shop')).toMatchObject({ accepted: 1000, skippedBytes: textOf(lines).length })
    const packed = await write('grown.gz', gzipSync(textOf([...lines, ...more])))
    expect(await importJson(packed, 'shop')).toMatchObject({ accepted: 1000 })
    await expectStored(database.clickhouse, 'shop', [...lines, ...more])
  })

  it('are another log for another service', async () => {
    expect(await importJson(await write('same.log', textOf(lines)), 'other')).toMatchObject({ accepted: 10_000 })
  })
})

it('knows a file again that was shorter than 4 KiB and grew', async () => {
  const lines = logLines(500, 0, 'small')
  const path = await write('small.log', textOf(lines.slice(0, 3)))
  for (const [from, to] of [
    [0, 3],
    [3, 4],
    [4, 500],
  ] as const) {
    await writeFile(path, textOf(lines.slice(0, to)))
    expect(await importJson(path, 'small')).toMatchObject({ accepted: to - from })
  }
  expect(await importJson(path, 'small')).toMatchObject({ accepted: 0 })
  await expectStored(database.clickhouse, 'small', lines)
})

it('takes two files for two that begin with the same half of a line', async () => {
  const lines = logLines(2, 1, 'half')
  const path = await write('half.log', lines[0]!.slice(0, 10))
  expect(await importJson(path, 'half')).toMatchObject({ accepted: 0, leftBytes: 10 })
  await writeFile(path, textOf([lines[0]!]))
  expect(await importJson(path, 'half')).toMatchObject({ accepted: 1 })
  await writeFile(path, textOf([`${lines[0]!.slice(0, 10)}${lines[1]!.slice(10)}`]))
  expect(await importJson(path, 'half')).toMatchObject({ accepted: 1, skippedBytes: 0 })
})

it('counts lines that are no log lines and shows them with their numbers in the file', async () => {
  const lines = logLines(10_000, 0, 'bad')
  const places = [3, 4000, 4001, 9999]
  const mixed = [...lines]
  for (const place of places) mixed.splice(place - 1, 0, `no log line ${place}`)
  // Blank lines are none, but they count.
  mixed.splice(4500, 0, '', '   ', '\r')
  const path = await write('bad.log', textOf(mixed))
  const { exitCode, stdout, stderr } = await beside.importLog(path, '--service', 'bad')
  expect(exitCode).toBe(0)
  expect(stdout).toContain('10,000 rows taken, 4 lines refused')
  const said = stderr.trim().split('\n')
  expect(said).toHaveLength(4)
  for (const [index, line] of said.entries()) {
    const place = mixed.indexOf(`no log line ${places[index]}`) + 1
    expect(line).toMatch(new RegExp(`^line ${place}: the line is "no log line ${places[index]}"; allowed is .+`))
  }
  await expectStored(database.clickhouse, 'bad', lines)

  // In what is new of a grown file, the number is still that in the file; the first five are shown.
  await appendFile(path, textOf(Array.from({ length: 7 }, (_, n) => `late ${n}`)))
  const grown = await importJson(path, 'bad')
  expect(grown).toMatchObject({ accepted: 0, rejected: 7 })
  expect(grown.refused.map(({ line }: { line: number }) => line)).toEqual([1, 2, 3, 4, 5].map((n) => mixed.length + n))
  expect(await importJson(path, 'bad')).toMatchObject({ accepted: 0, rejected: 0 })
})

it('goes on past a stretch of NDJSON in which no line is JSON', async () => {
  const path = await write('rows.ndjson', textOf([row(1), row(2)]))
  const ndjson = ['--format', 'ndjson']
  expect(await importJson(path, 'rows', ...ndjson)).toMatchObject({ exitCode: 0, accepted: 2 })
  await appendFile(path, 'not JSON\nnor this\n')
  expect(await importJson(path, 'rows', ...ndjson)).toMatchObject({ exitCode: 0, accepted: 0, rejected: 2 })
  await appendFile(path, textOf([row(3)]))
  expect(await importJson(path, 'rows', ...ndjson)).toMatchObject({ exitCode: 0, accepted: 1, rejected: 0 })
})

it('leaves an unfinished last line for later, and takes it from a file that rests', async () => {
  const lines = logLines(100, 0, 'torn')
  const cut = textOf(lines).length - 30
  const path = await write('torn.log', textOf(lines).slice(0, cut))
  const { stdout } = await beside.importLog(path, '--service', 'torn')
  expect(stdout).toMatch(
    /99 rows taken, 0 lines refused in .*; an unfinished last line of \d+ bytes is left for the next run\n$/,
  )
  await writeFile(path, textOf(lines).slice(0, -1))
  await age(path)
  expect(await importJson(path, 'torn')).toMatchObject({ accepted: 1, leftBytes: 0 })
  await expectStored(database.clickhouse, 'torn', lines)
})

it('reads standard input, and brings what it has when the stream pauses', async () => {
  const lines = logLines(3000, 0, 'stdin')
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, '../../src/main.ts'), 'import', '-', '-s', 'stdin', '--json'],
    {
      env: { PATH: process.env['PATH'], ...beside.env() },
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  )
  const closed = once(child, 'close')
  child.stdin.write(`${textOf(lines.slice(0, 100))}10.0.`)
  await expectStored(database.clickhouse, 'stdin', lines.slice(0, 100))
  child.stdin.end(`0.9 is half a line\n${textOf(lines.slice(100))}${lines[0]}`)
  const summary = JSON.parse(await text(child.stdout))
  expect((await closed)[0]).toBe(0)
  expect(summary).toMatchObject({ accepted: 3001, rejected: 1, refused: [{ line: 101 }] })
  await expectStored(database.clickhouse, 'stdin', [...lines, lines[0]!])
})

it.each([
  [['import', 'x.log'], /^vedette: required option '-s, --service <name>' not specified; see vedette import --help\n$/],
  [['import', '/no/such.log', '-s', 'x'], /^vedette: there is no file \/no\/such\.log\n$/],
  [['import', '/', '-s', 'x'], /^vedette: \/ is no file; pipe what it gives into: vedette import -\n$/],
  [['import', '-', '-s', 'x', '--follow'], /^vedette: --follow needs a file that grows, .+\n$/],
  [
    ['import', '-', '-s', 'x', '-f', 'csv'],
    /^vedette: .*'csv' is invalid. Allowed choices are combined, .+; see vedette import --help\n$/,
  ],
])('misuse is one line and exit code 2: %j', async (args, message) => {
  const child = spawnVedette(args, beside.env())
  const [stdout, stderr, [exitCode]] = await Promise.all([
    text(child.stdout!),
    text(child.stderr!),
    once(child, 'close'),
  ])
  expect({ exitCode, stdout, stderr }).toEqual({ exitCode: 2, stdout: '', stderr: expect.stringMatching(message) })
})

it('a broken .gz is one line that says how to go on, and what was whole of it is in', async () => {
  const lines = logLines(5000, 0, 'cut')
  const whole = gzipSync(textOf(lines))
  const path = await write('cut.log.gz', whole.subarray(0, whole.length - 2000))
  const { exitCode, stderr } = await beside.importLog(path, '--service', 'cut')
  expect(exitCode).toBe(1)
  expect(stderr).toMatch(
    /^vedette: \S+cut\.log\.gz is no whole \.gz \(.+\); get it again, then import again: it goes on where it stopped\n$/,
  )
  await writeFile(path, whole)
  expect(await importJson(path, 'cut')).toMatchObject({ exitCode: 0 })
  await expectStored(database.clickhouse, 'cut', lines)
})
