import { tmpdir } from 'node:os'

import { Registry } from 'prom-client'
import { expect, test } from 'vitest'

import { createDiskWatch, freeShareOf, freeShareOfStore, needsRoom } from '../../src/disk/index.ts'
import { testDatabase } from '../support/clickhouse.ts'

const store = testDatabase({ migrated: false })

test('the free share of the disk and of ClickHouse is between none and all', async () => {
  for (const share of [await freeShareOf(tmpdir()), await freeShareOfStore(store.clickhouse)]) {
    expect(share).toBeGreaterThan(0)
    expect(share).toBeLessThan(1)
  }
})

test('a disk that gets full is told once, and again when there is room', async () => {
  const said: string[] = []
  const log = {
    info: (_: object, text: string) => void said.push(text),
    warn: (_: object, text: string) => void said.push(text),
  }
  const registry = new Registry()
  let share = 0.5
  const watch = createDiskWatch({ folder: '/data', log, registry, freeShare: () => Promise.resolve(share) })
  for (share of [0.5, 0.08, 0.04, 0.3, 0.3]) await watch.look()
  expect(said).toEqual([expect.stringContaining('/data has 8.0 % free: make room'), 'the disk of /data has room again'])
  expect(await registry.metrics()).toContain('vedette_disk_free_ratio{path="/data"} 0.3')
})

test('a job does not begin where a disk has less than 2 % free, and begins where there is room', async () => {
  const ran: string[] = []
  const job = {
    name: 'hourly',
    windowSeconds: 3_600,
    run: ({ window }: { window: string; signal: AbortSignal }) => Promise.resolve(ran.push(window)),
  }
  const { signal } = new AbortController()
  const shares: Record<string, number> = { full: 0.019, roomy: 0.02 }
  const freeShare = (folder: string): Promise<number> => Promise.resolve(shares[folder]!)
  const on = (folder: string) => needsRoom(job, { clickhouse: store.clickhouse, folders: [folder], freeShare })
  expect(on('roomy').windowSeconds).toBe(3_600)
  await on('roomy').run({ window: 'a', signal })
  await expect(on('full').run({ window: 'b', signal })).rejects.toThrow(
    /the disk of full has 1\.9 % free, less than 2 %/,
  )
  expect(ran).toEqual(['a'])
})
