import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'

import { expect, it } from 'vitest'

import { testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'

const service = testApp(testDatabase())

const linesOf = async (): Promise<any[]> =>
  (await readFile(join(service.dataDir, 'security.log'), 'utf8').catch(() => ''))
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line))

it('a running service notes refused keys, a line a second and address, and turns away who sends too many', async () => {
  const wrong = { authorization: 'Bearer vdt_0123456789012345678901234567AbCd' }
  const statuses: number[] = []
  for (let n = 0; n < 25; n++)
    statuses.push((await service.request('/graphql?query=secret', { headers: wrong })).status)
  expect(statuses).toEqual([...Array.from({ length: 20 }, () => 401), 429, 429, 429, 429, 429])
  expect((await service.request('/graphql?query={viewer{timezone}}')).status).toBe(200)

  const counted = async () => (await linesOf()).reduce((sum, { count }) => sum + count, 0)
  await expect.poll(counted, { timeout: 3_000 }).toBe(25)
  const [line, ...more] = await linesOf()
  expect(line).toMatchObject({
    event: 'key_refused',
    ip: '127.0.0.1',
    method: 'GET',
    path: '/graphql',
    reason: 'unknown, expired or revoked key vdt_012345…',
  })
  expect(more.length).toBeLessThan(5)
  expect((await stat(join(service.dataDir, 'security.log'))).mode & 0o777).toBe(0o600)
})
