import type { IncomingMessage, Server, ServerResponse } from 'node:http'

import type { Exchanges } from './exchange.ts'
import type { Gate } from './gate.ts'
import { refuse } from './respond.ts'

export type RequestListener = (this: Server | void, request: IncomingMessage, response: ServerResponse) => unknown

/** A listener of node:http that is watched, and asked about where there is a gate. */
export const httpListener = <R>(exchanges: Exchanges<R>, gate: Gate<R> | undefined, handler: RequestListener) => {
  if (!gate) {
    return function watched(this: Server | void, request: IncomingMessage, response: ServerResponse): void {
      exchanges.begin(request, response, request as R, '')
      handler.call(this, request, response)
    }
  }
  return function guarded(this: Server | void, request: IncomingMessage, response: ServerResponse): void {
    const exchange = exchanges.begin(request, response, request as R, '')
    if (!exchange) {
      handler.call(this, request, response)
      return
    }
    gate(exchange, (passage) => {
      if (passage.denial) return refuse(response, passage.denial)
      for (const [name, value] of passage.headers) response.setHeader(name, value)
      handler.call(this, request, response)
    })
  }
}
