import type { onRequestAsyncHookHandler } from 'fastify'

import { escape } from './render/disarm.ts'
import { SMALL_PAGE_POLICY, smallPage } from './small-page.ts'

const page = (path: string): string =>
  smallPage(
    'Open the report',
    `<p>A page of another site led here, such as that of a mail program.</p>
<p><a href="${escape(path)}">Open the report</a></p>`,
  )

/**
 * An `onRequest` hook before that of the key: Basic credentials are not taken where another site leads to, so a browser that follows the link
 * of a mail read in a browser would ask for them for ever. It gets a page with one link, which is followed from here.
 */
export const openedFromElsewhere: onRequestAsyncHookHandler = async ({ headers, url }, reply) => {
  if (headers['sec-fetch-site'] !== 'cross-site' || headers['sec-fetch-mode'] !== 'navigate') return
  if (headers['x-api-key'] !== undefined || /^(bearer|token) /i.test(headers.authorization ?? '')) return
  await reply
    .code(401)
    .headers({
      'www-authenticate': 'Bearer realm="vedette"',
      'cache-control': 'no-store',
      'content-security-policy': SMALL_PAGE_POLICY,
    })
    .type('text/html; charset=utf-8')
    .send(page(url))
}
