import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { expect, it } from 'vitest'

import { raw } from '../../src/clickhouse/index.ts'
import { createRedis } from '../../src/redis/index.ts'
import { createComposer } from '../../src/reports/deliver/message.ts'
import type { Mailing } from '../../src/reports/deliver/index.ts'
import { renderIncident } from '../../src/reports/incident/index.ts'
import type { Incident } from '../../src/reports/incident/types.ts'
import { createAnonymiser } from '../../src/retention/anonymise.ts'
import { createVersions } from '../../src/store/index.ts'
import { notice } from '../reports/incident-support.ts'
import { testDeliveries } from '../reports/support.ts'
import { testApp } from '../support/app.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'
import { type Outcome, vedette } from '../support/command.ts'
import { insertDecisions } from '../support/decisions.ts'
import { insertLogs } from '../support/request-logs.ts'

const database = testDatabase()
const service = testApp(database)
const SECRET = 'a-secret-of-thirty-two-characters-or-more'
const HOUR = '2026-11-20 10:00:00'
const AT = new Date('2026-11-20T10:05:00Z')

const forget = (args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> =>
  vedette(['forget', ...args], { CLICKHOUSE_URL: database.url, DATA_DIR: service.dataDir, ...env })

let batch = 100

/** Two addresses in every table that knows addresses. */
const fill = async (ips: readonly [ip: string, counted: string, first: string][]): Promise<void> => {
  await insertLogs(
    database.clickhouse,
    ips.map(([ip]) => ({ timestamp: AT, ip, batch })),
  )
  await insertDecisions(
    database.clickhouse,
    ips.map(([ip, counted]) => ({ timestamp: AT, outcome: 'limited', ip, counted, batch })),
  )
  batch++
  const addresses = ips.map(([, , first]) => (first.includes(':') ? first : `::ffff:${first}`))
  for (const table of ['address_hours', 'probes', 'user_hours', 'findings'])
    await database.clickhouse.command(
      raw(
        `INSERT INTO ${table}_by_run (hour, run_id, address) VALUES ${addresses.map((address) => `('${HOUR}', 1, '${address}')`).join()}`,
      ),
    )
  await database.clickhouse.command(
    raw(
      `INSERT INTO crawler_hours_by_run (hour, run_id, address, crawler, verdict) VALUES ${addresses.map((address) => `('${HOUR}', 1, '${address}', 'googlebot', 'false')`).join()}`,
    ),
  )
  const versions = ips.map(
    ([, , first]) =>
      `('verdict', '${first}', 1, '{"note":"a"}', now64(3)), ('verdict', '${first}', 2, '', now64(3)), ('other', '${first}', 1, '{}', now64(3))`,
  )
  await database.clickhouse.command(
    raw(
      `INSERT INTO store_versions (kind, id, version, body, changed_at) SETTINGS insert_deduplicate = 0 VALUES ${versions.join()}`,
    ),
  )
}

const rowsOf = async (table: string): Promise<number> =>
  Number((await database.clickhouse.query<{ rows: string }>(raw(`SELECT count() AS rows FROM ${table}`))).rows[0]!.rows)

it('deletes all of an address at once, beside a running service, and nothing of others', async () => {
  await fill([
    ['203.0.113.7', '203.0.113.7', '203.0.113.7'],
    ['203.0.113.70', '203.0.113.70', '203.0.113.70'],
  ])
  const { exitCode, stdout } = await forget(['203.0.113.7', '--json'])
  expect(exitCode).toBe(0)
  expect(JSON.parse(stdout)).toEqual({
    address: '203.0.113.7',
    counted: '203.0.113.7',
    deleted: {
      address_hours_by_run: 1,
      crawler_hours_by_run: 1,
      decisions: 1,
      findings_by_run: 1,
      probes_by_run: 1,
      request_logs: 1,
      store_versions: 2,
      user_hours_by_run: 1,
    },
    blockListEntries: { ids: [], removed: false },
    inSpool: 0,
    inSecurityLog: 0,
    inOutbox: 0,
  })
  for (const table of ['request_logs', 'decisions', 'address_hours_by_run', 'probes_by_run', 'findings_by_run'])
    expect(await rowsOf(table), table).toBe(1)
  expect(await rowsOf(`store_versions WHERE id = '203.0.113.7'`)).toBe(1)
  expect(await forget(['203.0.113.7', '--yes'])).toEqual({
    exitCode: 0,
    stdout: 'there is nothing of 203.0.113.7\n',
    stderr: '',
  })
})

it('takes of IPv6 the address itself from raw rows and its /64 from summaries', async () => {
  await fill([['2001:db8:5:6::7', '2001:db8:5:6::/64', '2001:db8:5:6::']])
  await insertLogs(database.clickhouse, [{ timestamp: AT, ip: '2001:db8:5:6::8', batch: batch++ }])
  const { stdout } = await forget(['2001:db8:5:6:0:0:0:7'])
  expect(stdout).toMatch(/^request_logs +1$/m)
  expect(stdout).toMatch(/^findings_by_run +1$/m)
  expect(await rowsOf(`request_logs WHERE ip = '2001:db8:5:6::8'`)).toBe(1)
  expect(await rowsOf(`decisions WHERE counted = '2001:db8:5:6::/64'`)).toBe(0)
})

it('lets a process forget a verdict that it holds in memory, and another be given later', async () => {
  const redis = createRedis([], { log: silent })
  await redis.start()
  const verdicts = createVersions<{ note: string }>({
    kind: 'verdict',
    clickhouse: database.clickhouse,
    redis,
    log: silent,
  })
  await verdicts.start()
  try {
    for (const note of ['one', 'two']) await verdicts.write('198.51.100.5', { note }, { by: 'test' })
    expect((await forget(['198.51.100.5'])).stdout).toMatch(/^store_versions +2$/m)
    await expect.poll(() => verdicts.get('198.51.100.5'), { timeout: 5_000 }).toBeUndefined()
    await verdicts.write('198.51.100.5', { note: 'three' }, { by: 'test' })
    expect(verdicts.get('198.51.100.5')).toMatchObject({ value: { note: 'three' } })
    expect(await verdicts.history({ id: '198.51.100.5', limit: 9 })).toHaveLength(1)
  } finally {
    await verdicts.stop()
    await redis.stop()
  }
})

const LATER = Date.now() + 3_600_000
const startDeliveries = testDeliveries(database)
/** Whatever a statement could trip over. */
const CAMPAIGN = { id: 'cmp_1', summary: `user agent "a\\b\\n" 'c'\t\n{d:String} ü` }
const culprit = (ip: string) => ({ ip, country: null, asn: null, asOrganization: null, score: 90, isBlocked: false })
const incident = (id: string, ips: readonly string[], told: readonly string[] = ips): Incident => ({
  recordedAt: AT.toISOString(),
  notice: notice({
    id,
    addresses: ips.map(culprit),
    addressCount: told.length,
    campaign: CAMPAIGN,
    link: `/graphql?query=${encodeURIComponent(JSON.stringify(ips))}`,
  }),
  told,
  evidence: told.map((ip) => ({ id: `sus_${ip}`, culprit: culprit(ip), findings: [] })),
  mails: [{ subscriptionId: null, services: null, recipients: ['ann@example.com'] }],
  posts: {},
})

it.each([
  ['IPv4', '203.0.113.17', '203.0.113.17', '203.0.113.170'],
  ['IPv6', '2001:db8:17:6::7', '2001:db8:17:6::9', '2001:db8:17:60::7'],
])(
  'takes it out of incidents and of mails that wait, before they are sent, and keeps the others: %s',
  async (kind, ip, seen, other) => {
    const redis = createRedis([], { log: silent })
    await redis.start()
    const stored = createVersions<Incident>({ kind: 'incident', clickhouse: database.clickhouse, redis, log: silent })
    await stored.start()
    const [alone, shared, hidden, others] = ['alone', 'shared', 'hidden', 'others'].map((name) => `inc_${name}_${kind}`)
    let queuedAt = LATER - 1_000
    const { deliveries } = await startDeliveries({ sends: false, now: () => queuedAt })
    const first = Promise.withResolvers<void>()
    const made: Pick<Mailing, 'reportId' | 'content'>[] = []
    const sender = await startDeliveries({
      now: () => LATER,
      concurrency: 1,
      render: async ({ reportId, content }) => {
        made.push({ reportId, content })
        if (reportId === others) await first.promise
        return renderIncident(content, { publicUrl: 'https://v.test', attributions: [] })
      },
    })
    try {
      for (const each of [
        incident(others!, [other]),
        incident(alone!, [seen]),
        incident(shared!, [other, seen]),
        incident(hidden!, [other], [other, seen]),
      ]) {
        await stored.write(each.notice.id, each, { by: 'test' })
        await stored.write(each.notice.id, { ...each, recordedAt: new Date(LATER).toISOString() }, { by: 'test' })
        const mailing = { reportId: each.notice.id, kind: 'INCIDENT', subscriptionId: null, content: each.notice }
        expect(await deliveries.enqueue(mailing, ['ann@example.com'])).toBe(1)
        queuedAt = LATER
      }
      // It has read them all, and is at the first.
      sender.deliveries.start()
      await expect.poll(() => made.map(({ reportId }) => reportId), { timeout: 5_000 }).toEqual([others])
      expect(JSON.parse((await forget([ip, '--json'])).stdout)).toMatchObject({
        // Two versions of each of three; the mail of the one that is nobody else's.
        deleted: { store_versions: 6, deliveries: 1 },
      })
      await expect.poll(() => stored.get(alone!), { timeout: 5_000 }).toBeUndefined()
      await expect.poll(() => stored.get(hidden!)?.value?.told, { timeout: 5_000 }).toEqual([other])
      expect(stored.get(shared!)!.value).toMatchObject({
        told: [other],
        evidence: [{ culprit: { ip: other } }],
        notice: { addresses: [{ ip: other }], addressCount: 2, target: null },
      })
      expect(stored.get(others!)!.version).toBe(2)
      for (const table of ['store_versions', 'deliveries'])
        expect(await rowsOf(`${table} WHERE position(toString(tuple(*)), '${seen}"') > 0`), table).toBe(0)

      first.resolve()
      const outbox = join(sender.dataDir, 'outbox')
      await expect
        .poll(
          async () =>
            (await Promise.all([alone, shared, hidden, others].map((id) => deliveries.list(id!))))
              .flat()
              .map(({ state }) => state),
          { timeout: 5_000 },
        )
        .toEqual(['SENT', 'SENT', 'SENT'])
      const mails = await Promise.all((await readdir(outbox)).map((name) => readFile(join(outbox, name), 'utf8')))
      expect(mails).toHaveLength(3)
      for (const { content } of made) expect(content).toMatchObject({ campaign: CAMPAIGN, addresses: [{ ip: other }] })
      for (const mail of mails) expect([mail.includes(other), mail.includes(`${seen},`)]).toEqual([true, false])
    } finally {
      first.resolve()
      await stored.stop()
      await redis.stop()
    }
  },
)

it('counts mails of the outbox that name it, however they are encoded', async () => {
  const folder = join(service.dataDir, 'outbox')
  await mkdir(folder, { recursive: true })
  const composer = createComposer({ mailFrom: 'vedette@example.com', dkim: undefined })
  const write = async (id: string, text: string, content = ''): Promise<void> => {
    const attachments = [{ filename: 'a.csv', type: 'text/csv', content }]
    const rendered = { subject: 'x', html: '', text, images: [], attachments }
    const { bytes } = await composer.compose({ id, to: 'ann@example.com', date: AT, rendered })
    await writeFile(join(folder, `${id}.eml`), bytes)
  }
  await write('folded', `${'x'.repeat(70)} 198.51.100.77`)
  await write('isolated', '\u2068198.51.100.77\u2069')
  await write('base64', `\u2068198.51.100.77\u2069 ${'\u65e5'.repeat(80)}`)
  await write('attached', 'x', 'ip\r\n198.51.100.77\r\n')
  await write('other', '198.51.100.7, 198.51.100.770', '198.51.100.7')
  expect((await forget(['198.51.100.77'])).stderr).toContain('4 mails in')
})

it('finds what was hashed with age', async () => {
  await insertLogs(database.clickhouse, [
    { timestamp: new Date('2026-10-01T10:00:00Z'), ip: '198.51.100.9', batch: batch++ },
  ])
  const anonymiser = createAnonymiser(database.clickhouse, { afterDays: 30, by: 'hash', secret: SECRET })
  for await (const _ of anonymiser.steps(Date.parse('2026-11-24T12:00:00Z')));
  expect(await rowsOf(`request_logs WHERE ip = '::ffff:198.51.100.9'`)).toBe(0)
  const { stdout, stderr } = await forget(['198.51.100.9'], { VEDETTE_SECRET: SECRET })
  expect(stderr).toBe('')
  expect(stdout).toMatch(/^request_logs +1$/m)
})

it('names what it keeps: block list entries unless told otherwise, rows on their way, the security log', async () => {
  const entry = await service.app.blockList.add(
    { cidr: '192.0.2.44', action: 'BLOCK', reason: 'x', expiresAt: null, force: true },
    { by: 'test' },
  )
  const quarantine = join(service.dataDir, 'spool', 'request_logs', 'quarantine')
  await mkdir(quarantine, { recursive: true })
  await writeFile(
    join(quarantine, 'a.segment'),
    'VDR1{}["::ffff:192.0.2.44"]\n["::ffff:192.0.2.4"]\n["192.0.2.44"]\n["1192.0.2.44"]\n',
  )
  await expect
    .poll(async () => JSON.parse((await forget(['192.0.2.44', '--json'])).stdout) as { inSecurityLog: number })
    .toMatchObject({ deleted: {}, blockListEntries: { ids: [entry.id], removed: false }, inSpool: 2, inSecurityLog: 1 })
  const { stderr } = await forget(['192.0.2.44', '--blocks'])
  expect(stderr).toContain(`${entry.id} 192.0.2.44 is off the block list.`)
  expect(stderr).toContain('2 rows of it wait in')
  await expect.poll(() => service.app.blockList.active().length, { timeout: 2_000 }).toBe(0)
})

it('refuses what is no address', async () => {
  expect(await forget(['203.0.113.0/24'])).toMatchObject({
    exitCode: 2,
    stderr: expect.stringMatching(/is not an address/),
  })
})
