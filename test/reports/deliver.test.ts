import { execFile } from 'node:child_process'
import { createVerify, generateKeyPairSync, randomUUID } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

import * as fc from 'fast-check'
import { simpleParser } from 'mailparser'
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest'

import { createUnsubscribeTokens } from '../../src/reports/deliver/index.ts'
import { createAttempt } from '../../src/reports/deliver/attempt.ts'
import { createComposer } from '../../src/reports/deliver/message.ts'
import { createSmtp } from '../../src/reports/deliver/smtp.ts'
import { isAlone } from '../../src/reports/deliver/table.ts'
import { sql } from '../../src/clickhouse/index.ts'
import { silent, testDatabase } from '../support/clickhouse.ts'
import { type Behaviour, startSmtp, type TestSmtp } from '../support/smtp.ts'
import { mailing, PUBLIC_URL, rendered, SECRET, type Started, testDeliveries } from './support.ts'

const database = testDatabase()

let smtp: TestSmtp
beforeEach(async () => {
  smtp = await startSmtp()
})
afterEach(async () => {
  await smtp.stop()
  await database.empty('deliveries')
})
// After those, so that its senders are stopped before the table is emptied.
const start = testDeliveries(database)

const trace = (attempt: number, state: string, owner: string) => ({ attempt, state, owner })

/** `ann SENT 1` for each recipient of the report, once none is open. */
const told = async ({ deliveries }: Started, reportId = 'rep_1'): Promise<string[]> =>
  (await deliveries.list(reportId)).map(
    ({ recipient, state, attempts }) => `${recipient.split('@')[0]} ${state} ${attempts}`,
  )

const send = async (
  recipients: readonly string[],
  behave: (to: string, attempt: number) => Behaviour,
  settings: Parameters<typeof start>[0] = {},
): Promise<Started> => {
  smtp.behave = behave
  const started = await start({ smtpUrl: smtp.url, ...settings })
  await started.deliveries.enqueue(mailing(), recipients)
  started.deliveries.start()
  return started
}

