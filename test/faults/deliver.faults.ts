import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'

import { afterEach, beforeEach, expect, inject, test } from 'vitest'

import { createDeliveryTable, deliveryId } from '../../src/reports/deliver/table.ts'
import { startVictim, type Victim } from '../jobs/kills.ts'
import { mailing } from '../reports/fixtures.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { type Behaviour, startSmtp, type TestSmtp } from '../support/smtp.ts'

const RUNS = Number(process.env['RUNS'] ?? 3)
const RECIPIENTS = 200
const SENDER = fileURLToPath(new URL('../reports/sender.ts', import.meta.url))

const database = testDatabase()
let smtp: TestSmtp
let senders: Victim[] = []
beforeEach(async () => {
  smtp = await startSmtp()
})
afterEach(async () => {
  await Promise.all(senders.map((sender) => sender.kill()))
  senders = []
  await smtp.stop()
})

const isOpen = ({ state }: { state: string }): boolean => state === 'QUEUED' || state === 'SENDING'

/** Refuses one in ten for a while, refuses some for good, and now and then hangs or hangs up, before the end of a mail or after it. */
const moody =
  (until: number) =>
  (to: string): Behaviour => {
    if (to.startsWith('gone')) return { refuse: 550, at: 'recipient' }
    const dice = Math.random()
    if (dice < 0.1 && Date.now() < until) return { refuse: 451, at: dice < 0.05 ? 'recipient' : 'end' }
    if (dice > 0.99) return 'hang after end'
    if (dice > 0.98) return 'hang before end'
    if (dice > 0.97) return 'drop after end'
    if (dice > 0.96) return 'drop before end'
    return 'accept'
  }

test.each(Array.from({ length: RUNS }, (_, run) => run + 1))(
  'run %i: 200 recipients, a moody mail server, two processes, one killed at a random moment: nobody gets two, and the record tells of each',
  { timeout: 120_000 },
  async () => {
    const startedAt = Date.now()
    smtp.behave = moody(startedAt + 6_000)
    const env = {
      CLICKHOUSE_URL: database.url,
      REDIS_URL: inject('redisUrl'),
      REDIS_PREFIX: `${randomUUID()}:`,
      SMTP_URL: smtp.url,
    }
    const table = createDeliveryTable(database.clickhouse, 'test')
    const report = mailing({ reportId: `rep_${randomUUID()}` })
    const { reportId } = report
    const recipients = Array.from(
      { length: RECIPIENTS },
      (_, index) => `${index < 4 ? 'gone' : 'x'}${index}@example.com`,
    )
    const at = new Date()
    await table.record(
      recipients.map((recipient) => ({
        task: {
          id: deliveryId(report, recipient),
          mailing: report,
          recipient,
          attempt: 1,
          state: 'QUEUED',
          queuedAt: at,
          dueAt: at,
        },
        state: 'QUEUED',
      })),
    )
    // The one that works is killed; the other takes over, and a third comes in its place.
    senders = [startVictim(SENDER, env)]
    await senders[0]!.atWork
    senders.push(startVictim(SENDER, env))
    const moment = Math.random() * RECIPIENTS * 0.8
    await expect.poll(() => smtp.received.length, { timeout: 30_000, interval: 5 }).toBeGreaterThanOrEqual(moment)
    await senders[0]!.kill()
    const atKill = smtp.received.length
    senders.push(startVictim(SENDER, env))

    const list = () => table.list({ reportId })
    await expect.poll(async () => (await list()).filter(isOpen).length, { timeout: 60_000, interval: 500 }).toBe(0)

    const deliveries = await list()
    const got = new Set(smtp.accepted.map(({ to }) => to))
    const by = Map.groupBy(deliveries, ({ state }) => state)
    const count = Object.fromEntries([...by].map(([state, some]) => [state, some.length]))
    console.log(
      `deliver: killed after ${atKill} mails, over after ${Math.round((Date.now() - startedAt) / 1000)} s: ${JSON.stringify(count)}, ${got.size} have it`,
    )
    expect(deliveries).toHaveLength(RECIPIENTS)
    // Nobody gets one more after one that was taken, or that came whole and was not answered.
    const messages = Map.groupBy(smtp.received, ({ to }) => to)
    for (const [to, some] of messages)
      expect([to, some.slice(0, -1).filter(({ answer }) => answer !== 451)]).toEqual([to, []])
    // Whoever is said to have it has it; who has it is said to, or the connection or the process was lost just then.
    for (const { recipient, state, error } of deliveries) {
      if (state === 'SENT') expect(got).toContain(recipient)
      else expect([state, error]).toEqual([expect.stringMatching(/^(UNKNOWN|BOUNCED|FAILED)$/), expect.any(String)])
      if (got.has(recipient)) expect(['SENT', 'UNKNOWN']).toContain(state)
      if (recipient.startsWith('gone')) expect(state).toBe('BOUNCED')
    }
    // No more than one for each slot at the kill, and those that the server left without an answer.
    expect(by.get('UNKNOWN')?.length ?? 0).toBeLessThan(RECIPIENTS / 8)
  },
)
