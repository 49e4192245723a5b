import type { FastifyInstance, FastifyReply } from 'fastify'

import { escape } from '../render/disarm.ts'
import { SMALL_PAGE_POLICY, smallPage } from '../small-page.ts'
import type { Unsubscription, UnsubscribeTokens } from './token.ts'

const PATH = '/unsubscribe'

export const unsubscribeUrl = (publicUrl: string, token: string): string => `${publicUrl}${PATH}/${token}`

export interface UnsubscribeDependencies {
  tokens: UnsubscribeTokens
  /** What the subscription is called; undefined: it is gone. */
  nameOf: (subscriptionId: string) => string | undefined
  isUnsubscribed: (subscriptionId: string, address: string) => boolean
  /** Once more: no change. @throws {StoreError} UNAVAILABLE */
  unsubscribe: (who: Unsubscription) => Promise<void>
}

const CONFIRM = `<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click"><button>Unsubscribe</button></form>`

const send = (reply: FastifyReply, status: number, html: string): FastifyReply =>
  reply.code(status).type('text/html; charset=utf-8').header('content-security-policy', SMALL_PAGE_POLICY).send(html)

const refuse = (reply: FastifyReply): FastifyReply =>
  send(
    reply,
    404,
    smallPage(
      'This link does not work',
      '<p>It is cut short or was changed. Take it from the mail once more, whole; or ask those who run this service to take you off the list.</p>',
    ),
  )

/**
 * One-click unsubscribing (RFC 8058), without a login. Only POST unsubscribes: mail filters and previews follow every link of a
 * mail with GET.
 */
export const createUnsubscribeRoutes = (dependencies: UnsubscribeDependencies) => {
  const { tokens, nameOf, isUnsubscribed, unsubscribe } = dependencies

  const reportOf = ({ subscriptionId }: Unsubscription): string => {
    const name = nameOf(subscriptionId)
    return name === undefined ? 'this report' : `the report <strong>${escape(name)}</strong>`
  }
  const done = (who: Unsubscription): string =>
    smallPage('Unsubscribed', `<p>${escape(who.address)} gets no more mails of ${reportOf(who)}.</p>`)

  return {
    routes: (app: FastifyInstance): void => {
      // The path is a key of a kind: `quiet` keeps it out of the log while all goes well.
      const options = { config: { quiet: true } }
      app.get(`${PATH}/:token`, options, (request, reply) => {
        const who = tokens.read((request.params as { token: string }).token)
        if (!who) return refuse(reply)
        if (isUnsubscribed(who.subscriptionId, who.address)) return send(reply, 200, done(who))
        const asked = `<p>${escape(who.address)} gets ${reportOf(who)}. Stop sending it?</p>`
        return send(reply, 200, smallPage('Unsubscribe', `${asked}\n${CONFIRM}`))
      })
      app.post(`${PATH}/:token`, options, async (request, reply) => {
        // What a mail client says in the body is always the same, and the link says enough.
        request.raw.resume()
        const who = tokens.read((request.params as { token: string }).token)
        if (!who) return refuse(reply)
        await unsubscribe(who)
        return send(reply, 200, done(who))
      })
    },
  }
}
