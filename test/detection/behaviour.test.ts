import { beforeAll, describe, expect, it } from 'vitest'

import { sql } from '../../src/clickhouse/index.ts'
import { createCrawlers } from '../../src/detection/crawlers/index.ts'
import { readDetectors } from '../../src/detection/index.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'
import { insertLogs, type LogRow } from '../support/request-logs.ts'
import { CASES, guiltyOf, honestOf, IDS, type Row } from './behaviour-cases.ts'
import { createRunner, type Found, NOON, withDefaults } from './support.ts'

const database = testDatabase()

const asLogs = (list: readonly Row[], ip: string): LogRow[] =>
  list.map(({ at = 0, ...row }) => ({ ...row, ip: row.ip ?? ip, timestamp: new Date(NOON.getTime() + at * 1_000) }))

const stamp = (secondsFromNoon: number): string =>
  new Date(NOON.getTime() + secondsFromNoon * 1_000).toISOString().slice(0, 19).replace('T', ' ')
const mapped = (ip: string) => `::ffff:${ip}`

/** What roll-ups of hours before say, whose runs count, and a journey, since rows of tests tell no coordinates. */
const insertPast = async (): Promise<void> => {
  const { clickhouse } = database
  const insert = (table: string, columns: string[], values: unknown[][]) =>
    clickhouse.insert({
      table,
      columns,
      rows: Buffer.from(values.map((line) => JSON.stringify(line)).join('\n')),
      deduplicationToken: `past-${table}`,
    })
  const ago = (hours: number) => stamp(-hours * 3_600)
  await clickhouse.command(
    sql`INSERT INTO job_runs (job, window_from, window_to, run_id, status, finished_at, recorded_at) SELECT 'hourly', toDateTime(${ago(0)}, 'UTC') - toIntervalHour(number) AS hour, hour + toIntervalHour(1), 900, 'succeeded', now64(3), now64(6) FROM numbers(3, 700)`,
  )
  const weeks = [1, 2, 3, 4].flatMap((week) => [week * 168 - 1, week * 168, week * 168 + 1])
  await insert(
    'address_hours_by_run',
    ['hour', 'run_id', 'address', 'ip', 'requests', 'pages'],
    weeks.flatMap((hours) =>
      [[guiltyOf('volume_anomaly'), 12] as const, [honestOf('volume_anomaly'), 40] as const].map(([ip, pages]) => [
        ago(hours),
        900,
        mapped(ip),
        mapped(ip),
        pages,
        pages,
      ]),
    ),
  )
  await insert(
    'probes_by_run',
    ['hour', 'run_id', 'address', 'kind', 'target', 'requests'],
    Array.from({ length: 10 }, (_, n) => [ago(3 * n + 3), 900, n]).flatMap(([hour, run, n]) => [
      [hour, run, mapped(guiltyOf('low_and_slow')), 'sensitive_file', `/${n}.sql`, 1],
      [hour, run, mapped(honestOf('low_and_slow')), 'sensitive_file', `/${Number(n) % 9}.sql`, 1],
    ]),
  )
  await insert(
    'findings_by_run',
    ['hour', 'run_id', 'address', 'detector', 'mode', 'window_from', 'window_to', 'details'],
    [3, 50].flatMap((hours) =>
      [guiltyOf, honestOf].map((of) => [
        ago(hours),
        900,
        mapped(of('repeat_offender')),
        'not_found_probing',
        'FLAG',
        ago(hours),
        ago(hours - 1),
        '{}',
      ]),
    ),
  )
  await insert(
    'user_hours_by_run',
    ['hour', 'run_id', 'user_id', 'address', 'country', 'latitude', 'longitude', 'requests'],
    ['homebody', 'traveller'].flatMap((user) =>
      [24, 48, 72].map((hours) => [ago(hours), 900, user, mapped('192.0.2.1'), 'DE', 52.5, 13.4, 3]),
    ),
  )
  await insert(
    'request_logs',
    [
      'timestamp',
      'ingested_at',
      'batch',
      'row',
      'path',
      'status_code',
      'ip',
      'user_id',
      'action',
      'country',
      'latitude',
      'longitude',
    ],
    [
      [stamp(120), honestOf('impossible_travel'), 'DE', 52.5, 13.4] as const,
      [stamp(2_400), guiltyOf('impossible_travel'), 'BR', -23.5, -46.6] as const,
    ].map(([at, ip, ...place], row) => [
      at,
      new Date().toISOString().slice(0, 19).replace('T', ' '),
      2,
      row,
      '/account',
      200,
      mapped(ip),
      'traveller',
      'allowed',
      ...place,
    ]),
  )
}

const nothing = () => Promise.reject(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }))

describe('detectors of behaviour', () => {
  let found: Found[] = []

  beforeAll(async () => {
    await insertPast()
    await insertLogs(
      database.clickhouse,
      Object.entries(CASES).flatMap(([id, { guilty, honest }]) => [
        ...asLogs(guilty, guiltyOf(id)),
        ...asLogs(honest, honestOf(id)),
      ]),
    )
    const files = await readDetectors()
    const detectors = IDS.map((id) => withDefaults(files.get(id)!))
    const crawlers = createCrawlers({
      dns: true,
      resolver: { resolvePtr: nothing, resolve4: nothing, resolve6: nothing },
      log: silent,
    })
    const runner = createRunner(database, { crawlers })
    await runner.close(NOON, detectors)
    found = (await runner.findings()).filter(({ hour }) => hour === '20T12')
  }, 60_000)

  it.each(Object.entries(CASES).map(([id, { because }]) => [id, because] as const))(
    '%s flags what it is for; its honest neighbour is flagged by nothing: %s',
    (id) => {
      expect(found.filter(({ detector }) => detector === id).map(({ address }) => address)).toContain(guiltyOf(id))
      expect(found.filter(({ detector, address }) => detector === id && address === honestOf(id))).toEqual([])
      expect(found.filter(({ address, mode }) => address === honestOf(id) && mode !== 'REPORT_ONLY')).toEqual([])
    },
  )

  it.each([
    ['password_spraying', 'target', 6],
    ['distributed_login', 'shop /wp-login.php', 20],
    ['network_swarm', '20.19.1.0/24', 5],
    ['fingerprint_swarm', 'swarm.example Firefox/60', 5],
  ])('%s names the group that an address belongs to', (id, key, size) => {
    const finding = found.find(({ detector, address }) => detector === id && address === guiltyOf(id))
    expect(finding?.details).toMatchObject({ group_key: key, group_size: size })
  })
})
