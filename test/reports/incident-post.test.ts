import { readFile } from 'node:fs/promises'

import { buildSchema, parse, validate } from 'graphql'
import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { placeOf, RefusedTarget } from '../../src/reports/incident/address.ts'
import { slackBody } from '../../src/reports/incident/body.ts'
import { createPost, PostError, targetOf } from '../../src/reports/incident/post.ts'
import { renderIncident } from '../../src/reports/incident/index.ts'
import { evidenceOf, noticeOf, type Suspect } from '../../src/reports/incident/notice.ts'
import { PUBLIC_URL } from './fixtures.ts'
import { HOSTILE, notice, startReceiver, WEBHOOK_SECRET } from './incident-support.ts'

let receiver: Awaited<ReturnType<typeof startReceiver>>
beforeEach(async () => {
  receiver = await startReceiver((path) => ({ '/moved': 302, '/gone': 410, '/busy': 503 })[path] ?? 200)
})
afterEach(() => receiver.stop())

const post = (url: string, allow = ['127.0.0.0/8', '::1/128']) =>
  createPost({ secret: WEBHOOK_SECRET, allow, publicUrl: PUBLIC_URL })({
    target: targetOf(url),
    notice: notice(),
    attempt: 0,
    signal: new AbortController().signal,
  })

describe('a webhook', () => {
  it('is signed as Standard Webhooks has it, and holds what happened as it was', async () => {
    await post(`${receiver.url}/hook?a=b`)
    const [{ headers, body, path }] = receiver.received as [(typeof receiver.received)[0]]
    const { link, ...data } = notice()
    expect(path).toBe('/hook?a=b')
    expect(headers).toMatchObject({ 'webhook-id': 'inc_1', 'content-type': 'application/json' })
    expect(new Webhook(WEBHOOK_SECRET).verify(body, headers as Record<string, string>)).toEqual({
      type: 'incident',
      timestamp: '2026-11-20T13:00:00.000Z',
      data: { ...data, url: `${PUBLIC_URL}${link}` },
    })
    expect(() => new Webhook(WEBHOOK_SECRET).verify(`${body} `, headers as Record<string, string>)).toThrow()
  })

  it('of Slack gets a text and no signature', async () => {
    await post(`slack+${receiver.url}/slack`)
    const [{ headers, body }] = receiver.received as [(typeof receiver.received)[0]]
    expect(Object.keys(headers).filter((name) => name.startsWith('webhook-'))).toEqual([])
    expect(Object.keys(JSON.parse(body) as object)).toEqual(['text'])
  })

  it('that redirects is not followed, nor asked again; one that is busy may be', async () => {
    await expect(post(`${receiver.url}/moved`)).rejects.toMatchObject({ name: 'PostError', mayPass: false })
    await expect(post(`${receiver.url}/gone`)).rejects.toMatchObject({ name: 'PostError', mayPass: false })
    await expect(post(`${receiver.url}/busy`)).rejects.toMatchObject({ name: 'PostError', mayPass: true })
    expect(receiver.received.map(({ path }) => path)).toEqual(['/moved', '/gone', '/busy'])
  })

  it('that answers without an end is hung up on', async () => {
    await post(`${receiver.url}/endless`)
  })

  it('is reached by its name, which is told, where its addresses are allowed', async () => {
    await post(`http://localhost:${receiver.port}/named`).catch((error: unknown) => {
      // Where localhost is ::1 first, nobody listens there; the second attempt goes to the other address.
      if (!(error instanceof PostError) || !error.mayPass) throw error
      return createPost({ secret: WEBHOOK_SECRET, allow: ['127.0.0.0/8', '::1/128'], publicUrl: PUBLIC_URL })({
        target: targetOf(`http://localhost:${receiver.port}/named`),
        notice: notice(),
        attempt: 1,
        signal: new AbortController().signal,
      })
    })
    expect(receiver.of('/named')[0]!.headers.host).toBe(`localhost:${receiver.port}`)
  })

  it.each(['http://127.0.0.1', 'http://localhost', 'http://2130706433', 'http://0x7f.1', 'http://[::ffff:127.0.0.1]'])(
    '%s is told nothing, however it is written, unless it is allowed',
    async (url) => {
      await expect(post(`${url}:${receiver.port}/inside`, [])).rejects.toThrow(RefusedTarget)
      await expect(post(`${url}:${receiver.port}/inside`, ['10.0.0.0/8'])).rejects.toThrow(RefusedTarget)
      expect(receiver.received).toEqual([])
    },
  )
})

