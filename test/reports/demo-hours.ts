import { tmpdir } from 'node:os'

import { Registry } from 'prom-client'

import type { ClickHouse } from '../../src/clickhouse/index.ts'
import { generateDay } from '../../src/demo/index.ts'
import type { Detection } from '../../src/detection/index.ts'
import { createJobs } from '../../src/jobs/index.ts'
import type { Redis } from '../../src/redis/index.ts'
import type { ReportScope } from '../../src/reports/types.ts'
import { createRollups } from '../../src/rollups/index.ts'
import { createSchedule } from '../../src/schedule.ts'
import { silent } from '../support/clickhouse.ts'
import { insertDecisions } from '../support/decisions.ts'
import { insertLogs } from '../support/request-logs.ts'

const HOUR = 3_600_000
const DAY = new Date('2026-11-18T00:00:00Z')
export const at = (hour: number): Date => new Date(DAY.getTime() + hour * HOUR)
/** Of the hours from nine on the first two are closed, so the last is read from raw rows. */
export const [FIRST, MIDDLE, CLOSED, LAST] = [at(8), at(10), at(11), at(12)] as const
const minute = (of: Date, minutes: number): Date => new Date(of.getTime() + minutes * 60_000)

export const SCOPE: ReportScope = {
  kind: 'DAILY',
  period: { from: MIDDLE, to: LAST },
  previous: { from: FIRST, to: MIDDLE },
  timezone: 'Europe/Paris',
  services: null,
}

/** Four of one hand that look for what is not there, and a route that begins to fail. */
const scans = Array.from({ length: 4 * 30 }, (_, index) => ({
  timestamp: minute(MIDDLE, 20 + (index % 30)),
  ip: `203.0.113.${10 + Math.floor(index / 30)}`,
  path: `/old-${index % 30}.php`,
  status: 404,
  userAgent: 'Mozilla/5.0 (compatible; gobuster/3.6)',
  country: 'BR',
}))
const failures = Array.from({ length: 9 }, (_, index) => ({
  timestamp: minute(index < 2 ? at(9) : MIDDLE, index * 13),
  ip: '198.51.100.7',
  path: '/checkout',
  route: index < 4 ? '/checkout' : '/basket/:id',
  status: 503,
  durationMs: 900,
}))

const insert = async (clickhouse: ClickHouse, from: Date, to: Date): Promise<void> => {
  const events = generateDay({ seed: 3, day: DAY, requests: 6_000 })
    .events()
    .filter(({ timestamp }) => new Date(timestamp) >= from && new Date(timestamp) < to)
  await insertLogs(
    clickhouse,
    events.map((event, row) => ({
      ...event,
      timestamp: new Date(event.timestamp),
      batch: from.getTime(),
      row,
      country: ['DE', 'FR', ''][event.ip.length % 3]!,
    })),
  )
}

/** Three hours of a demo day, two of them closed by the jobs of the service, and some decisions. */
export const feedHours = async (clickhouse: ClickHouse, redis: Redis, detection: Detection): Promise<void> => {
  const jobs = createJobs({
    clickhouse,
    redis,
    log: silent,
    registry: new Registry(),
    jobs: createSchedule({
      clickhouse,
      rollups: createRollups({ clickhouse }),
      detection,
      retention: { job: { name: 'cleanup' } as never, oldestOpen: () => new Date(0) },
      dataDir: tmpdir(),
      settleSeconds: 120,
    }).filter(({ name }) => name === 'hourly'),
    runsJobs: true,
    now: () => CLOSED.getTime() + HOUR / 2,
  })
  await insert(clickhouse, at(9), CLOSED)
  await insertLogs(clickhouse, scans)
  await insertLogs(clickhouse, failures)
  await jobs.start()
  await jobs.catchUp()
  await jobs.stop()
  await insert(clickhouse, CLOSED, LAST)
  const limited = { policyId: 'default', windowSeconds: 60 }
  await insertDecisions(clickhouse, [
    { ...limited, timestamp: minute(FIRST, 5), outcome: 'allowed', count: 40, ip: '' },
    { ...limited, timestamp: minute(MIDDLE, 5), outcome: 'allowed', count: 100, ip: '' },
    { ...limited, timestamp: minute(MIDDLE, 6), outcome: 'limited', count: 7, ip: '192.0.2.1' },
    { ...limited, timestamp: minute(MIDDLE, 9), outcome: 'limited', count: 2, ip: '192.0.2.1' },
    { ...limited, timestamp: minute(MIDDLE, 10), outcome: 'allowed', count: 1, ip: '192.0.2.1' },
    { timestamp: minute(MIDDLE, 11), outcome: 'blocked', policyId: '', windowSeconds: 0, count: 5, ip: '192.0.2.9' },
  ])
}
