import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'

const EXAMPLES = new URL('../../schema/examples/', import.meta.url)

/** Example operations by file name, in its order. */
export const examples = (): { name: string; query: string }[] =>
  readdirSync(EXAMPLES)
    .filter((name) => name.endsWith('.graphql'))
    .toSorted()
    .map((name) => ({ name, query: readFileSync(new URL(name, EXAMPLES), 'utf8') }))

export interface Page {
  html: string
  gzipped: Buffer
  etag: string
}

/** What the page may load: itself. Its scripts, styles, fonts and workers are all inside. */
export const PAGE_POLICY =
  "default-src 'none'; script-src 'unsafe-inline' blob:; worker-src blob:; style-src 'unsafe-inline'; font-src data:; img-src data:; connect-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const HEADERS = JSON.stringify({ Authorization: 'Bearer YOUR-API-KEY' }, null, 2)

/** Its tabs wait in the middle of an animation that begins only with the first click, which then misses the tab. */
const STYLE = '.graphiql-tab { transform: none !important }'

const make = async (): Promise<Page> => {
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql')
  const key = readFileSync(new URL('graphiql-key.js', import.meta.url), 'utf8')
  const page = renderGraphiQL({
    title: 'Vedette GraphiQL',
    headers: HEADERS,
    defaultHeaders: HEADERS,
    defaultEditorToolsVisibility: 'headers',
    shouldPersistHeaders: false,
    credentials: 'same-origin',
    defaultTabs: examples().map(({ query }) => ({ query, headers: HEADERS })),
  })
  const html = page.replace('<head>', () => `<head><style>${STYLE}</style><script>${key}</script>`)
  const etag = `"${createHash('sha256').update(html).digest('base64url').slice(0, 22)}"`
  return { html, gzipped: await promisify(gzip)(html), etag }
}

/**
 * GraphiQL with everything in one page, so that it works without internet. Made at its first request: its 9 MB are loaded
 * only where somebody looks at it.
 */
export const createGraphiqlPage = (): (() => Promise<Page>) => {
  let page: Promise<Page> | undefined
  return () =>
    (page ??= make().catch((error: unknown) => {
      page = undefined
      throw error
    }))
}