describe('targets', () => {
  it.each([
    '10.1.2.3',
    '172.31.0.1',
    '192.168.1.1',
    '127.9.9.9',
    '0.0.0.0',
    '169.254.169.254',
    '100.64.0.1',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    '198.18.0.1',
    '203.0.113.1',
    '224.0.0.1',
    '255.255.255.255',
    '[::]',
    '[::1]',
    '[::7f00:1]',
    '[fe80::1]',
    '[fec0::1]',
    '[fd00:ec2::254]',
    '[ff02::1]',
    '[::ffff:10.0.0.1]',
    '[64:ff9b::10.0.0.1]',
    '[64:ff9b:1::1]',
    '[2002:7f00:1::]',
    '[2001:0:4136:e378:8000:63bf:3fff:fdd2]',
    '[2001:db8::1]',
    '[100::1]',
    'localhost',
  ])('https://%s is refused', async (host) => {
    await expect(placeOf(new URL(`https://${host}/`), [])).rejects.toThrow(RefusedTarget)
  })

  it.each(['1.1.1.1', '[2606:4700:4700::1111]', '[64:ff9b::101:101]'])('https://%s is public', async (host) => {
    expect((await placeOf(new URL(`https://${host}/`), [])).addresses).toHaveLength(1)
    await expect(placeOf(new URL(`http://${host}/`), ['10.0.0.0/8'])).rejects.toThrow(/only https/)
  })

  it.each([
    ['http://10.1.2.3/', '10.0.0.0/8'],
    ['https://[fd00::5]/', 'fd00::/16'],
    ['http://[::ffff:10.1.2.3]/', '10.0.0.0/8'],
  ])('%s is allowed within %s', async (url, cidr) => {
    expect((await placeOf(new URL(url), [cidr])).addresses).toHaveLength(1)
  })
})

describe('what a visitor chose', () => {
  const campaign = { id: 'cmp_1', summary: `3 addresses with the user agent "${HOSTILE}"` }

  it('is no link, mention or markup in Slack', () => {
    const { text } = JSON.parse(slackBody(notice({ campaign, services: [HOSTILE] }), PUBLIC_URL)) as { text: string }
    expect(text.match(/<[^>]*>/g)).toEqual([`<${PUBLIC_URL}/graphql?query=%7B%20a%20%7D|Look into it>`])
    expect(text).toContain('http[:]//evil[.]example/x')
    for (const line of text.split('\n')) expect(line.split('`').length % 2).toBe(1)
  })

  it('is no markup, link or header in a mail', () => {
    const { html, text, subject } = renderIncident(notice({ campaign, services: [HOSTILE] }), {
      publicUrl: PUBLIC_URL,
      attributions: ['Data by <somebody>'],
    })
    expect(html).not.toMatch(/<script|<b>\)|<!channel|<somebody>/)
    expect(html.match(/href="[^"]*"/g)).toEqual([`href="${PUBLIC_URL}/graphql?query=%7B%20a%20%7D"`])
    for (const body of [html, text]) {
      expect(body).not.toContain('evil.example')
      expect(body).toContain('evil[.]example')
    }
    expect(subject).toBe('Vedette incident: 203.0.113.7: Command injection')
    expect(text).toContain('203.0.113.7, Germany, AS64500 Net <b>, score 90, not blocked')
  })
})

it('the link of a notice asks a question that the schema knows', async () => {
  const address = { address: '::ffff:203.0.113.7', ip: '203.0.113.7', score: 80 }
  const finding = { id: 'fnd_1', detector: 'command_injection', score: 80, services: ['shop'], target: null }
  const suspects = [{ address, findings: [finding] } as unknown as Suspect]
  const period = { from: new Date('2026-11-20T12:00:00Z'), to: new Date('2026-11-20T13:00:00Z') }
  const evidence = evidenceOf(suspects, () => 'A: b.')
  const { link } = noticeOf({ subject: 'ADDRESS', key: 'a', campaign: null }, period, evidence)
  const schema = buildSchema(await readFile(new URL('../../schema/schema.graphql', import.meta.url), 'utf8'))
  expect(validate(schema, parse(new URL(link, PUBLIC_URL).searchParams.get('query')!))).toEqual([])
})
