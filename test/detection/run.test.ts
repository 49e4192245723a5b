import { beforeEach, describe, expect, it } from 'vitest'

import type { DetectorException } from '../../src/detection/index.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { insertLogs } from '../support/request-logs.ts'
import { at, createRunner, detector, HOUR, NOON } from './support.ts'

const database = testDatabase()
beforeEach(() => database.empty())

const NOT_FOUND = detector(
  'not_found',
  'WITH served AND page AND status_code = 404 AS evidence SELECT uniqExactIf(path, evidence) AS observed, {paths:UInt32} AS threshold, countIf(evidence) AS hits',
  { header: ['parameter: paths UInt32 = 3 [1, 100] different pages', 'unit: paths', 'probe: yes'] },
)

/** Different pages that are not there. */
const missing = (ip: string, count: number, hour: Date = NOON, rest: object = {}) =>
  Array.from({ length: count }, (_, index) => ({
    ip,
    timestamp: at(index, hour),
    path: `/missing/${index}`,
    status: 404,
    ...rest,
  }))

describe('a run over an hour', () => {
  it('finds who passes the threshold, with what was observed, expected and asked for, and nobody else', async () => {
    await insertLogs(database.clickhouse, [...missing('203.0.113.1', 4), ...missing('203.0.113.2', 2)])
    const runner = createRunner(database)
    await runner.close(NOON, [NOT_FOUND])
    expect(await runner.findings()).toEqual([
      {
        detector: 'not_found',
        address: '203.0.113.1',
        ip: '203.0.113.1',
        hour: '20T12',
        mode: 'FLAG',
        observed: 4,
        threshold: 3,
        repeated: false,
        requests: 4,
        target: '/missing/3',
        details: { hits: 4 },
      },
    ])
  })

  it('counts the addresses of a /64 as one, and mapped IPv4 as IPv4', async () => {
    await insertLogs(database.clickhouse, [
      ...[1, 2, 3].map((n) => ({ ip: `2001:db8:1::${n}`, timestamp: at(n), path: `/missing/${n}`, status: 404 })),
      ...[1, 2, 3].map((n) => ({ ip: `2001:db8:${n + 1}::1`, timestamp: at(n), path: `/missing/${n}`, status: 404 })),
      ...missing('::ffff:203.0.113.3', 3),
    ])
    const runner = createRunner(database)
    await runner.close(NOON, [NOT_FOUND])
    expect((await runner.findings()).map(({ address, ip }) => [address, ip])).toEqual([
      ['203.0.113.3', '203.0.113.3'],
      ['2001:db8:1::', '2001:db8:1::1'],
    ])
  })

  it('leaves out answers that a limit or a block gave', async () => {
    await insertLogs(database.clickhouse, missing('203.0.113.1', 9, NOON, { action: 'blocked' }))
    const runner = createRunner(database)
    await runner.close(NOON, [NOT_FOUND])
    expect(await runner.findings()).toEqual([])
  })

  it('flags neither who is allowed, nor a trusted proxy, nor a verified crawler, nor who was excepted', async () => {
    const ips = ['203.0.113.1', '203.0.113.2', '203.0.113.3', '203.0.113.4', '203.0.113.5']
    await insertLogs(
      database.clickhouse,
      ips.flatMap((ip) => missing(ip, 5, NOON, ip.endsWith('.3') ? { userAgent: 'Googlebot/2.1' } : {})),
    )
    const exception = {
      id: 'exc_1',
      detector: '*',
      cidr: '203.0.113.4',
      pathPattern: null,
      note: '',
      createdBy: '',
      createdAt: NOON,
    }
    const runner = createRunner(database, {
      allowed: ['203.0.113.1'],
      trustedProxies: ['203.0.113.2/32'],
      crawlers: {
        agents: 'googlebot',
        verify: (claims) =>
          Promise.resolve(
            claims.map(({ address }) => ({ address, crawler: 'googlebot', verdict: 'verified' as const })),
          ),
      },
    })
    await runner.close(NOON, [{ ...NOT_FOUND, exceptions: [exception] }])
    expect((await runner.findings()).map(({ address }) => address)).toEqual(['203.0.113.5'])
  })

  it('leaves paths alone that were excepted, for that detector only', async () => {
    await insertLogs(database.clickhouse, missing('203.0.113.1', 5))
    const exception: DetectorException = {
      id: 'exc_1',
      detector: 'not_found',
      cidr: null,
      pathPattern: '/missing/*',
      note: '',
      createdBy: '',
      createdAt: NOON,
    }
    const runner = createRunner(database)
    await runner.close(NOON, [
      { ...NOT_FOUND, exceptions: [exception] },
      { ...NOT_FOUND, id: 'other' },
    ])
    expect((await runner.findings()).map((finding) => finding.detector)).toEqual(['other'])
  })

  it('says of the same again within a day that it is repeated, and not after', async () => {
    const later = [NOON, new Date(NOON.getTime() + 3 * HOUR), new Date(NOON.getTime() + 40 * HOUR)]
    await insertLogs(
      database.clickhouse,
      later.flatMap((hour) => missing('203.0.113.1', 5, hour)),
    )
    const runner = createRunner(database)
    for (const hour of later) await runner.close(hour, [NOT_FOUND])
    expect((await runner.findings()).map(({ repeated }) => repeated)).toEqual([false, true, false])
  })

  it('puts new results in the place of old ones when it is run again', async () => {
    await insertLogs(database.clickhouse, missing('203.0.113.1', 3))
    const runner = createRunner(database)
    await runner.close(NOON, [NOT_FOUND])
    await insertLogs(database.clickhouse, [
      ...missing('203.0.113.2', 3),
      { ip: '203.0.113.1', timestamp: at(50), path: '/missing/50', status: 404 },
    ])
    await runner.close(NOON, [NOT_FOUND])
    expect((await runner.findings()).map(({ address, observed }) => [address, observed])).toEqual([
      ['203.0.113.1', 4],
      ['203.0.113.2', 3],
    ])
    await runner.close(NOON, [{ ...NOT_FOUND, values: { paths: 50 } }])
    expect(await runner.findings()).toEqual([])
  })

  it('lets detectors look back over hours before, at this run and at valid ones only', async () => {
    const slow = detector(
      'slow',
      'SELECT address, uniqExact(target) AS observed, {targets:UInt32} AS threshold FROM probes GROUP BY address',
      { header: ['parameter: targets UInt32 = 4 [1, 100] different targets'].concat([]) },
    )
    const wide = { ...slow, windowSeconds: 24 * 3_600 }
    const hours = [NOON, new Date(NOON.getTime() + HOUR)]
    await insertLogs(
      database.clickhouse,
      hours.flatMap((hour, turn) =>
        [0, 1].map((n) => ({ ip: '203.0.113.1', timestamp: at(n, hour), path: `/missing/${turn}-${n}`, status: 404 })),
      ),
    )
    const runner = createRunner(database)
    await runner.close(hours[0]!, [NOT_FOUND, wide])
    // The same hour again writes the same probes under another run, which must not count twice.
    await runner.close(hours[0]!, [NOT_FOUND, wide])
    expect(await runner.findings()).toEqual([])
    await runner.close(hours[1]!, [NOT_FOUND, wide])
    expect((await runner.findings()).map(({ detector, observed, requests }) => [detector, observed, requests])).toEqual(
      [['slow', 4, 4]],
    )
    // Nothing new came in the hour after: nobody is told again.
    await runner.close(new Date(NOON.getTime() + 2 * HOUR), [NOT_FOUND, wide])
    expect(await runner.findings()).toHaveLength(1)
  })

  it('gives detectors of findings those of the same run, and gives to be blocked what is to be blocked', async () => {
    const again = detector(
      'again',
      "SELECT address, count() AS observed, 2 AS threshold FROM findings WHERE detector != 'again' GROUP BY address",
      { mode: 'FLAG_AND_BLOCK' },
    )
    await insertLogs(database.clickhouse, missing('203.0.113.1', 5))
    const runner = createRunner(database)
    await runner.close(NOON, [NOT_FOUND, { ...NOT_FOUND, id: 'twin', mode: 'REPORT_ONLY' }, again])
    expect((await runner.findings()).map((finding) => finding.detector)).toEqual(['again', 'not_found', 'twin'])
    expect(runner.blocked.map((finding) => finding.detector)).toEqual(['again'])
  })
})
