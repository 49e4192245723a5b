import type { onRequestAsyncHookHandler } from 'fastify'

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character]!)

const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const page = (path: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Open the report</title>
<style>body { font: 1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 15vh auto; padding: 0 1rem }</style>
</head>
<body>
<p>A page of another site led here, such as that of a mail program.</p>
<p><a href="${escape(path)}">Open the report</a></p>
</body>
</html>
`

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
      'content-security-policy': POLICY,
    })
    .type('text/html; charset=utf-8')
    .send(page(url))
}
