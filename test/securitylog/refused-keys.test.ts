import { expect, it } from 'vitest'

import { createRefusedKeys, type SecurityEvent } from '../../src/securitylog/index.ts'

const collect = () => {
  const events: SecurityEvent[] = []
  return { events, refusedKeys: createRefusedKeys({ securityLog: { write: (event) => void events.push(event) } }) }
}
const note = (ip: string, path = '/graphql') => ({ ip, method: 'POST', path, reason: 'no key' })

it('a flood of refused keys is one line a second and address, with the first of them and their number', async () => {
  const { events, refusedKeys } = collect()
  for (let n = 0; n < 5_000; n++) refusedKeys.note(note('203.0.113.7', `/${n}`))
  refusedKeys.note(note('2001:db8::1'))
  expect(events).toEqual([])
  await expect.poll(() => events.length, { timeout: 2_000 }).toBe(2)
  expect(events).toEqual([
    { event: 'key_refused', ...note('203.0.113.7', '/0'), count: 5_000 },
    { event: 'key_refused', ...note('2001:db8::1'), count: 1 },
  ])
  refusedKeys.note(note('203.0.113.7'))
  await expect.poll(() => events.length, { timeout: 2_000 }).toBe(3)
})

it('many addresses at once are bounded: further ones are counted together, and none is lost', () => {
  const { events, refusedKeys } = collect()
  for (let n = 0; n < 3_000; n++) refusedKeys.note(note(`10.0.${n >> 8}.${n & 255}`))
  refusedKeys.note(note('10.0.0.0'))
  refusedKeys.stop()
  expect(events).toHaveLength(1_001)
  expect(events.at(-1)).toEqual({
    event: 'key_refused',
    ip: '',
    method: '',
    path: '',
    reason: 'from further addresses',
    count: 2_000,
  })
  expect(events.reduce((sum, event) => sum + ('count' in event ? event.count : 0), 0)).toBe(3_001)
})

it('IPv4 is IPv4 where a socket takes both families', () => {
  const { events, refusedKeys } = collect()
  refusedKeys.note(note('::ffff:203.0.113.7'))
  refusedKeys.note(note('203.0.113.7'))
  refusedKeys.stop()
  expect(events).toMatchObject([{ ip: '203.0.113.7', count: 2 }])
})