describe('a mail', () => {
  it('arrives as HTML, as a text that stands alone, with pictures and tables, and can be unsubscribed by one click', async () => {
    const sent = await send(['Ann@example.com'], () => 'accept')
    await expect.poll(() => told(sent)).toEqual(['Ann SENT 1'])
    const mail = await smtp.parse()
    const url = `${PUBLIC_URL}/unsubscribe/${createUnsubscribeTokens(SECRET).make({ subscriptionId: 'sub_1', address: 'Ann@example.com' })}`
    expect(mail).toMatchObject({
      subject: 'Daily report: 3 findings',
      from: { text: '"Vedette" <vedette@example.com>' },
      to: { text: 'Ann@example.com' },
      text: `Größe\n\n.a line that begins with a dot\nUnsubscribe: ${url}\n`,
    })
    expect(mail.html).toContain(`<a href="${url}">`)
    expect(mail.attachments.map(({ filename, contentType, cid }) => [filename, contentType, cid])).toEqual([
      ['chart-1.png', 'image/png', 'chart-1'],
      ['top-addresses.csv', 'text/csv', undefined],
    ])
    expect(mail.attachments[1]!.content.toString()).toBe('address,requests\r\n203.0.113.9,12\r\n')
    const [{ id, queuedAt }] = (await sent.deliveries.list('rep_1')) as unknown as [{ id: string; queuedAt: Date }]
    expect(mail).toMatchObject({ messageId: `<${id}@example.com>` })
    expect(mail.date!.getTime()).toBe(Math.floor(queuedAt.getTime() / 1_000) * 1_000)
    const raw = smtp.received[0]!.bytes.toString()
      .replaceAll(/\r\n[ \t]+/g, ' ')
      .replaceAll(/^List-ID/gm, 'List-Id')
    for (const line of [
      'Auto-Submitted: auto-generated',
      'List-Id: <sub_1.reports.example.com>',
      `List-Unsubscribe: <${url}>`,
      'List-Unsubscribe-Post: List-Unsubscribe=One-Click',
    ])
      expect(raw.split('\r\n')).toContain(line)
  })

  it('has no header that a subject smuggles in, and no marks that turn its text around', async () => {
    const { compose } = createComposer({ mailFrom: 'a@example.com', dkim: undefined })
    const letters = fc.constantFrom('\r', '\n', '\0', '\u202e', '\u2066', '\u2028', 'Bcc: x@example.com', ':', 'a', ' ')
    await fc.assert(
      fc.asyncProperty(fc.array(letters, { maxLength: 30 }), async (parts) => {
        const mail = { id: 'dlv_1', to: 'b@example.com', date: new Date(0), rendered: rendered('', parts.join('')) }
        const parsed = await simpleParser((await compose(mail)).bytes)
        expect(parsed.bcc).toBeUndefined()
        expect(parsed.subject ?? '').not.toMatch(/[\p{Cc}\u202e\u2066\u2028]/u)
      }),
      { numRuns: 30 },
    )
  })

  it('is signed by DKIM where that is set, the links to unsubscribe with it', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const folder = await mkdtemp(join(tmpdir(), 'vedette-dkim-'))
    const keyFile = join(folder, 'key.pem')
    await writeFile(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }))
    const sent = await send(['ann@example.com'], () => 'accept', {
      dkim: { domain: 'example.com', selector: 'v1', keyFile },
    })
    await rm(folder, { recursive: true })
    await expect.poll(() => told(sent)).toEqual(['ann SENT 1'])
    const raw = smtp.received[0]!.bytes.toString('latin1')
    const headers = raw.slice(0, raw.indexOf('\r\n\r\n')).split(/\r\n(?![ \t])/)
    const relaxed = headers.map((line) => {
      const [, name, value] = /^([^:]+):([^]*)$/.exec(line)!
      return [
        name!.toLowerCase(),
        value!
          .replaceAll(/\r\n/g, '')
          .replaceAll(/[ \t]+/g, ' ')
          .trim(),
      ] as const
    })
    const [, signature] = relaxed.find(([name]) => name === 'dkim-signature')!
    const tags = Object.fromEntries(
      signature.split(/;\s*/).map((tag) => [tag.slice(0, tag.indexOf('=')), tag.slice(tag.indexOf('=') + 1)]),
    )
    const signed = tags['h']!.replaceAll(' ', '').toLowerCase().split(':')
    expect(tags).toMatchObject({ d: 'example.com', s: 'v1' })
    expect(signed).toEqual(expect.arrayContaining(['from', 'subject', 'list-unsubscribe', 'list-unsubscribe-post']))
    const values = new Map(relaxed)
    const verify = createVerify('RSA-SHA256')
    for (const name of signed) if (values.has(name)) verify.update(`${name}:${values.get(name)}\r\n`, 'latin1')
    verify.update(`dkim-signature:${signature.replace(/b=[^;]*$/, 'b=')}`, 'latin1')
    expect(verify.verify(publicKey, tags['b']!.replaceAll(' ', ''), 'base64')).toBe(true)
  })

  it('is a file of the outbox where there is no mail server', async () => {
    const started = await start()
    await started.deliveries.enqueue(mailing({ subscriptionId: null }), ['ann@example.com', 'bob@example.com'])
    started.deliveries.start()
    await expect.poll(() => told(started)).toEqual(['ann SENT 1', 'bob SENT 1'])
    const folder = join(started.dataDir, 'outbox')
    const ids = (await started.deliveries.list('rep_1')).map(({ id }) => `${id}.eml`)
    expect((await readdir(folder)).toSorted()).toEqual(ids.toSorted())
    const mail = await simpleParser(await readFile(join(folder, ids[0]!)))
    expect([mail.to, mail.headers.has('list')]).toMatchObject([{ text: 'ann@example.com' }, false])
  })
})

