import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { createRedis, type Redis } from '../../src/redis/index.ts'
import {
  createReportMail,
  createReportRuns,
  due,
  type Mailing,
  type ReportContent,
} from '../../src/reports/deliver/index.ts'
import { checkSubscription, createSubscriptions, type Subscriptions } from '../../src/reports/subscriptions.ts'
import type { ReportScope } from '../../src/reports/types.ts'
import { StoreError } from '../../src/store/index.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'
import { rendered } from './support.ts'

const database = testDatabase()
let redis: Redis
let subscriptions: Subscriptions
let clock = Date.parse('2026-11-24T12:00:00Z')
const make = (): Subscriptions =>
  createSubscriptions({ clickhouse: database.clickhouse, redis, log: silent, now: () => clock })
/** For those that write. */
const withStore = (): void => {
  beforeEach(async () => {
    clock = Date.parse('2026-11-24T12:00:00Z')
    redis = createRedis([], { log: silent, prefix: 'test:' })
    await redis.start()
    subscriptions = make()
    await subscriptions.start()
  })
  afterEach(async () => {
    await subscriptions.stop()
    await redis.stop()
    await database.empty('store_versions')
  })
}

const DAILY = { name: 'Daily', kind: 'DAILY', cron: '30 7 * * *', recipients: ['ops@example.com'] } as const
const by = { by: 'key_me' }

describe('a subscription', () => {
  withStore()

  it('has what it says, and for the rest what suits most', async () => {
    const saved = await subscriptions.save({ ...DAILY, recipients: ['Ops@EXAMPLE.com', 'ops@example.com'] }, by)
    expect(saved).toMatchObject({
      id: expect.stringMatching(/^sub_\w{12}$/),
      ...DAILY,
      timezone: 'UTC',
      format: 'HTML',
      services: [],
      minSeverity: null,
      skipIfEmpty: false,
      enabled: true,
      recipients: ['ops@example.com'],
    })
    const again = make()
    await again.start()
    expect(again.list()).toEqual([saved])
    await again.stop()
  })

  it('is changed by the fields that are given, and can be removed', async () => {
    const { id } = await subscriptions.save(DAILY, by)
    clock += 60_000
    const renamed = await subscriptions.save({ id, name: 'Every day' }, by)
    expect(renamed).toMatchObject({ name: 'Every day', cron: '30 7 * * *', scheduledSince: new Date(clock - 60_000) })
    expect((await subscriptions.save({ id, cron: '0 8 * * *' }, by)).scheduledSince).toEqual(new Date(clock))
    await subscriptions.remove(id, by)
    expect(subscriptions.list()).toEqual([])
    await expect(subscriptions.save({ id, name: 'x' }, by)).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'id' })
  })

  it('of incidents has no schedule, whatever it had before, and needs one to be of anything else', async () => {
    const { id } = await subscriptions.save(DAILY, by)
    const told = await subscriptions.save({ id, kind: 'INCIDENT', minSeverity: 'CRITICAL' }, by)
    expect(told).toMatchObject({ kind: 'INCIDENT', cron: '', minSeverity: 'CRITICAL' })
    expect(subscriptions.nextRunAt(told)).toBeUndefined()
    expect(await subscriptions.save({ id, cron: '', name: 'At once' }, by)).toMatchObject({ cron: '', name: 'At once' })
    await expect(subscriptions.save({ id, kind: 'DAILY' }, by)).rejects.toMatchObject({
      code: 'INVALID',
      field: 'cron',
    })
  })

  it('that somebody has unsubscribed from stays so, for that address alone, until it is taken back', async () => {
    const who = { subscriptionId: 'sub_1', address: 'Ann@example.com' }
    await subscriptions.unsubscribe(who)
    await subscriptions.unsubscribe(who)
    expect(
      [
        ['sub_1', 'ann@example.com'],
        ['sub_1', 'bob@example.com'],
        ['sub_2', 'ann@example.com'],
      ].map(([id, address]) => subscriptions.isUnsubscribed(id!, address!)),
    ).toEqual([true, false, false])
    await subscriptions.resubscribe(who, by)
    expect(subscriptions.isUnsubscribed('sub_1', 'ann@example.com')).toBe(false)
  })
})

const addresses = (count: number): string[] => Array.from({ length: count }, (_, index) => `a${index}@example.com`)

