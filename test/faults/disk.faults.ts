import { spawnSync } from 'node:child_process'
import { closeSync, openSync, writeSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

import { beforeEach, expect, onTestFinished, test } from 'vitest'

import { temporaryFolder } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { createGate, type Gate } from '../support/gate.ts'
import { expectExactlyOnce, type Tally } from './clients.ts'
import { createVictim, expectOnlyTakenOrFull, figures, type Victim } from './service.ts'

const MIB = 2 ** 20
const DISK_MIB = 64

const database = testDatabase()
// The keys too, or the next data folder would find a first key made and have none.
beforeEach(() => database.empty())

const asRoot = (command: string, ...args: string[]): boolean => {
  const [first, ...rest] = process.getuid?.() === 0 ? [command, ...args] : ['sudo', '-n', command, ...args]
  return spawnSync(first, rest, { stdio: 'ignore' }).status === 0
}

/**
 * A disk of its own, in memory. Where none can be mounted the test fails rather than stands aside: a full disk is what a
 * spool meets sooner or later, and nobody should take it for tried when it was not.
 */
const smallDisk = async (): Promise<string> => {
  const folder = await temporaryFolder()
  const options = `size=${DISK_MIB}m,mode=0700,uid=${process.getuid!()},gid=${process.getgid!()}`
  if (!asRoot('mount', '-t', 'tmpfs', '-o', options, 'tmpfs', folder))
    throw new Error(
      'the full disk is a tmpfs, and to mount one needs Linux and root: run this as root, or with sudo that asks for no password',
    )
  onTestFinished(async () => {
    asRoot('umount', folder)
    await rm(folder, { recursive: true, force: true })
  })
  return folder
}

/** Takes `bytes` of the disk, or all that is left of it. */
const ballast = (path: string, bytes = Number.POSITIVE_INFINITY): void => {
  const file = openSync(path, 'w')
  try {
    let left = bytes
    for (const size of [MIB, 4096, 1]) while (left >= size) left -= writeSync(file, Buffer.alloc(size))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  } finally {
    closeSync(file)
  }
}

const setUp = async (): Promise<{ victim: Victim; gate: Gate; block: string }> => {
  const disk = await smallDisk()
  const gate = await createGate(database.url)
  onTestFinished(() => gate.close())
  const dataDir = join(disk, 'data')
  await mkdir(dataDir)
  const victim = await createVictim({ dataDir, env: { CLICKHOUSE_URL: gate.url } })
  await victim.start()
  return { victim, gate, block: join(disk, 'ballast') }
}

const refusals = ({ reasons }: Tally, text: string): number =>
  [...reasons].reduce((sum, [reason, times]) => sum + (reason.includes(text) ? times : 0), 0)

/** Rows are taken again without anyone doing anything. */
const takesAgain = async ({ acknowledged }: Tally): Promise<void> => {
  const before = acknowledged.size
  await expect.poll(() => acknowledged.size, { timeout: 20_000 }).toBeGreaterThan(before + 500)
}

test(
  'a disk with less than 5 % free: 503 until there is room, everything stored once',
  { timeout: 120_000 },
  async () => {
    const { victim, gate, block } = await setUp()
    const clients = victim.load()
    await takesAgain(clients.tally)
    await gate.close()
    ballast(block, 48 * MIB)
    await expect.poll(() => refusals(clients.tally, 'less than N %'), { timeout: 60_000 }).toBeGreaterThan(20)
    expect(await victim.metric('vedette_spool_bytes')).toBeGreaterThan(MIB)
    await rm(block)
    await takesAgain(clients.tally)
    await gate.open()
    await clients.stop()
    await victim.drained()
    await expectExactlyOnce(database.clickhouse, clients.tally)
    expectOnlyTakenOrFull(clients.tally)
    console.log(`disk below 5 %: ${figures(clients.tally)}`)
  },
)

test(
  'a disk that is full between two looks: 503, nothing corrupt, also when the service is killed then; everything stored once',
  { timeout: 120_000 },
  async () => {
    const { victim, gate, block } = await setUp()
    const clients = victim.load()
    const fill = async (): Promise<void> => {
      const before = refusals(clients.tally, 'the disk is full')
      // The look at the disk, once a second, may be the first to see it; then it is tried again.
      while (refusals(clients.tally, 'the disk is full') === before) {
        const guarded = refusals(clients.tally, 'less than N %')
        ballast(block)
        await expect
          .poll(
            () =>
              refusals(clients.tally, 'the disk is full') - before + refusals(clients.tally, 'less than N %') - guarded,
            {
              timeout: 10_000,
              interval: 10,
            },
          )
          .toBeGreaterThan(0)
        if (refusals(clients.tally, 'the disk is full') > before) return
        await rm(block)
        await takesAgain(clients.tally)
      }
    }

    // While ClickHouse takes rows, so that receipts and marks cannot be kept either.
    await takesAgain(clients.tally)
    await fill()
    await expect.poll(() => victim.metric('vedette_spool_rows')).toBeGreaterThan(0)
    await rm(block)
    await takesAgain(clients.tally)

    // And while it is away, so that the disk is full of segments when the process dies.
    await gate.close()
    await takesAgain(clients.tally)
    await fill()
    expectOnlyTakenOrFull(clients.tally)
    await victim.process.kill('SIGKILL')
    await rm(block)
    await gate.open()
    await victim.start()
    await takesAgain(clients.tally)
    await clients.stop()
    await victim.drained()
    await expectExactlyOnce(database.clickhouse, clients.tally)
    expect(clients.tally.bare503).toBe(0)
    console.log(`disk full: ${figures(clients.tally)}`)
  },
)