describe('what a mail server does', () => {
  const cases: { name: string; first: Behaviour; told: string[]; accepted: number }[] = [
    {
      name: '4xx for the recipient: again',
      first: { refuse: 450, at: 'recipient' },
      told: ['ann SENT 2', 'bob SENT 1'],
      accepted: 2,
    },
    {
      name: '4xx for the whole message: again',
      first: { refuse: 451, at: 'end' },
      told: ['ann SENT 2', 'bob SENT 1'],
      accepted: 2,
    },
    {
      name: '5xx for the recipient: never again',
      first: { refuse: 550, at: 'recipient' },
      told: ['ann BOUNCED 1', 'bob SENT 1'],
      accepted: 1,
    },
    {
      name: '5xx for the whole message: never again',
      first: { refuse: 554, at: 'end' },
      told: ['ann BOUNCED 1', 'bob SENT 1'],
      accepted: 1,
    },
    {
      name: 'no word before the end: again',
      first: 'hang before end',
      told: ['ann SENT 2', 'bob SENT 1'],
      accepted: 2,
    },
    {
      name: 'no word after the end: unknown, and not again',
      first: 'hang after end',
      told: ['ann UNKNOWN 1', 'bob SENT 1'],
      accepted: 1,
    },
    {
      name: 'connection lost before the end: again',
      first: 'drop before end',
      told: ['ann SENT 2', 'bob SENT 1'],
      accepted: 2,
    },
    {
      name: 'connection lost after the end: unknown, and not again',
      first: 'drop after end',
      told: ['ann UNKNOWN 1', 'bob SENT 1'],
      accepted: 1,
    },
  ]
  it.each(cases)('$name', async ({ first, told: expected, accepted }) => {
    const hangs = typeof first === 'string' && first.startsWith('hang')
    const sent = await send(
      ['ann@example.com', 'bob@example.com'],
      (to, attempt) => (to.startsWith('ann') && attempt === 1 ? first : 'accept'),
      hangs ? { smtpTimes: { sendMs: 1_500, answerMs: 500 } } : {},
    )
    await expect.poll(() => told(sent)).toEqual(expected)
    expect(smtp.accepted).toHaveLength(accepted)
    const ids = await Promise.all(smtp.received.map(async (_, index) => (await smtp.parse(index)).messageId))
    expect(new Set(ids).size).toBe(smtp.received.some(({ to }) => to.startsWith('ann')) ? 2 : 1)
  })

  it('is told with the reason and what happens next', async () => {
    const sent = await send(['ann@example.com'], () => ({ refuse: 450, at: 'recipient' }), { retryAfterMs: [60_000] })
    await expect
      .poll(async () => (await sent.deliveries.list('rep_1'))[0])
      .toMatchObject({ state: 'QUEUED', attempts: 1, error: expect.stringMatching(/^450 .*; it is tried again at 2/) })
  })

  it('for too long ends the attempts, with the reason', async () => {
    // The next attempt would be after the end, however slow this machine is.
    const sent = await send(['ann@example.com'], () => ({ refuse: 450, at: 'recipient' }), {
      retryAfterMs: [60_000],
      giveUpAfterMs: 30_000,
    })
    await expect
      .poll(async () => (await sent.deliveries.list('rep_1'))[0])
      .toMatchObject({ state: 'FAILED', error: expect.stringMatching(/^given up after 1 attempt: 450/) })
  })

  it('keeps mails of others waiting for none that it is slow with', async () => {
    const others = Array.from({ length: 6 }, (_, index) => `x${index}@example.com`)
    const sent = await send(
      ['ann@example.com', ...others],
      (to) => (to.startsWith('ann') ? 'hang after end' : 'accept'),
      {
        concurrency: 2,
        smtpTimes: { sendMs: 20_000, answerMs: 20_000 },
      },
    )
    await expect.poll(() => smtp.accepted.length).toBe(6)
    await expect
      .poll(async () => (await told(sent)).filter((line) => !line.endsWith(' SENT 1')))
      .toEqual(['ann SENDING 1'])
  })
})