describe('what a subscription is to be', () => {
  it.each([
    [{ name: 'a\r\nBcc: x' }, 'name'],
    [{ name: '' }, 'name'],
    [{ kind: 'YEARLY' }, 'kind'],
    [{ cron: 'daily' }, 'cron'],
    [{ cron: '* * * * * *' }, 'cron'],
    [{ cron: '@daily' }, 'cron'],
    [{ cron: '61 * * * *' }, 'cron'],
    [{ cron: '0 0 30 2 *' }, 'cron'],
    [{ timezone: '+02:00' }, 'timezone'],
    [{ timezone: 'Mars/Base' }, 'timezone'],
    [{ recipients: [] }, 'recipients'],
    [{ recipients: ['nobody'] }, 'recipients'],
    [{ recipients: ['a@b.example\r\nBcc: x@y.example'] }, 'recipients'],
    [{ recipients: ['Ann <ann@example.com>'] }, 'recipients'],
    [{ recipients: ['a..b@example.com'] }, 'recipients'],
    [{ services: [''] }, 'services'],
    [{ minSeverity: 'SEVERE' }, 'minSeverity'],
    [{ format: 'DOCX' }, 'format'],
    [{ enabled: 'yes' }, 'enabled'],
    [{ kind: 'INCIDENT' }, 'cron'],
    [{ kind: 'INCIDENT', cron: undefined, minSeverity: 'HIGH' }, 'minSeverity'],
    [{ kind: 'INCIDENT', cron: undefined, format: 'CSV' }, 'format'],
  ] as [object, string][])('%j is refused, naming the field', (given, field) => {
    const check = () => checkSubscription({ ...DAILY, ...given })
    expect(check).toThrow(StoreError)
    expect(check).toThrow(
      expect.objectContaining({ code: 'INVALID', field, message: expect.stringContaining('; allowed is ') }),
    )
  })

  it('has 500 recipients at most', () => {
    expect(checkSubscription({ ...DAILY, recipients: addresses(500) }).recipients).toHaveLength(500)
    expect(() => checkSubscription({ ...DAILY, recipients: addresses(501) })).toThrow('recipients is "501 addresses"')
  })
})

const next = (cron: string, timezone: string, after: string): string | undefined =>
  make()
    .nextRunAt(checkSubscription({ ...DAILY, cron, timezone }), new Date(after))
    ?.toISOString()

describe('the next run', () => {
  it.each([
    [
      'every day by the clock on the wall, before clocks change',
      '30 7 * * *',
      '2026-10-24T12:00:00Z',
      '2026-10-25T06:30:00.000Z',
    ],
    ['and after', '30 7 * * *', '2026-10-25T12:00:00Z', '2026-10-26T06:30:00.000Z'],
    ['in summer', '30 7 * * *', '2026-10-23T12:00:00Z', '2026-10-24T05:30:00.000Z'],
    [
      'of a time that clocks skip comes right after the jump',
      '30 2 * * *',
      '2026-03-28T12:00:00Z',
      '2026-03-29T01:00:00.000Z',
    ],
    ['of a time that clocks show twice comes once', '30 2 * * *', '2026-10-25T00:31:00Z', '2026-10-26T01:30:00.000Z'],
    ['on Mondays', '0 8 * * 1', '2026-11-24T12:00:00Z', '2026-11-30T07:00:00.000Z'],
  ])('%s', (_, cron, after, expected) => {
    expect(next(cron, 'Europe/Berlin', after)).toBe(expected)
  })

  it('of one that is switched off is none', () => {
    expect(make().nextRunAt(checkSubscription({ ...DAILY, enabled: false }))).toBeUndefined()
  })
})

describe('what is due', () => {
  it('is what the next run was said to be, on days on which clocks change too', () => {
    for (const cron of ['30 2 * * *', '*/20 * * * *', '0 1,2,3 * * *'])
      for (const day of ['2026-03-29', '2026-10-25']) {
        const berlin = checkSubscription({ ...DAILY, cron, timezone: 'Europe/Berlin' })
        const end = Date.parse(`${day}T04:00:00Z`)
        for (let after = new Date(`${day}T00:00:00Z`); ;) {
          const next = make().nextRunAt(berlin, after)!
          if (next.getTime() > end) break
          expect([cron, due(berlin, after, next)]).toEqual([cron, next])
          after = next
        }
      }
  })

  const daily = checkSubscription(DAILY)
  it.each([
    ['nothing before its time', '2026-11-23T07:30:00Z', '2026-11-24T07:29:59Z', undefined],
    ['a run at its second', '2026-11-23T07:30:00Z', '2026-11-24T07:30:00Z', '2026-11-24T07:30:00.000Z'],
    ['no run twice', '2026-11-24T07:30:00Z', '2026-11-24T12:00:00Z', undefined],
    ['after a downtime the latest alone', '2026-11-01T07:30:00Z', '2026-11-24T12:00:00Z', '2026-11-24T07:30:00.000Z'],
  ])('is %s', (_, after, now, expected) => {
    expect(due(daily, new Date(after), new Date(now))?.toISOString()).toBe(expected)
  })
})

