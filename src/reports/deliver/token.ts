import { createHmac, timingSafeEqual } from 'node:crypto'

/** Who is to be left alone by what. */
export interface Unsubscription {
  subscriptionId: string
  address: string
}

export interface UnsubscribeTokens {
  /** Letters, digits, `-`, `_` and dots. */
  make: (who: Unsubscription) => string
  /** Undefined: nobody here made it. */
  read: (token: string) => Unsubscription | undefined
}

const LONGEST = 600

/** Signed, so that it works without a login and cannot be made for anybody else's address. It does not run out: mails are kept for years. */
export const createUnsubscribeTokens = (secret: string): UnsubscribeTokens => {
  const signatureOf = ({ subscriptionId, address }: Unsubscription): Buffer =>
    createHmac('sha256', secret)
      .update(JSON.stringify(['unsubscribe', subscriptionId, address]))
      .digest()

  return {
    make: (who) =>
      [who.subscriptionId, Buffer.from(who.address).toString('base64url'), signatureOf(who).toString('base64url')].join(
        '.',
      ),
    read: (token) => {
      const [subscriptionId, address, signature, ...rest] = token.slice(0, LONGEST).split('.')
      if (!subscriptionId || !address || !signature || rest.length > 0) return undefined
      const who = { subscriptionId, address: Buffer.from(address, 'base64url').toString() }
      const [given, right] = [Buffer.from(signature, 'base64url'), signatureOf(who)]
      return given.length === right.length && timingSafeEqual(given, right) ? who : undefined
    },
  }
}
