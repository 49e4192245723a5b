import { hash } from 'node:crypto'

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'

import type { Redis } from '../../redis/index.ts'
import type { BlockList } from '../blocklist/types.ts'
import { type Bouncer, createBouncers } from './bouncers.ts'
import { type Decision, idOf, isSent } from './decision.ts'
import { type Filter, type Query, readBoolean, readFilter, readWhole } from './filter.ts'
import { answerWithMessage, bouncerOf, readBody, requireBouncer, sendDecisions, sendStream } from './http.ts'
import { createPulls } from './pulls.ts'
import { readUsage } from './usage.ts'
import { createViews } from './view.ts'

export interface CrowdsecDependencies {
  blockList: BlockList
  redis: Redis
  registry: Registry
  log: Logger
}

export interface Crowdsec {
  /** Before the server starts. */
  routes: (app: FastifyInstance) => void
}

/** CrowdSec's default for the stream; other scopes (countries, users) are not on our list. */
const STREAM_SCOPES = 'ip,range'

const EVERYTHING = readFilter({})

const QUIET = { config: { quiet: true } }

/** What Vedette remembers a bouncer by: two bouncers on one machine need two keys or two names. */
const nameOf = ({ keyId, ip, product }: Bouncer, filter: Filter): string =>
  hash('sha256', JSON.stringify([keyId, ip, product, filter.key]), 'base64url').slice(0, 22)

/** A key is good, the query too: that is all that a HEAD says, and it changes nothing. */
const head = (read: (request: FastifyRequest) => unknown) => async (request: FastifyRequest, reply: FastifyReply) => {
  read(request)
  return reply.send()
}

/**
 * The part of CrowdSec's local API (as of 1.6.8) that bouncers speak, over the block list: GET and HEAD /v1/decisions and
 * /v1/decisions/stream, POST /v1/usage-metrics; scope DECIDE. Errors are `{"message": …}`.
 */
export const createCrowdsec = ({ blockList, redis, registry, log }: CrowdsecDependencies): Crowdsec => {
  const views = createViews(blockList)
  const pulls = createPulls({ blockList, views, redis, log: log.child({ part: 'crowdsec' }) })
  const bouncers = createBouncers(registry)

  /** Of the decisions in force those that the filter lets through. */
  const lookUp = (filter: Filter): readonly Decision[] => {
    const { around } = filter
    if (!around?.contains) return [...views.view(EVERYTHING).decisions.values()].filter(filter.matches)
    if (around.prefix.bits === 128) {
      // The usual question is about a visitor whom no entry names: a look into the tree answers it.
      const entry = blockList.lookup(around.prefix.address)
      if (!entry || !isSent(entry)) return []
    }
    return views.view(EVERYTHING).containing(around.prefix).filter(filter.matches)
  }

  /** @throws {Problem} 400 */
  const readList = (request: FastifyRequest): (() => readonly Decision[]) => {
    const query = request.query as Query
    const filter = readFilter(query)
    const [after, offset = 0, limit] = ['id_gt', 'offset', 'limit'].map((name) => readWhole(query, name))
    return () => {
      const found = lookUp(filter)
      if (after === undefined && offset === 0 && limit === undefined) return found
      const numbered = found.map((decision) => ({ decision, id: idOf(decision) })).toSorted((a, b) => a.id - b.id)
      const rest = after === undefined ? numbered : numbered.filter(({ id }) => id > after)
      return rest.slice(offset, limit && offset + limit).map(({ decision }) => decision)
    }
  }

  const list = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const found = readList(request)()
    bouncers.lookedUp(bouncerOf(request))
    return sendDecisions(reply, found)
  }

  const stream = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const query = request.query as Query
    const filter = readFilter(query, STREAM_SCOPES)
    const startup = readBoolean(query, 'startup') ?? false
    const bouncer = bouncerOf(request)
    const pull = await pulls.pull(nameOf(bouncer, filter), filter, { startup })
    bouncers.pulled(bouncer, pull.answer)
    reply.raw.once('finish', () => {
      if (reply.statusCode === 200) void pull.sent()
    })
    return sendStream(reply, pull)
  }

  const report = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    bouncers.reported(bouncerOf(request), readUsage(await readBody(request)))
    return reply.code(201).send()
  }

  return {
    routes: (app) => {
      app.register(async (scope) => {
        scope.setErrorHandler(answerWithMessage)
        scope.addHook('onRequest', requireBouncer)
        scope.head('/v1/decisions', QUIET, head(readList))
        scope.get('/v1/decisions', { ...QUIET, exposeHeadRoute: false }, list)
        scope.head(
          '/v1/decisions/stream',
          QUIET,
          head((request) => readFilter(request.query as Query, STREAM_SCOPES)),
        )
        scope.get('/v1/decisions/stream', { ...QUIET, exposeHeadRoute: false }, stream)
        scope.post('/v1/usage-metrics', QUIET, report)
      })
      app.addHook('onClose', async () => pulls.stop())
    },
  }
}
