import { randomBytes } from 'node:crypto'

import type { Rendered } from '../types.ts'
import type { Mailing, RenderMailing } from './types.ts'

/** Mailings whose mail is kept ready; a mail has some hundred kilobytes. */
const MOST = 16

/**
 * A mail is made once for all its recipients, since pictures and layout take some tenths of a second: only the link to
 * unsubscribe differs, and is put in place of one that stands for it.
 */
export const createRenderOnce = (render: RenderMailing, urlOf: (token: string) => string) => {
  // As an HTML or text renderer cannot change it, and nobody can guess it.
  const stand = `unsubscribe_${randomBytes(16).toString('hex')}`
  const ready = new Map<string, Promise<Rendered>>()

  return async (mailing: Mailing, token: string | undefined): Promise<Rendered> => {
    // Tests, each for itself, and notices, which take no time.
    if (token === undefined) return render(mailing, { unsubscribeUrl: undefined })
    const key = JSON.stringify([mailing.reportId, mailing.subscriptionId, mailing.content])
    let made = ready.get(key)
    if (!made) {
      made = render(mailing, { unsubscribeUrl: urlOf(stand) })
      ready.set(key, made)
      made.catch(() => ready.delete(key))
      if (ready.size > MOST) ready.delete(ready.keys().next().value!)
    }
    const rendered = await made
    return {
      ...rendered,
      html: rendered.html.replaceAll(stand, token),
      text: rendered.text.replaceAll(stand, token),
    }
  }
}
