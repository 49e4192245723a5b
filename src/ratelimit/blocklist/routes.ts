import { hash } from 'node:crypto'

import type { FastifyInstance } from 'fastify'

import { problem, requireScope } from '../../http/index.ts'
import { BLOCK_LIST_FORMATS, type BlockListFormat, formatBlockList } from './formats.ts'
import type { Denied } from './subtract.ts'
import type { BlockList } from './types.ts'

interface Answer {
  revision: number
  /** Epoch s. */
  madeAt: number
  etag: string
  body: string
}

const formatOf = (given: string | string[] | undefined): BlockListFormat => {
  const format = BLOCK_LIST_FORMATS.find((allowed) => allowed === (given ?? 'plain'))
  if (format) return format
  throw problem(400, {
    detail: `format is ${JSON.stringify(given)}; allowed is ${BLOCK_LIST_FORMATS.join(', ')}.`,
  })
}

const digest = (text: string): string => hash('sha256', text, 'base64url').slice(0, 22)

/**
 * From the content, so that it is the same in every process and after a restart. The time that is left, which ipset is told,
 * is another one each second, though the list is the same: that makes a weak one.
 */
const etagOf = (format: BlockListFormat, body: string, denied: readonly Denied[]): string =>
  format === 'ipset'
    ? `W/"${digest(denied.map(({ cidr, expiresAt }) => `${cidr} ${expiresAt?.getTime() ?? ''}\n`).join(''))}"`
    : `"${digest(`${format}\n${body}`)}"`

const opaque = (tag: string): string => tag.replace(/^W\//, '')

/** RFC 9110: a list of tags or `*`, compared without regard to W/. */
const isKnown = (header: string | undefined, etag: string): boolean => {
  if (header === undefined) return false
  if (header.trim() === '*') return true
  return (header.match(/(?:W\/)?"[^"]*"/g) ?? []).some((tag) => opaque(tag) === opaque(etag))
}

/** `GET|HEAD /v1/blocklist?format=plain|nginx|ipset`: blocks less what is allowed, for firewalls and proxies to fetch. */
export const addBlockListRoutes = (app: FastifyInstance, { blockList }: { blockList: BlockList }): void => {
  const answers = new Map<BlockListFormat, Answer>()

  const answerIn = (format: BlockListFormat): Answer => {
    const { revision } = blockList
    const madeAt = Math.floor(Date.now() / 1_000)
    const known = answers.get(format)
    if (known?.revision === revision && (format !== 'ipset' || known.madeAt === madeAt)) return known
    const denied = blockList.denied()
    const body = formatBlockList(format, denied)
    const answer = { revision, madeAt, etag: etagOf(format, body, denied), body }
    answers.set(format, answer)
    return answer
  }

  app.get('/v1/blocklist', { onRequest: requireScope('DECIDE'), exposeHeadRoute: true }, (request, reply) => {
    const format = formatOf((request.query as { format?: string | string[] }).format)
    // An empty list would open the firewalls that fetch it.
    if (!blockList.loaded)
      throw problem(503, {
        detail:
          'What is on the block list is not known yet: ClickHouse is away, and there is no snapshot. Keep the last list.',
        headers: { 'retry-after': '5' },
      })
    const { etag, body } = answerIn(format)
    reply.header('etag', etag).header('cache-control', 'no-cache').type('text/plain; charset=utf-8')
    if (isKnown(request.headers['if-none-match'], etag)) return reply.code(304).send()
    return reply.send(body)
  })
}
