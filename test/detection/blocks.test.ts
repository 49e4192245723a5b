import { afterEach, describe, expect, it, vi } from 'vitest'

import { createBlocks } from '../../src/detection/blocks.ts'
import type { Finding } from '../../src/detection/index.ts'
import { blockLists } from '../ratelimit/blocklist/support.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'

const database = testDatabase()
const lists = blockLists()
afterEach(async () => {
  vi.useRealTimers()
  await database.empty()
})

const HOUR = 3_600_000
const HOUR_OF_FINDINGS = new Date(Math.floor(Date.now() / HOUR) * HOUR - HOUR)

const finding = (address: string, rest: Partial<Finding> = {}): Finding =>
  ({ address, detector: 'burst', observed: 5, threshold: 2, score: 50, mode: 'FLAG_AND_BLOCK', ...rest }) as Finding

const start = async () => {
  const { blockList } = await lists.start({ url: database.url, trustedProxies: ['198.51.100.9/32'] })
  const block = createBlocks({ blockList, trustedProxies: ['198.51.100.9/32'], log: silent, now: () => Date.now() })
  return { blockList, block }
}

const minutesOf = ({ createdAt, expiresAt }: { createdAt: Date; expiresAt: Date | null }): number =>
  Math.round((expiresAt!.getTime() - createdAt.getTime()) / 60_000)

describe('automatic blocks', () => {
  it('are for the address, or its /64, and only where the detector says so', async () => {
    const { blockList, block } = await start()
    const blocked = await block(
      [finding('::ffff:203.0.113.1'), finding('2001:db8:1::'), finding('::ffff:203.0.113.2', { mode: 'FLAG' })],
      HOUR_OF_FINDINGS,
    )
    expect(blocked).toBe(2)
    const active = blockList.active()
    expect(active.map(({ cidr, source }) => `${cidr} ${source}`).toSorted()).toEqual([
      '2001:db8:1::/64 AUTOMATIC',
      '203.0.113.1 AUTOMATIC',
    ])
    expect(active.find(({ cidr }) => cidr === '203.0.113.1')!.reason).toMatch(
      /^burst: 5 \(threshold 2\) in the hour from /,
    )
  })

  it('never hit private addresses, trusted proxies, or what was done long ago', async () => {
    const { blockList, block } = await start()
    expect(await block([finding('::ffff:10.0.0.1'), finding('::ffff:198.51.100.9')], HOUR_OF_FINDINGS)).toBe(0)
    expect(await block([finding('::ffff:203.0.113.1')], new Date(Date.now() - 8 * 24 * HOUR))).toBe(0)
    expect(blockList.active()).toEqual([])
  })

  it('last four times as long each time the address comes back within a month, and an hour again after that', async () => {
    const { blockList, block } = await start()
    vi.useFakeTimers({ toFake: ['Date'] })
    const lengths: number[] = []
    for (const hours of [0, 5, 30, 100, 3_000]) {
      const now = HOUR_OF_FINDINGS.getTime() + HOUR + hours * HOUR
      vi.setSystemTime(now)
      await block([finding('::ffff:203.0.113.1')], new Date(now - HOUR))
      lengths.push(minutesOf(blockList.active()[0]!))
    }
    expect(lengths).toEqual([60, 240, 960, 3_840, 60])
  })

  it('are made once for an hour, however often it is run, and not against the will of a person', async () => {
    const { blockList, block } = await start()
    expect(await block([finding('::ffff:203.0.113.1')], HOUR_OF_FINDINGS)).toBe(1)
    expect(await block([finding('::ffff:203.0.113.1')], HOUR_OF_FINDINGS)).toBe(0)
    await blockList.remove(blockList.active()[0]!.id, { by: 'key_1' })
    expect(await block([finding('::ffff:203.0.113.1')], new Date(HOUR_OF_FINDINGS.getTime() + HOUR))).toBe(0)
    expect(blockList.active()).toEqual([])
  })

  it('are at most 200 an hour, the worst first, so that forged logs cannot shut a site', async () => {
    const { blockList, block } = await start()
    const many = Array.from({ length: 203 }, (_, index) =>
      finding(`::ffff:203.0.${100 + Math.floor(index / 200)}.${index % 200}`, { score: index === 202 ? 99 : 50 }),
    )
    expect(await block(many, HOUR_OF_FINDINGS)).toBe(200)
    const cidrs = blockList.active().map(({ cidr }) => cidr)
    expect(cidrs).toContain('203.0.101.2')
    expect(cidrs).toHaveLength(200)
  })
})
