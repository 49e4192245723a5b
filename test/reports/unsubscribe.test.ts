import fastify, { type FastifyInstance } from 'fastify'
import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, it } from 'vitest'

import { createUnsubscribeRoutes, createUnsubscribeTokens, unsubscribeUrl } from '../../src/reports/deliver/index.ts'
import type { Unsubscription } from '../../src/reports/deliver/token.ts'
import { SECRET } from './support.ts'

const tokens = createUnsubscribeTokens(SECRET)
const ann: Unsubscription = { subscriptionId: 'sub_1', address: "ann.o'neil+<b>@example.com" }
const path = new URL(unsubscribeUrl('https://v.example.com', tokens.make(ann))).pathname

let app: FastifyInstance
let gone: Unsubscription[]
beforeEach(() => {
  gone = []
  app = fastify({ routerOptions: { maxParamLength: 500 } })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
  createUnsubscribeRoutes({
    tokens,
    nameOf: (id) => (id === 'sub_1' ? 'Daily <script>' : undefined),
    isUnsubscribed: (_, address) => gone.some((who) => who.address === address),
    unsubscribe: (who) => {
      if (!gone.some(({ address }) => address === who.address)) gone.push(who)
      return Promise.resolve()
    },
  }).routes(app)
})
afterEach(() => app.close())

const oneClick = {
  method: 'POST',
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
  payload: 'List-Unsubscribe=One-Click',
} as const

it('opening the link asks and changes nothing, whatever follows links of mails', async () => {
  const answer = await app.inject({ url: path })
  expect(answer).toMatchObject({ statusCode: 200, headers: { 'content-type': 'text/html; charset=utf-8' } })
  expect(answer.body).toContain('<form method="post">')
  expect(answer.body).toContain('Daily &#60;script&#62;')
  expect(answer.body).toContain('ann.o&#39;neil+&#60;b&#62;@example.com')
  expect(answer.headers['content-security-policy']).toContain("form-action 'self'")
  expect(gone).toEqual([])
})

it('one click unsubscribes, without a login, and again changes nothing', async () => {
  for (let click = 0; click < 2; click++) {
    const answer = await app.inject({ url: path, ...oneClick })
    expect([answer.statusCode, answer.body]).toEqual([200, expect.stringContaining('gets no more mails')])
  }
  expect(gone).toEqual([ann])
  expect((await app.inject({ url: path })).body).not.toContain('<form')
})

it('also as multipart, or with nothing said', async () => {
  const multipart = await app.inject({
    url: path,
    method: 'POST',
    headers: { 'content-type': 'multipart/form-data; boundary=x' },
    payload: '--x\r\ncontent-disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n',
  })
  expect(multipart.statusCode).toBe(200)
  expect((await app.inject({ url: path, method: 'POST' })).statusCode).toBe(200)
  expect(gone).toEqual([ann])
})

it('a link for an address cannot be made from that of another, nor with another secret', async () => {
  const [, address, signature] = tokens.make(ann).split('.') as [string, string, string]
  const other = Buffer.from('bob@example.com').toString('base64url')
  const forged = [
    `sub_1.${other}.${signature}`,
    `sub_2.${address}.${signature}`,
    `sub_1.${address}`,
    `sub_1.${address}.`,
    `sub_1.${address}.${signature}.x`,
    createUnsubscribeTokens('another secret of thirty-two characters').make(ann),
  ]
  for (const token of forged) {
    const answer = await app.inject({ url: `/unsubscribe/${token}`, ...oneClick })
    expect([token, answer.statusCode]).toEqual([token, 404])
  }
  expect(gone).toEqual([])
})

it('a token says who it is for, and one that was changed anywhere says nothing', () => {
  const whom = fc.record({ subscriptionId: fc.stringMatching(/^sub_\w{1,12}$/), address: fc.emailAddress() })
  fc.assert(
    fc.property(whom, fc.nat(), fc.constantFrom('A', 'b', '.', '-'), (who, at, letter) => {
      const token = tokens.make(who)
      expect(tokens.read(token)).toEqual(who)
      const place = at % token.length
      const changed = token.slice(0, place) + letter + token.slice(place + 1)
      const read = tokens.read(changed)
      // The last letter of base64 has bits that mean nothing.
      if (changed !== token && read !== undefined) expect(read).toEqual(who)
    }),
  )
})