describe('TLS', () => {
  it('is asked for before anything is told, and not gone without', async () => {
    const sent = await send(['ann@example.com'], () => 'accept', { smtpTls: 'required', retryAfterMs: [60_000] })
    await expect
      .poll(async () => (await sent.deliveries.list('rep_1'))[0])
      .toMatchObject({ state: 'QUEUED', attempts: 1, error: expect.stringMatching(/STARTTLS.*SMTP_TLS is off/) })
    expect(smtp.received).toEqual([])
  })

  it('takes certificates of those whom it trusts, and of nobody else', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'vedette-tls-'))
    const [keyPath, certPath] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    const asked = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout ${keyPath} -out ${certPath}`
    await promisify(execFile)('openssl', asked.split(' '))
    const [key, cert] = await Promise.all([readFile(keyPath), readFile(certPath)])
    await rm(folder, { recursive: true })
    const server = await startSmtp({ key, cert })
    const { compose } = createComposer({ mailFrom: 'a@example.com', dkim: undefined })
    const message = await compose({ id: 'dlv_1', to: 'ann@example.com', date: new Date(), rendered: rendered() })
    const never = new AbortController().signal
    const attempt = (tls: object) =>
      createSmtp(
        { smtpUrl: server.url, smtpTls: 'required' },
        { sendMs: 5_000, answerMs: 5_000 },
        tls,
      )(message, {
        mayEnd: () => Promise.resolve(true),
        signal: never,
        cut: never,
      })
    expect(await attempt({})).toMatchObject({ outcome: 'later', reason: expect.stringMatching(/certificate/) })
    expect(await attempt({ ca: cert })).toMatchObject({ outcome: 'taken' })
    expect(server.accepted).toHaveLength(1)
    await server.stop()
  })
})

describe('never twice', () => {
  const people = ['ann@example.com', 'bob@example.com']

  it('whoever asks for the same report again', async () => {
    const sent = await send(people, () => 'accept')
    await expect.poll(() => told(sent)).toEqual(['ann SENT 1', 'bob SENT 1'])
    expect(await sent.deliveries.enqueue(mailing(), [...people, 'cid@example.com'])).toBe(1)
    await expect.poll(() => told(sent)).toEqual(['ann SENT 1', 'bob SENT 1', 'cid SENT 1'])
    expect(smtp.received).toHaveLength(3)
  })

  it('also where two processes queue and send at once, with Redis or without', { timeout: 20_000 }, async () => {
    const many = Array.from({ length: 8 }, (_, index) => `x${index}@example.com`)
    for (const redisUrls of [[inject('redisUrl')], []]) {
      const [one, other] = (await Promise.all(
        [1, 2].map(() => start({ smtpUrl: smtp.url, redisUrls, prefix: `${randomUUID()}:` })),
      )) as [Started, Started]
      await Promise.all([one, other].map(({ deliveries }) => deliveries.enqueue(mailing(), many)))
      one.deliveries.start()
      other.deliveries.start()
      await expect.poll(async () => (await told(one)).every((line) => / (SENT|UNKNOWN) 1$/.test(line))).toBe(true)
      expect(new Set(smtp.received.map(({ to }) => to)).size).toBe(smtp.received.length)
      await Promise.all([one, other].map(({ deliveries }) => deliveries.stop()))
      smtp.received.length = 0
      await database.empty('deliveries')
    }
  })

  it('by a process that finds one that another was sending when it died: it is unknown', async () => {
    const sent = await send(['ann@example.com'], () => 'hang after end', {
      smtpTimes: { sendMs: 20_000, answerMs: 20_000 },
    })
    await expect.poll(() => told(sent)).toEqual(['ann SENDING 1'])
    const next = await start({ smtpUrl: smtp.url })
    next.deliveries.start()
    await expect.poll(() => told(next)).toEqual(['ann UNKNOWN 1'])
    expect(smtp.received).toHaveLength(1)
  })

  it('and what was queued is sent after a restart, made anew from what it is about', async () => {
    const first = await start({ smtpUrl: smtp.url })
    await first.deliveries.enqueue(mailing(), people)
    await first.deliveries.stop()
    const next = await start({ smtpUrl: smtp.url })
    next.deliveries.start()
    await expect.poll(() => told(next)).toEqual(['ann SENT 1', 'bob SENT 1'])
    expect(next.made).toEqual([{ day: '2026-11-24' }])
  })

  it('a sender that is stopped ends what it can and leaves the rest as unknown', async () => {
    const sent = await send(['ann@example.com'], () => 'hang after end', {
      smtpTimes: { sendMs: 20_000, answerMs: 20_000 },
    })
    await expect.poll(() => smtp.received.length).toBe(1)
    await sent.deliveries.stop(50)
    expect(await told(sent)).toEqual(['ann UNKNOWN 1'])
  })

  it('whoever has unsubscribed gets none', async () => {
    const sent = await send(people, () => 'accept', { isUnsubscribed: (_, address) => address.startsWith('bob') })
    await expect.poll(() => told(sent)).toEqual(['ann SENT 1', 'bob SUPPRESSED 0'])
    expect(smtp.received).toHaveLength(1)
  })

  it('and what could not be queued, ClickHouse being away, is queued by the same again', async () => {
    const sent = await send([], () => 'accept')
    await database.clickhouse.command(sql`RENAME TABLE deliveries TO deliveries_away`)
    await expect(sent.deliveries.enqueue(mailing(), people)).rejects.toThrow(/deliveries/)
    await database.clickhouse.command(sql`RENAME TABLE deliveries_away TO deliveries`)
    expect(await sent.deliveries.enqueue(mailing(), people)).toBe(2)
    await expect.poll(() => told(sent)).toEqual(['ann SENT 1', 'bob SENT 1'])
    expect(smtp.received).toHaveLength(2)
  })
})

it('what cannot be recorded is not handed over, and tried again', async () => {
  const attempt = createAttempt({
    table: { claim: () => Promise.reject(new Error('ClickHouse is away')) },
    composer: createComposer({ mailFrom: 'a@example.com', dkim: undefined }),
    smtp: createSmtp({ smtpUrl: smtp.url, smtpTls: 'off' }),
    outbox: () => Promise.resolve(''),
    render: () => Promise.resolve(rendered()),
    tokens: createUnsubscribeTokens(SECRET),
    urlOf: (token) => token,
    isUnsubscribed: () => false,
    retryAfterMs: [60_000],
    giveUpAfterMs: 3_600_000,
    now: Date.now,
    log: silent,
  })
  const at = new Date()
  const task = { id: 'dlv_1', mailing: mailing(), recipient: 'ann@example.com', attempt: 1, queuedAt: at, dueAt: at }
  const never = new AbortController().signal
  const { change } = await attempt({ ...task, state: 'QUEUED' }, () => true, { signal: never, cut: never })
  expect(change).toMatchObject({ state: 'QUEUED', attempt: 2, error: expect.stringContaining('ClickHouse is away') })
  expect(smtp.received).toEqual([])
})

describe('of two that send one mail at most one may let it go', () => {
  const queued = trace(1, 'queued', 'q')
  it.each([
    ['alone', [queued, trace(1, 'sending', 'a')], 1, true],
    ['not where another wrote', [queued, trace(1, 'sending', 'b')], 1, false],
    ['not where both wrote', [queued, trace(1, 'sending', 'a'), trace(1, 'sending', 'b')], 1, false],
    ['not where it has no row', [queued], 1, false],
    ['not where another went on', [queued, trace(1, 'sending', 'a'), trace(2, 'queued', 'b')], 1, false],
    [
      'again after an answer to itself',
      [queued, trace(1, 'sending', 'b'), trace(2, 'queued', 'b'), trace(2, 'sending', 'a')],
      2,
      true,
    ],
    [
      'not after an attempt that got no answer',
      [queued, trace(1, 'sending', 'b'), trace(2, 'queued', 'a'), trace(2, 'sending', 'a')],
      2,
      false,
    ],
    ['not once it is known', [queued, trace(1, 'sending', 'a'), trace(1, 'unknown', 'b')], 1, false],
  ])('%s', (_, traces, attempt, expected) => {
    expect(isAlone(traces, attempt, 'a')).toBe(expected)
  })
})