/** Runs that queue into a list. */
const run = async ({
  empty = false,
  isClosed = () => true,
}: { empty?: boolean; isClosed?: (to: Date) => boolean } = {}) => {
  const queued: { mailing: Mailing; recipients: readonly string[] }[] = []
  const scopes: ReportScope[] = []
  const reports = createReportMail({
    publicUrl: '',
    now: () => clock,
    builder: {
      build: (scope) => {
        scopes.push(scope)
        const id = `rep_${scope.kind}_${scope.period.from.toISOString()}`
        return Promise.resolve({ id, scope, generatedAt: new Date(0), headline: '', sections: [], empty })
      },
    },
    renderer: {
      mail: (_, { unsubscribeUrl }) => Promise.resolve(rendered(unsubscribeUrl)),
      pdf: () => Promise.resolve(Buffer.of()),
    },
  })
  const runs = createReportRuns({
    clickhouse: database.clickhouse,
    redis,
    log: silent,
    subscriptions,
    deliveries: {
      enqueue: (mailing, recipients) => Promise.resolve(queued.push({ mailing, recipients })),
    },
    reports,
    newestIncident: () => undefined,
    isClosed: (to) => Promise.resolve(isClosed(to)),
    makes: false,
    now: () => clock,
  })
  await runs.start()
  return { runs, queued, scopes, reports }
}

describe('reports that are due', () => {
  withStore()

  it('are made of the last whole period and queued for each recipient, once, whoever looks again', async () => {
    const { id } = await subscriptions.save({ ...DAILY, timezone: 'Europe/Berlin', services: ['shop'] }, by)
    const { runs, queued, scopes, reports } = await run()
    await runs.catchUp()
    expect(queued).toEqual([])
    clock = Date.parse('2026-11-27T06:30:00Z')
    await runs.catchUp()
    await runs.catchUp()
    expect(queued).toHaveLength(1)
    expect(queued[0]).toMatchObject({ mailing: { kind: 'DAILY', subscriptionId: id }, recipients: ['ops@example.com'] })
    expect(scopes[0]).toMatchObject({
      period: { from: new Date('2026-11-25T23:00:00Z'), to: new Date('2026-11-26T23:00:00Z') },
      services: ['shop'],
    })
    expect(runs.lastRun(id)).toMatchObject({ at: '2026-11-27T06:30:00.000Z', outcome: 'QUEUED' })
    const { mailing } = queued[0]!
    // As it comes out of the table.
    const content = JSON.parse(JSON.stringify(mailing.content)) as ReportContent
    expect((await reports.render({ ...mailing, content }, { unsubscribeUrl: 'u' })).html).toContain('href="u"')
    expect(
      (await reports.render({ ...mailing, content: { ...content, format: 'CSV' } }, { unsubscribeUrl: 'u' })).html,
    ).toBe('')
    // Built once for all that are due at once, and anew where what came late would be missing.
    expect(scopes).toHaveLength(1)
    clock += 60_000
    await reports.render({ ...mailing, content }, { unsubscribeUrl: 'u' })
    expect(scopes).toHaveLength(2)
    await runs.stop()
  })

  it('wait until their hours are closed, and are not sent where nothing is in them and that is wished', async () => {
    const { id } = await subscriptions.save({ ...DAILY, skipIfEmpty: true }, by)
    clock = Date.parse('2026-11-25T07:30:00Z')
    let closed = false
    const { runs, queued, scopes } = await run({ empty: true, isClosed: () => closed })
    await runs.catchUp()
    expect(scopes).toEqual([])
    closed = true
    await runs.catchUp()
    expect([queued, runs.lastRun(id)?.outcome]).toEqual([[], 'EMPTY'])
    await runs.stop()
  })

  it('can be tried out by one address, any number of times', async () => {
    const { id } = await subscriptions.save(DAILY, by)
    const { runs, queued, scopes, reports } = await run()
    for (let time = 0; time < 2; time++) await runs.sendTest(id, 'me@example.com')
    expect(new Set(queued.map(({ mailing }) => mailing.occasion)).size).toBe(2)
    // Each as it is then, and none is what subscribers get once the hours are closed.
    for (const { mailing } of queued) await reports.render(mailing, { unsubscribeUrl: undefined })
    await reports.build(queued[0]!.mailing.content as ReportContent)
    expect(scopes).toHaveLength(3)
    await expect(runs.sendTest('sub_x', 'me@example.com')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    const incidents = await subscriptions.save({ ...DAILY, cron: undefined, kind: 'INCIDENT', services: ['shop'] }, by)
    await expect(runs.sendTest(incidents.id, 'me@example.com')).rejects.toThrow(
      'there is no incident yet that touches shop',
    )
    await expect(runs.sendTest(id, 'me')).rejects.toMatchObject({ code: 'INVALID', field: 'recipient' })
    await runs.stop()
  })
})
