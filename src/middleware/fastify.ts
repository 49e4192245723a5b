import type { IncomingMessage, ServerResponse } from 'node:http'

import type { Exchanges } from './exchange.ts'
import type { Gate } from './gate.ts'

/** What is used of a request of Fastify 4.10 and later. */
export interface FastifyRequestLike {
  raw: IncomingMessage
  routeOptions: { url?: string | undefined }
}

export interface FastifyReplyLike {
  raw: ServerResponse
  code: (status: number) => unknown
  header: (name: string, value: string) => unknown
  send: (body: string) => unknown
}

type Done = (error?: Error) => void

/** `any`: Fastify's own types would be a dependency, and its generics fit no narrower one. */
// oxlint-disable-next-line typescript/no-explicit-any
export type FastifyPlugin = (app: any, options: unknown, done: Done) => void

/** Fastify's sign for a plugin whose hooks hold outside of it, for the whole app. */
const SKIP_OVERRIDE = Symbol.for('skip-override')
const DISPLAY_NAME = Symbol.for('fastify.display-name')

/** For `app.register`, before the routes. When the app closes, what is left is sent. */
export const fastifyPlugin = <R>(
  exchanges: Exchanges<R>,
  gate: Gate<R> | undefined,
  flush: () => Promise<unknown>,
): FastifyPlugin => {
  const onRequest = (request: FastifyRequestLike, reply: FastifyReplyLike, done: Done): void => {
    const exchange = exchanges.begin(request.raw, reply.raw, request as R, request.routeOptions.url ?? '')
    if (!exchange || !gate) {
      done()
      return
    }
    gate(exchange, (passage) => {
      if (passage.denial) {
        const { status, headers, body } = passage.denial
        reply.code(status)
        for (const [name, value] of headers) reply.header(name, value)
        reply.send(body)
        return
      }
      for (const [name, value] of passage.headers) reply.header(name, value)
      done()
    })
  }
  const plugin: FastifyPlugin = (app, _options, done) => {
    app.addHook('onRequest', onRequest)
    app.addHook('onClose', (_app: unknown, closed: Done) => {
      void flush().then(() => closed())
    })
    done()
  }
  return Object.assign(plugin, { [SKIP_OVERRIDE]: true, [DISPLAY_NAME]: 'vedette' })
}
